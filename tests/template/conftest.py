import json
import os
import subprocess
from typing import Any

import pytest

from tests.artifact.make import ROOT, make


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    make(".sam/.synced")
    transformed: dict[str, Any] = json.loads(
        subprocess.run(
            [".sam/bin/python", "-m", "tests.template.transform"],
            cwd=ROOT,
            env={"PATH": os.defpath, "AWS_DEFAULT_REGION": "us-east-1"},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )
    return transformed
