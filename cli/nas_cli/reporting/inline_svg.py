"""Makes of a picture of Matplotlib an SVG that can stand in the midst of a page of HTML, beside others."""

import io
import re
from xml.etree import ElementTree

import matplotlib
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_MARGIN = 0.06  # inches around what is drawn
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_NUMBER = re.compile(r"\d+\.\d{2,}")


def inline_svg(figure: Figure, prefix: str) -> str:
    """The SVG element of a picture, cut to what is drawn: as wide as the page lets it be, its text as text.

    Args:
        figure: the picture.
        prefix: of the ids in it, so that no two pictures of a page share one.
    """
    file = io.StringIO()
    # Text as text can be searched, copied and read aloud. The salt makes ids, and so the page, the same each time.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(file, format="svg", transparent=True, bbox_inches=_drawn(figure), metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())  # noqa: S314 - Matplotlib's own output
    for element in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(element)
    for parent in root.iter():
        for style in parent.findall(f"{{{_SVG}}}style"):  # it would be for the whole page
            parent.remove(style)
    _rename_ids(root, prefix)
    _, _, width, height = root.attrib["viewBox"].split()
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.attrib |= {"style": f"max-width: {float(width) * 4 / 3:.0f}px", "aria-hidden": "true", "focusable": "false"}
    root.attrib["viewBox"] = f"0 0 {float(width):.1f} {float(height):.1f}"
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    text = ElementTree.tostring(root, encoding="unicode")
    return _NUMBER.sub(lambda match: f"{float(match.group()):.1f}", re.sub(r"\s*\n\s*", " ", text))


def _drawn(figure: Figure) -> Bbox:
    """What is drawn, in inches: architectures seldom need all the room that their picture has."""
    figure.draw_without_rendering()
    artists: list[Artist] = [artist for axes in figure.axes for artist in (*axes.patches, *axes.texts, *axes.lines)]
    box = Bbox.union([artist.get_window_extent() for artist in artists])
    return Bbox(box.padded(_MARGIN * figure.dpi).get_points() / figure.dpi)


def _rename_ids(root: ElementTree.Element, prefix: str) -> None:
    """Gives ids that something refers to a prefix, and takes the others away."""
    used = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            used |= set(_REFERENCE.findall(value))
            if name == f"{{{_XLINK}}}href":
                used.add(value.removeprefix("#"))
    for element in root.iter():
        for name, value in list(element.attrib.items()):
            if name == "id":
                del element.attrib["id"]
                if value in used:
                    element.attrib["id"] = f"{prefix}-{value}"
            elif name == f"{{{_XLINK}}}href":
                element.attrib[name] = f"#{prefix}-{value.removeprefix('#')}"
            elif "url(#" in value:
                element.attrib[name] = _REFERENCE.sub(rf"url(#{prefix}-\1)", value)
