"""Import a handler as a cold start does, and print what was imported and by which module.

`python3.13 -I -S trace_imports.py FUNCTION_FOLDER LAYER_FOLDER module.handler` prints JSON. -I and -S exclude working
folder, environment and site-packages, so that the function's folder and the layer's are all that is on the path.
"""

import sys

IMPORT_SYSTEM = {
    "importlib",
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    "_frozen_importlib",
    "_frozen_importlib_external",
}

importers: dict[str, str] = {}
"""The module that imported each module first, in the order of the imports."""


class Recorder:
    """A finder that finds no module: Python asks it first for each module that isn't loaded yet."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals.get("__name__") in IMPORT_SYSTEM:
            frame = frame.f_back
        importers.setdefault(name, frame.f_globals.get("__name__", "?"))


def main(function: str, layer: str, handler_path: str) -> None:
    allowed = [function, layer, *sys.path]
    sys.path[:0] = [function, layer]
    sys.meta_path.insert(0, Recorder)
    name, _, attribute = handler_path.rpartition(".")
    __import__(name)
    handler = getattr(sys.modules[name], attribute)
    # This script may have several names: multiprocessing adds one.
    loaded = {name: module for name, module in sys.modules.items() if module is not sys.modules["__main__"]}
    sys.meta_path.remove(Recorder)

    import json  # noqa: PLC0415 - after the handler's own imports

    files = {name: file for name, module in loaded.items() if (file := getattr(module, "__file__", None))}
    json.dump(
        {
            "callable": callable(handler),
            "allowed": allowed,
            "modules": list(loaded),
            "files": files,
            "importers": importers,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
