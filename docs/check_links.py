"""Check every link inside a folder of HTML pages: ``python docs/check_links.py FOLDER``.

A link must lead to a file of the folder, and its anchor to an id of that page.  Pictures, scripts and styles
must be there too and come from nowhere else: the pages can be read without a network.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The ids of a page, where it leads to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.without_alt: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon"):
            self.loads.append(given["href"])
        elif "src" in given:
            self.loads.append(given["src"])
        if tag == "img" and not given.get("alt"):
            self.without_alt.append(given.get("src", ""))


def problems_of(folder: Path) -> list[str]:
    """One line a problem."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    found = [] if pages else [f"{folder}: there are no pages"]
    for path, page in pages.items():
        where = path.relative_to(folder.resolve())
        found += [f"{where}: a picture without a description: {source}" for source in page.without_alt]
        for target in page.loads:
            if urlsplit(target).scheme not in ("", "data"):
                found.append(f"{where}: loads {target} from the network")
        for target in page.links + page.loads:
            found += [f"{where}: {target}: {fault}" for fault in _faults(target, path, pages)]
    return found


def _faults(target: str, path: Path, pages: dict[Path, Page]) -> list[str]:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return []
    there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if there.is_dir():
        there /= "index.html"
    if not there.is_file():
        return ["no such file"]
    anchor = unquote(parts.fragment)
    if anchor and there in pages and anchor not in pages[there].ids:
        return ["no such place in that page"]
    return []


def main() -> None:
    folder = Path(sys.argv[1])
    found = problems_of(folder)
    for line in found:
        print(line, file=sys.stderr)
    pages = len(list(folder.rglob("*.html")))
    print(f"{pages} pages: {f'{len(found)} broken links' if found else 'every link inside leads somewhere'}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
