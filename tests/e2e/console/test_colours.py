"""The contrast of what axe doesn't measure: borders of controls and the focus ring."""

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[3] / "local" / "console" / "console.css").read_text()
COLOURS = {
    name: colours for name, *colours in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", CSS)
}


def luminance(colour: str) -> float:
    """Return the relative luminance: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_formula() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("background", ["page", "panel", "sunken"])
@pytest.mark.parametrize("line", ["edge", "focus", "bad", "accent"])
def test_borders_of_controls_have_3_to_1(line: str, background: str, scheme: int) -> None:
    assert contrast(COLOURS[line][scheme], COLOURS[background][scheme]) >= 3
