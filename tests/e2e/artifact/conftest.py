"""Build the artifact with `make package` once a run, for all workers."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import yaml

from tests.e2e.artifact.make import ARCHITECTURE, BUILD, ROOT, RUNTIME, make


@pytest.fixture(scope="session")
def python_of_lambda() -> None:
    if sys.platform != "linux":
        pytest.skip("the artifact contains compiled libraries for Linux, which this system can't import")
    make(".sam/.synced")
    if not RUNTIME.exists():
        pytest.skip("Lambda's Python 3.13 is not installed: the artifact of `make package` was NOT tested")


@pytest.fixture(scope="module")
def built(python_of_lambda: None, testrun_uid: str) -> Iterator[dict[str, Any]]:  # noqa: ARG001  # it skips
    """The built template. Another run of the tests waits until all tests of this run have released the build."""
    BUILD.parent.mkdir(exist_ok=True)
    builder = BUILD.with_suffix(".run")
    with ExitStack() as locks:
        with _locked("building"):
            if not builder.exists() or builder.read_text() != testrun_uid:
                with _locked("in-use"):
                    builder.unlink(missing_ok=True)
                    make("package", f"ARCH={ARCHITECTURE}", f"BUILD={BUILD.relative_to(ROOT)}")
                    builder.write_text(testrun_uid)
            locks.enter_context(_locked("in-use", fcntl.LOCK_SH))
        yield yaml.safe_load((BUILD / "template.yaml").read_text())


@contextmanager
def _locked(name: str, operation: int = fcntl.LOCK_EX) -> Iterator[None]:
    with BUILD.with_suffix(f".{name}").open("w") as lock:
        fcntl.flock(lock, operation)
        yield
