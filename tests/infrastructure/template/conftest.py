from typing import Any

import pytest

from tests.infrastructure.template.deployed import transformed


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return transformed()
