"""Drawings as a part of a page."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from nas_api.architectures import Architecture, ConvNet, Convolution, ImageShape, Layer
from nas_api.architectures.recurrent_cell import NAS_CELL
from nas_cli.drawing.architecture import draw_architecture
from nas_cli.reporting.inline_svg import inline_svg

NETWORK = ConvNet(
    layers=tuple(
        Layer(operation=Convolution(filter_height=3, filter_width=1, filters=8), inputs=inputs)
        for inputs in ((), (0,), (0, 1), (0, 2))
    )
)


def drawn(architecture: Architecture, prefix: str = "a") -> str:
    return inline_svg(draw_architecture(architecture, "", ImageShape(1, 8, 8), 10, 4.6), prefix)


def view_box(svg: str) -> list[float]:
    return [float(value) for value in ElementTree.fromstring(svg).attrib["viewBox"].split()]


@pytest.mark.parametrize("architecture", [NETWORK, NAS_CELL])
def test_it_is_an_element_that_needs_nothing_from_elsewhere(architecture: Architecture) -> None:
    svg = drawn(architecture)
    assert svg.startswith("<svg ")
    assert "<metadata" not in svg
    assert "<style" not in svg  # it would be for the whole page
    assert "Matplotlib" not in svg
    assert not re.search(r"(?:href|src)=\"(?!#)", svg)


def test_its_text_is_text() -> None:
    assert "3x1 conv, 8 filters" in drawn(NETWORK)


def test_ids_of_two_drawings_differ_and_all_that_are_referred_to_are_there() -> None:
    first, second = drawn(NETWORK, "first"), drawn(NETWORK, "second")
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]
    assert not ids[0] & ids[1]
    for svg, known in zip((first, second), ids, strict=True):
        assert known == set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    assert first.replace("first", "second") != first
    assert drawn(NETWORK, "first") == first


def test_it_is_cut_to_what_is_drawn() -> None:
    """Without skip connections nothing is beside the layers."""
    plain = ConvNet(layers=NETWORK.layers[:2])
    assert view_box(drawn(plain))[2] < 0.85 * view_box(drawn(NETWORK))[2]


def test_nothing_that_is_drawn_is_cut() -> None:
    figure = Figure(figsize=(4, 4))
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.text(0.5, 0.9, "a long text in the midst of the picture", ha="center")
    axes.text(0.1, 0.1, "low")
    _, _, width, height = view_box(inline_svg(figure, "a"))
    assert width > 180
    assert height > 150
