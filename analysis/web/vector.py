"""Matplotlib's SVG files made fit to stand side by side in one page."""

import re
from pathlib import Path
from xml.etree import ElementTree

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_ELSEWHERE = re.compile(r"url\(#")


def inlined(path: Path, prefix: str, title: str, description: str) -> str:
    """An SVG element to stand in HTML.

    Its ids get a prefix, since equal ones (every file has a `figure_1`, and the letters) would
    refer to another figure; its style sheet, which would reach the whole page, and its metadata go.

    Args:
        path: of a file that `style.save` wrote.
        prefix: a word of its own in the page.
        title: its name for screen readers.
        description: what it shows, for them too.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.parse(path).getroot()
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        for key, value in element.attrib.items():
            element.set(key, _moved(key, value, prefix))
    for name, text in (("desc", description), ("title", title)):
        element = ElementTree.Element(f"{{{_SVG}}}{name}", id=f"{prefix}-{name}")
        element.text = text
        root.insert(0, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    # The page gives the width; the height follows from the viewBox.
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    return ElementTree.tostring(root, encoding="unicode")


def _moved(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if key in ("href", f"{{{_XLINK}}}href") and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    return _ELSEWHERE.sub(f"url(#{prefix}-", value)
