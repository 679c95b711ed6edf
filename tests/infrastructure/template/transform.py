"""Prints template.yaml as CloudFormation gets it, after SAM's transform.

It needs SAM CLI's environment: `.sam/bin/python -m tests.infrastructure.template.transform`.
"""

import json
import sys
from pathlib import Path

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """The template names its permissions itself, so AWS need not be asked for policies by name."""

    def load(self) -> dict[str, str]:
        return {}


def main() -> None:
    template = yaml_parse(Path("template.yaml").read_text())
    validator = SamTemplateValidator(template, NoManagedPolicies(), region="us-east-1")
    # The transform wants code that is uploaded already; `sam validate` pretends so too.
    validator._replace_local_codeuri()
    json.dump(transform(validator.sam_template, {}, NoManagedPolicies()), sys.stdout)


if __name__ == "__main__":
    main()
