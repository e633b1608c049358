"""Read a report as a program sees it: elements, texts, tables, links; and pools whose names try to break it."""

from __future__ import annotations

import base64
import io
import itertools
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pandas as pd
from cli_pool import small_pool

import biocal as bc

#: Elements of HTML without an end tag.
VOID = {"meta", "link", "br", "img", "hr", "input"}
HOSTILE = {
    "North": "<script>alert('north')</script>",
    "South": 'South & "Sons" --> </style>',
    "West": "West $x_1^2$ {{ 7*7 }}",
}
#: A simulation study of seconds.
SMALL_DESIGN = {
    "title": "A small study",
    "replicates": 30,
    "seed": 3,
    "methods": ["naive", "full"],
    "exposure": {"mean": 60, "sd": 20},
    "truth": {"type": "linear", "beta": [-0.01]},
    "fit": {"exposure": "linear"},
    "estimand": {"at": [40, 80], "reference": 60},
    "studies": [
        {"name": "A", "sets": 80, "laboratory": "reference"},
        {"name": "B", "sets": 80, "laboratory": "local", "intercept": 12, "slope": 0.75, "r_squared": 0.8}
        | {"calibrators": 40},
    ],
    "vary": {"studies.calibrators": [20, 40]},
}


@dataclass
class Element:
    """One element, in the order of the page."""

    name: str
    attributes: dict[str, str | None]
    parent: Element | None
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def inside(self, name: str) -> bool:
        return self.parent is not None and (self.parent.name == name or self.parent.inside(name))


class Page(HTMLParser):
    """A parsed page; ``faults`` lists end tags that do not fit."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.elements: list[Element] = []
        self.faults: list[str] = []
        self.comments: list[str] = []
        self._open: list[Element] = []
        self.feed(source)
        self.close()
        self.faults += [f"<{element.name}> is not closed" for element in self._open]

    def handle_starttag(self, tag, attributes):
        parent = self._open[-1] if self._open else None
        element = Element(tag, dict(attributes), parent)
        self.elements.append(element)
        if parent is not None:
            parent.children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        if not self._open or self._open[-1].name != tag:
            self.faults.append(f"</{tag}> where <{self._open[-1].name if self._open else ''}> is open")
            return
        self._open.pop()

    def handle_data(self, data):
        for element in self._open:
            element.text += data

    def handle_comment(self, data):
        self.comments.append(data)

    def all(self, *names: str) -> list[Element]:
        return [element for element in self.elements if element.name in names]

    def with_id(self, name: str) -> Element:
        return next(element for element in self.elements if element.attributes.get("id") == name)

    @property
    def text(self) -> str:
        """What a reader sees or hears, without the style sheet."""
        body = self.all("body")[0].text
        heard = [e.attributes.get(key) or "" for e in self.elements for key in ("aria-label", "alt")]
        return "\n".join([body, *heard])

    def table(self, caption: str) -> pd.DataFrame:
        """The table whose caption begins so, as text."""
        found = next(t for t in self.all("table") if t.children[0].text.startswith(caption))
        rows = [e for e in self.all("tr") if e.inside("table") and _within(e, found)]
        cells = [[cell.text for cell in row.children] for row in rows]
        return pd.DataFrame(cells[1:], columns=cells[0]).set_index(cells[0][0])

    def files(self) -> dict[str, bytes]:
        """The tables to take away, byte for byte."""
        links = [link.attributes for link in self.all("a") if "download" in link.attributes]
        return {a["download"]: base64.b64decode(a["href"].partition("base64,")[2]) for a in links}

    def downloads(self) -> dict[str, pd.DataFrame]:
        """The tables to take away, read back."""
        return {name: pd.read_csv(io.BytesIO(content)) for name, content in self.files().items()}


def _within(element: Element, ancestor: Element) -> bool:
    return element.parent is not None and (element.parent is ancestor or _within(element.parent, ancestor))


def structure_faults(page: Page) -> list[str]:
    """Everything about a page that a reader, a screen reader or a mail gateway would stumble over."""
    faults = list(page.faults)
    ids = [e.attributes["id"] for e in page.elements if "id" in e.attributes]
    faults += [f"id {name} occurs twice" for name in {name for name in ids if ids.count(name) > 1}]
    levels = [int(e.name[1]) for e in page.elements if re.fullmatch("h[1-6]", e.name)]
    if levels.count(1) != 1 or levels[0] != 1:
        faults.append("there is not one h1, first")
    faults += [f"h{b} follows h{a}" for a, b in itertools.pairwise(levels) if b > a + 1]
    for e in page.elements:
        faults += _element_faults(e, set(ids))
    for reference in re.findall(r"url\(#([^)]+)\)", page.source):
        if reference not in ids:
            faults.append(f"url(#{reference}) leads nowhere")
    return faults


def _element_faults(e: Element, ids: set[str]) -> list[str]:
    faults = []
    if e.name in ("script", "iframe", "object", "embed", "form", "base"):
        faults.append(f"there is a <{e.name}>")
    if e.name == "svg" and not (e.attributes.get("role") == "img" and e.attributes.get("aria-label")):
        faults.append("a picture has no words")
    if e.name == "img" and not e.attributes.get("alt"):
        faults.append("a picture has no words")
    if e.name == "table" and (not e.children or e.children[0].name != "caption"):
        faults.append("a table has no caption")
    if e.name == "th" and e.attributes.get("scope") not in ("col", "row"):
        faults.append("a header cell has no scope")
    for key, value in e.attributes.items():
        if key.startswith("on"):
            faults.append(f"an attribute {key}")
        if key in ("href", "src", "xlink:href", "srcset", "action", "poster") and not value.startswith(
            ("#", "data:")
        ):
            faults.append(f"{key} leaves the page: {value}")
        if (
            key in ("href", "aria-labelledby")
            and value.lstrip("#") not in ids
            and not value.startswith("data:")
        ):
            faults.append(f"{value} leads nowhere")
    return faults


def small_fit(frame: pd.DataFrame | None = None, **options):
    """Naive and full on the small pool, with words for the page."""
    pool = bc.PooledStudies.from_frame(small_pool() if frame is None else frame)
    words = {"exposure_name": "25(OH)D", "unit": "nmol/L", "outcome_name": "colorectal cancer"}
    arguments = {"method": ["naive", "full"], "exposure": bc.rcs(3), "covariates": "bmi", "reference": 60.0}
    return bc.fit(pool, **(arguments | words | options))


def hostile_frame() -> pd.DataFrame:
    """The small pool with study names that are markup, templates and formulas."""
    frame = small_pool()
    return frame.assign(study=frame["study"].map(HOSTILE))
