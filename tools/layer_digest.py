"""Write the digest of the built layer into the code of each built function: `python -m tools.layer_digest BUILD`.

SAM publishes a version of a function if the function's code or properties change. A new layer changes neither, so
without the digest the alias would keep the version with the earlier layer.
"""

import sys
from hashlib import sha256
from pathlib import Path

NAME = "layer.sha256"


def write_digest(build: Path) -> None:
    """Do nothing if the layer was not built."""
    layers = list(build.glob("*Layer"))
    if not layers:
        return
    [layer] = layers
    digest = sha256()
    for path in sorted(path for path in layer.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(layer).as_posix()}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    for function in build.glob("*Function"):
        (function / NAME).write_text(digest.hexdigest())


if __name__ == "__main__":
    write_digest(Path(sys.argv[1]))
