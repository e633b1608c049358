"""Options of commands that do not read data, as typer takes them."""

from __future__ import annotations

from typing import Annotated

from biocal.cli.option_table import OPTIONS

Out = Annotated[str | None, OPTIONS["out"].info()]
Force = Annotated[bool, OPTIONS["force"].info()]
Quiet = Annotated[bool, OPTIONS["quiet"].info()]
