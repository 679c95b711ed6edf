"""The layer stays small: Lambda downloads and unpacks it for a cold start."""

from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.e2e.artifact.make import BUILD
from tools.archive import archive

MEGABYTE = 1_000_000
MAX_SIZE = 12 * MEGABYTE


@pytest.mark.usefixtures("built")
def test_zipped_layer_is_at_most_12_mb(tmp_path: Path) -> None:
    archive(BUILD, tmp_path / "package")
    layer = tmp_path / "package/SharedLayer.zip"
    with ZipFile(layer) as zipped:
        largest = sorted(zipped.infolist(), key=lambda entry: -entry.compress_size)[:10]
    sizes = [f"{entry.filename}: {entry.compress_size:,}" for entry in largest]
    size = layer.stat().st_size
    assert size <= MAX_SIZE, "\n".join([f"The zipped layer has {size / MEGABYTE:.2f} MB. The largest files:", *sizes])
