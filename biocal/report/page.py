"""From sections to the page: Jinja2 with everything escaped that is not markup of our own."""

from __future__ import annotations

from typing import Any


def render(template: str, **content: Any) -> str:
    """Fill a template of this package.

    Parameters
    ----------
    template : str
        File name in ``templates/``.
    **content
        What it shows.  Text is escaped; only `markupsafe.Markup` goes in as it stands.

    Returns
    -------
    str
        The page.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("biocal.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**content)
