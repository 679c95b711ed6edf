"""Print the digest of each file that SAM CLI would upload for the built template in a folder.

Run it in SAM CLI's environment: `.sam/bin/python -m tests.e2e.artifact.uploads FOLDER`.
"""

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from samcli.lib.package.artifact_exporter import Template
from samcli.lib.package.uploaders import Uploaders


class DigestUploader:
    """Takes the place of the uploader to S3. The URL that it returns is the digest of the file."""

    bucket_name = "bucket"
    prefix = "prefix"

    def upload_with_dedup(self, path: str, *_: object, **__: object) -> str:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def main(folder: str) -> None:
    uploader = DigestUploader()
    code_signer = SimpleNamespace(should_sign_package=lambda _: False)
    template = Template("template.yaml", folder, Uploaders(uploader, uploader), code_signer)
    resources = template.export()["Resources"]
    properties = {name: resource.get("Properties", {}) for name, resource in resources.items()}
    uploads = {name: values.get("CodeUri") or values.get("ContentUri") for name, values in properties.items()}
    json.dump({name: digest for name, digest in uploads.items() if digest}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
