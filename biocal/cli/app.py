"""The ``biocal`` command and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from biocal.cli.commands.calibrate import calibrate
from biocal.cli.commands.check import check
from biocal.cli.commands.coordinate import coordinate
from biocal.cli.commands.example import example
from biocal.cli.commands.fit import fit
from biocal.cli.commands.partitioned import partition
from biocal.cli.commands.plan import plan
from biocal.cli.commands.simulate import simulate
from biocal.cli.commands.site import site

app = typer.Typer(
    add_completion=False,
    # errors are told by biocal.cli.main, not by typer
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True, epilog="Example: biocal example vitamin-d")
def biocal(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Show the version.")] = False,
) -> None:
    """Pool nested case-control studies whose biomarker was measured in different laboratories."""
    if version:
        from biocal.cli.edge.messages import version_line

        typer.echo(version_line())
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command(epilog="Example: biocal check --spec analysis.toml")(check)
app.command(epilog="Example: biocal calibrate --spec analysis.toml --out calibration")(calibrate)
app.command(
    epilog='Example: biocal fit cohorts/*.csv --covariates "bmi + C(sex)" --matching "age + C(month)" '
    "--ref 50 --out results"
)(fit)
app.command(epilog="Example: biocal partition cohorts/*.csv --out pool --rows 500000")(partition)
app.command(epilog="Example: biocal simulate simulation.toml --out results --jobs 2")(simulate)
app.command(epilog="Example: biocal plan planning.toml --out plan")(plan)
app.command(epilog="Example: biocal example vitamin-d")(example)
app.add_typer(coordinate, name="coordinate")
app.add_typer(site, name="site")
