"""Remove from the built layer what no deployed code loads: `python -m tools.trim_layer BUILD`.

Most of the layer would be botocore's descriptions of over 400 services. Those of the services whose clients
`shared/runtime/aws.py` creates are kept: its constant SERVICES names them. Every module stays, tests excepted, so
that an import that works on the developer's machine works in the layer, too.
"""

import ast
import gzip
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

CLIENTS = "shared/runtime/aws.py"
CONSTANT = "SERVICES"

UNUSED = (
    "*/**/tests",
    "*/**/examples",
    "*/**/*.pyi",
    "*/**/py.typed",
    # It lists files that are removed here. METADATA and WHEEL stay: scanners such as Amazon Inspector read them.
    "*.dist-info/RECORD",
    # Loaded for botocore's documentation alone.
    "botocore/data/*/*/examples-1.json",
    # The page that shows an API's OpenAPI document: half a megabyte in the zip.
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.min.css",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.min.js",
)


def trim(build: Path) -> None:
    """Do nothing if the layer was not built."""
    for layer in build.glob("*Layer"):
        packages = layer / "python"
        services = client_services(packages)
        keep_services(packages / "botocore/data", services)
        for pattern in UNUSED:
            remove(packages.glob(pattern))
        # botocore trusts certifi's certificates, and its own only without certifi.
        if (packages / "certifi/cacert.pem").exists():
            (packages / "botocore/cacert.pem").unlink(missing_ok=True)


def client_services(packages: Path) -> tuple[str, ...]:
    """Return the value of SERVICES, without importing its module. Raises ValueError if there is no such constant."""
    for statement in ast.parse((packages / CLIENTS).read_text("utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == CONSTANT:
                return tuple(ast.literal_eval(value))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name == CONSTANT:
                return tuple(ast.literal_eval(value))
    raise ValueError(f"{CLIENTS} has no constant {CONSTANT}, which names the services whose data botocore needs.")


def keep_services(data: Path, services: Iterable[str]) -> None:
    """Remove botocore's data of all other services. Raises ValueError for a service that botocore doesn't have."""
    folders = {folder.name: folder for folder in data.iterdir() if folder.is_dir()}
    if unknown := sorted(set(services) - folders.keys()):
        raise ValueError(f"botocore has no service {', '.join(unknown)}.")
    remove(folder for name, folder in folders.items() if name not in services)

    # It lists services by the prefix of their host names, and botocore parses it for each process's first client.
    prefixes = {prefix for service in services for prefix in endpoint_prefixes(folders[service])}
    path = data / "endpoints.json"
    endpoints = json.loads(path.read_text("utf-8"))
    for partition in endpoints["partitions"]:
        kept = {prefix: value for prefix, value in partition["services"].items() if prefix in prefixes}
        partition["services"] = kept
    path.write_text(json.dumps(endpoints, separators=(",", ":")), "utf-8")


def endpoint_prefixes(service: Path) -> set[str]:
    models = [json.loads(gzip.decompress(model.read_bytes())) for model in service.glob("*/service-2.json.gz")]
    return {model["metadata"]["endpointPrefix"] for model in models}


def remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():  # not in a folder that was removed
            path.unlink()
            if not any(path.parent.iterdir()):  # it contained stubs only
                path.parent.rmdir()


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
