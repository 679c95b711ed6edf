"""The same commit gives the same bytes, in another folder and with other settings of the machine."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.artifact.make import ARCHITECTURE, BUILD, ROOT, SAM, make

SOURCES = (
    "Makefile",
    "functions",
    "pyproject.toml",
    "shared",
    "template.yaml",
    "tools",
    "uv-requirements.txt",
    "uv.lock",
)
# Set up once, for both checkouts.
ENVIRONMENTS = (".uv", ".sam", f".cache/wheels-{ARCHITECTURE}")
# The time of every file, and the first that a zip can contain.
YEAR_1980 = 315532800

Properties = dict[str, tuple[str, int, int]]


@pytest.fixture(scope="module")
def other_build(built: object, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001  # it has set up SAM CLI
    """A build of the same sources at another path, with another time zone, umask and hash seed."""
    checkout = tmp_path_factory.mktemp("another-checkout")
    for name in SOURCES:
        source, target = ROOT / name, checkout / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    for name in ENVIRONMENTS:
        (checkout / name).parent.mkdir(exist_ok=True)
        (checkout / name).symlink_to(ROOT / name)
    settings = {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "1"}
    make("package", f"ARCH={ARCHITECTURE}", cwd=checkout, umask=0o077, environment=settings)
    return checkout / ".aws-sam/build"


@pytest.fixture(scope="module")
def packages(other_build: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The archives of both builds."""
    folder = tmp_path_factory.mktemp("packages")
    builds = {folder / "first": BUILD, folder / "second": other_build}
    for package, build in builds.items():
        run_in_sam("tools.archive", build, package)
    return list(builds)


def test_builds_are_identical(other_build: Path) -> None:
    """GIVEN two checkouts THEN content, mode and time of every file and folder of their builds are the same."""
    first, second = (entries(build) for build in (BUILD, other_build))
    assert first.keys() == second.keys()
    assert {name: (first[name], second[name]) for name in first if first[name] != second[name]} == {}
    assert {time for _, _, time in first.values()} == {YEAR_1980}


def test_no_build_contains_the_path_of_its_checkout(other_build: Path) -> None:
    for build, checkout in ((BUILD, ROOT), (other_build, other_build.parents[1])):
        paths = {str(checkout).encode(), str(checkout.resolve()).encode()}
        files = [path for path in build.rglob("*") if path.is_file()]
        assert [file for file in files if any(path in file.read_bytes() for path in paths)] == []


def test_archives_are_identical_and_uploaded_as_they_are(packages: list[Path]) -> None:
    """GIVEN the builds of two checkouts THEN SAM CLI uploads the same bytes, which are the archived zips."""
    first, second = (contents(package) for package in packages)
    assert first == second
    assert first.keys() == {f"{folder.name}.zip" for folder in BUILD.iterdir() if folder.is_dir()} | {"template.yaml"}
    uploads = json.loads(run_in_sam("tests.e2e.artifact.uploads", packages[0]))
    assert {f"{name}.zip": digest for name, digest in uploads.items()} == without_template(first)


def test_an_archive_contains_exactly_the_built_files(packages: list[Path], tmp_path: Path) -> None:
    for archive in packages[0].glob("*.zip"):
        unpacked = tmp_path / archive.stem
        shutil.unpack_archive(archive, unpacked)
        assert contents(unpacked) == contents(BUILD / archive.stem)


def test_a_build_of_one_resource_is_not_archived(tmp_path: Path) -> None:
    """GIVEN a template that refers to a folder outside of the build THEN there is no package."""
    (tmp_path / "build/SharedLayer").mkdir(parents=True)
    template = "    CodeUri: ../../functions/create_link\n    ContentUri: SharedLayer\n"
    (tmp_path / "build/template.yaml").write_text(template)
    with pytest.raises(subprocess.CalledProcessError):
        run_in_sam("tools.archive", tmp_path / "build", tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_the_sbom_lists_the_locked_packages(tmp_path: Path) -> None:
    """GIVEN the SBOM THEN it has the packages of the layer, and the fields by which GitHub's action recognises it."""
    make("sbom", f"SBOM={tmp_path / 'sbom'}")
    sbom = json.loads((tmp_path / "sbom").read_text())
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.5")
    assert sbom["serialNumber"].startswith("urn:uuid:")
    requirements = (ROOT / "shared/requirements.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", requirements, re.MULTILINE))
    assert {(component["name"], component["version"]) for component in sbom["components"]} == locked


def entries(build: Path) -> Properties:
    """Return digest, mode and time of every file and folder."""
    return {
        path.relative_to(build).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mode,
            path.stat().st_mtime_ns // 10**9,
        )
        for path in (build, *build.rglob("*"))
    }


def contents(folder: Path) -> dict[str, str]:
    return {name: content for name, (content, _, _) in entries(folder).items() if content}


def without_template(package: dict[str, str]) -> dict[str, str]:
    return {name: content for name, content in package.items() if name != "template.yaml"}


def run_in_sam(module: str, *arguments: Path) -> str:
    return subprocess.run(
        [SAM / "python", "-m", module, *arguments],
        cwd=ROOT,
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
