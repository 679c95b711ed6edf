"""Write the built template and a zip for each built folder: `python -m tools.archive BUILD PACKAGE`.

`sam deploy` uploads such a zip as it is. If it zipped the folders itself, the order of the entries would depend on the
file system of the machine that deploys.
"""

import re
import shutil
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_FILE_MODE = 0o100644
_UNIX = 3
_REFERENCE = re.compile(r"^( +(?:CodeUri|ContentUri): )(\S+)$", re.MULTILINE)


def archive(build: Path, package: Path) -> None:
    """Write the package, and remove an earlier one. Raises ValueError if the template doesn't use each folder once."""
    template = (build / "template.yaml").read_text()
    folders = sorted(path for path in build.iterdir() if path.is_dir())
    if sorted(name for _, name in _REFERENCE.findall(template)) != [folder.name for folder in folders]:
        raise ValueError(f"{build}/template.yaml does not use each folder once. Build it with `make package`.")
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    for folder in folders:
        _zip(folder, package / f"{folder.name}.zip")
    (package / "template.yaml").write_text(_REFERENCE.sub(r"\1\2.zip", template))


def _zip(folder: Path, target: Path) -> None:
    """Zip the files in the order of their names, with the time 1980-01-01 and without the owner."""
    with ZipFile(target, "w", ZIP_DEFLATED) as archived:
        for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()):
            entry = ZipInfo(name)
            entry.create_system = _UNIX
            entry.external_attr = _FILE_MODE << 16
            archived.writestr(entry, (folder / name).read_bytes(), ZIP_DEFLATED)


if __name__ == "__main__":
    archive(*map(Path, sys.argv[1:]))
