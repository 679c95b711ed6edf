"""Print template.yaml as CloudFormation gets it, after SAM's transform.

Run it in SAM CLI's environment: `.sam/bin/python -m tests.infrastructure.template.transform [RESOURCE=KEY ...]`. KEY is
the key in S3 of a layer's or function's uploaded content, which SAM CLI derives from the content.
"""

import json
import sys
from pathlib import Path

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """The template contains its permissions, so no managed policy has to be looked up at AWS."""

    def load(self) -> dict[str, str]:
        return {}


def main() -> None:
    template = yaml_parse(Path("template.yaml").read_text())
    validator = SamTemplateValidator(template, NoManagedPolicies(), region="us-east-1")
    # The transform requires the URL of uploaded code; `sam validate` replaces local paths in the same way.
    validator._replace_local_codeuri()
    for resource, _, key in (argument.partition("=") for argument in sys.argv[1:]):
        uri = "ContentUri" if resource.endswith("Layer") else "CodeUri"
        validator.sam_template["Resources"][resource]["Properties"][uri] = f"s3://bucket/{key}"
    json.dump(transform(validator.sam_template, {}, NoManagedPolicies()), sys.stdout)


if __name__ == "__main__":
    main()
