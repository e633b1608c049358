"""Numbers and page of the trust studies.

    python data/simulation/make_trust.py             writes docs/statistical-trust.md and its figures
    python data/simulation/make_trust.py store OUT   first stores the tables of OUT/NAME

OUT holds a folder for each study of trust/, of `biocal simulate` or of a script of its own.  Every number of the page's
tables comes from the stored CSV files; tests/recovery/test_statistical_trust.py and test_trust_every_interval.py assert
its sentences from them.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import trust_further as further  # noqa: E402
from stored import markdown, with_error  # noqa: E402
from trust_text import NOMINAL, TRUST, family_bounds, read  # noqa: E402

DOCS = HERE.parents[1] / "docs"
PAGE, FIGURE = "statistical-trust.md", "images/statistical-trust-coverage.svg"
FIGURE_OF_KINDS = "images/statistical-trust-intervals.svg"
METHODS = ("naive", "internalized", "full", "induced")
FEW = 29
#: Studies whose coverage by Student's t, on the calibrators of a study less the two of its line, is stored too.
WITH_T = ("few", "few_hc3")
#: For whom theory promises nominal coverage.  Without association naive is right as well, but not internalized:
#: calibration controls keep their own, more variable exposure, which a bent column sees.  On a straight line full and
#: induced calibration are right, on a curve induced alone.
VALID = {
    "null": ("naive", "full", "induced"),
    "line": ("full", "induced"),
    "bent": ("induced",),
}
CELL = ["studies.calibrators", "studies.r_squared"]
TABLES = ("performance", "summary", "coefficients", "tests", "coverage_t")


def store(out: Path) -> None:
    """Put the tables of finished runs beside their designs."""
    import biocal as bc
    from biocal.simulation.design.design import read_design
    from biocal.simulation.results import SimulationResults

    for name in (*further.SCRIPTED, "bootstrap"):
        for table in sorted((out / name).glob("[pt]e*.csv")):  # performance and tests
            shutil.copyfile(table, TRUST / name / table.name)
    for folder in sorted(path.parent for path in out.glob("*/replicates.parquet")):
        target = TRUST / folder.name
        design = read_design(target / "design.toml")
        results = SimulationResults.from_design(folder / "replicates.parquet", design)
        found = {
            "performance": results.performance().tidy(),
            "summary": results.summary_table().tidy(),
            "coefficients": results.coefficients().tidy(),
            "tests": results.tests().tidy(),
        }
        if folder.name in WITH_T:
            rows = results.replicates
            few = results.levels[results.levels["studies.calibrators"] <= 100]
            rows = rows[rows["quantity"] == "log_or"].merge(few, on="scenario")
            rows["df"] = rows["studies.calibrators"] - 2.0
            told = bc.performance(rows, by=["scenario", "method", "exposure"], df="df").tidy()
            names = ["scenario", "method", "exposure", "n", "coverage", "mcse_coverage"]
            found["coverage_t"] = few.merge(told[names], on="scenario")
        for name, table in found.items():
            if len(table):
                table.to_csv(target / f"{name}.csv", index=False)


def judged(study: str) -> pd.DataFrame:
    """Every interval that theory says covers .95: curve and coefficients of a study, a row each."""
    curve = read(study, "performance").assign(quantity=lambda table: table["exposure"].map("at {:g}".format))
    parts = [curve]
    if (TRUST / study / "coefficients.csv").exists():
        named = read(study, "coefficients")
        parts.append(named.assign(quantity=named["coefficient"].map("coefficient {:g}".format)))
    rows = pd.concat(parts, ignore_index=True)
    return rows[
        [method in VALID[label] for method, label in zip(rows["method"], rows["truth.label"], strict=True)]
    ]


def average(table: pd.DataFrame, measure: str, keys: Sequence[str]) -> pd.DataFrame:
    """Mean over cells that share the keys, with its Monte Carlo error: cells are drawn apart."""
    squares = table.assign(square=table[f"mcse_{measure}"] ** 2)
    grouped = squares.groupby(list(keys), sort=False)
    error = np.sqrt(grouped["square"].sum()) / grouped.size()
    return pd.DataFrame({"value": grouped[measure].mean(), "error": error, "n": grouped["n"].sum()})


def wide(table: pd.DataFrame, rows: Sequence[str], column: str, columns: Sequence[str]) -> list[list[str]]:
    """Rows of averages: a row a combination of keys, a column a level of `column`."""
    flat = table.reset_index()
    found = []
    for key, part in flat.groupby(list(rows), sort=False):
        cells = part.set_index(column)
        words = [f"{each:g}" if isinstance(each, float) else str(each) for each in key]
        found.append(
            words
            + [
                with_error(*cells.loc[name, ["value", "error"]]) if name in cells.index else ""
                for name in columns
            ]
        )
    return found


def coverage_table() -> str:
    """Average coverage of curves by truth, calibrators and R^2, over exposures and shapes of the sets."""
    summary = pd.concat([read("grid", "summary"), read("bent", "summary")], ignore_index=True)
    keys = ["truth.label", *CELL]
    table = average(summary, "average_coverage", [*keys, "method"])
    return markdown(["curve", "calibrators", "R^2", *METHODS], wide(table, keys, "method", METHODS))


def family_table() -> str:
    rows = []
    for study, label in (("grid", "null"), ("grid", "line"), ("bent", "bent"), ("scales_agree", "line")):
        chosen = judged(study) if study != "scales_agree" else agreeing()
        chosen = chosen[chosen["truth.label"] == label]
        low, high = family_bounds(chosen)
        for method, part in chosen.groupby("method", sort=False):
            outside = (part["coverage"] < low[part.index]) | (part["coverage"] > high[part.index])
            rows.append(
                [
                    "scales agree, line" if study == "scales_agree" else label,
                    str(method),
                    str(len(part)),
                    f"{int(part['n'].min())}",
                    f"{part['coverage'].mean():.3f}",
                    f"{part['coverage'].min():.3f}",
                    f"{part['coverage'].max():.3f}",
                    f"{low.min():.3f} to {high.max():.3f}",
                    str(int(outside.sum())),
                ]
            )
    head = [
        "curve",
        "method",
        "intervals",
        "replicates",
        "mean",
        "lowest",
        "highest",
        "all honest within",
        "outside",
    ]
    return markdown(head, rows)


def agreeing() -> pd.DataFrame:
    """Every interval where the scales agree: naive pooling is valid too."""
    named = read("scales_agree", "coefficients")
    return pd.concat([read("scales_agree", "performance"), named], ignore_index=True)


def few_table() -> str:
    """Few calibrators: average coverage of the normal interval and of its remedies."""
    kinds = {
        "normal": ("few", "performance"),
        "t": ("few", "coverage_t"),
        "HC3-like": ("few_hc3", "performance"),
        "HC3-like and t": ("few_hc3", "coverage_t"),
    }
    rows = []
    for method in ("full", "induced"):
        for calibrators in (15.0, 29.0, 100.0):
            found = [few_coverage(*place, method, calibrators) for place in kinds.values()]
            ratios = [few_ratio(study, method, calibrators) for study in ("few", "few_hc3")]
            words = [method, f"{calibrators:g}", *(with_error(*each) for each in found)]
            rows.append([*words, *(f"{ratio:.3f}" for ratio in ratios)])
    return markdown(
        ["method", "calibrators", *kinds, "model SE / empirical SE", "the same, HC3-like"],
        rows,
    )


def few_part(study: str, table: str, method: str, calibrators: float) -> pd.DataFrame:
    found = read(study, table)
    return found[(found["method"] == method) & (found["studies.calibrators"] == calibrators)]


def few_coverage(study: str, table: str, method: str, calibrators: float) -> tuple[float, float]:
    """Mean coverage over the exposures, which are one draw: the error is that of one of them."""
    part = few_part(study, table, method, calibrators)
    return float(part["coverage"].mean()), float(part["mcse_coverage"].mean())


def few_ratio(study: str, method: str, calibrators: float) -> float:
    return float(
        1 + few_part(study, "performance", method, calibrators)["relative_error_model_se"].mean() / 100
    )


def bent_table(exposure: float) -> str:
    """Bias apart from dishonest standard errors, at one exposure of the bent curve."""
    table = read("bent", "performance")
    table = table[table["exposure"] == exposure]
    rows = []
    for _, row in table.iterrows():
        ratio, error = (row[f"{name}relative_error_model_se"] / 100 for name in ("", "mcse_"))
        rows.append(
            [
                f"{row['studies.calibrators']:g}",
                f"{row['studies.r_squared']:g}",
                row["method"],
                with_error(row["bias"], row["mcse_bias"]),
                with_error(row["coverage"], row["mcse_coverage"]),
                with_error(row["bias_eliminated_coverage"], row["mcse_bias_eliminated_coverage"]),
                with_error(1 + ratio, error),
            ]
        )
    head = [
        "calibrators",
        "R^2",
        "method",
        "bias",
        "coverage",
        "bias-eliminated coverage",
        "model SE / empirical SE",
    ]
    return markdown(head, rows)


def rates(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Rejections at 5 and 1 percent, all replicates of the cells that share the keys together."""
    counted = table.assign(count=table["rejected"] * table["n"])
    found = counted.groupby([*keys, "alpha"], sort=False)[["count", "n"]].sum()
    value = found["count"] / found["n"]
    error = np.sqrt(value * (1 - value) / found["n"])
    return pd.DataFrame({"value": value, "error": error, "n": found["n"]})


def rate_rows(table: pd.DataFrame, keys: Sequence[str]) -> list[list[str]]:
    found = []
    for key, part in rates(table, keys).reset_index().groupby(list(keys), sort=False):
        cells = part.set_index("alpha")
        words = [f"{each:g}" if isinstance(each, float) else str(each) for each in key]
        found.append(
            [
                *words,
                f"{int(part['n'].iloc[0]):,}",
                *(with_error(*cells.loc[a, ["value", "error"]], 4) for a in (0.05, 0.01)),
            ]
        )
    return found


def type_one() -> pd.DataFrame:
    """Tests whose hypothesis is true, of every method."""
    grid = read("grid", "tests")
    return grid[(grid["truth.label"] == "null") | (grid["test"] == "nonlinearity")].reset_index(drop=True)


def promised(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of methods for which theory says that the test holds its level."""
    return table[[m in VALID[label] for m, label in zip(table["method"], table["truth.label"], strict=True)]]


def other_tests() -> pd.DataFrame:
    """Interaction under every curve; heterogeneity likewise, naive where there is nothing to find alone."""
    interaction = read("interaction", "tests")
    interaction = interaction[interaction["test"] == "interaction"]
    found = pd.concat([interaction, read("heterogeneity", "tests")], ignore_index=True)
    return promised(found)


KNOTS = (("fixed", "knots_fixed"), ("quantiles", "knots_quantile"))


def knots_coverage() -> str:
    rows = []
    for label in ("null", "line", "bent"):
        for knots in ("3 knots", "5 knots"):
            for method in VALID[label] if label != "bent" else ("full", "induced"):
                words = [label, knots, method]
                for _, study in KNOTS:
                    words += knots_cell(study, label, knots, method)
                rows.append(words)
    head = ["curve", "knots", "method"]
    for name, _ in KNOTS:
        head += [f"{name}: coverage", f"{name}: largest bias", f"{name}: model SE / empirical SE"]
    return markdown(head, rows)


def knots_part(study: str, label: str, knots: str, method: str) -> pd.DataFrame:
    table = read(study, "performance")
    return table[
        (table["truth.label"] == label) & (table["fit.knots"] == knots) & (table["method"] == method)
    ]


def knots_cell(study: str, label: str, knots: str, method: str) -> list[str]:
    part = knots_part(study, label, knots, method)
    error = (
        np.sqrt((part.groupby("scenario")["mcse_coverage"].mean() ** 2).sum()) / part["scenario"].nunique()
    )
    worst = part.loc[part["bias"].abs().idxmax()]
    ratio = 1 + part["relative_error_model_se"].mean() / 100
    return [
        with_error(part["coverage"].mean(), error),
        with_error(worst["bias"], worst["mcse_bias"]),
        f"{ratio:.3f}",
    ]


def knots_tests() -> pd.DataFrame:
    """Tests under the null by both kinds of knots."""
    parts = [read(study, "tests").assign(rule=name) for name, study in KNOTS]
    table = pd.concat(parts, ignore_index=True)
    return table[(table["truth.label"] == "null") & (table["method"].isin(("full", "induced")))]


def bootstrap_table() -> str:
    table = read("bootstrap", "performance")
    rows = [
        [
            f"{row['studies.calibrators']:g}",
            f"{row['studies.r_squared']:g}",
            f"{row['exposure']:g}",
            str(int(row["n"])),
            with_error(row["coverage"], row["mcse_coverage"]),
            with_error(1 + row["relative_error_model_se"] / 100, row["mcse_relative_error_model_se"] / 100),
        ]
        for _, row in table.iterrows()
    ]
    return markdown(
        ["calibrators", "R^2", "exposure", "replicates", "coverage", "bootstrap SE / empirical SE"], rows
    )


def draw_coverage() -> object:
    """Coverage of every cell by method: dots with Monte Carlo intervals, a panel a curve and shape of the sets."""
    from matplotlib.figure import Figure

    colours = {"naive": "#7f7f7f", "internalized": "#d98200", "full": "#1f5fa8", "induced": "#1b7f4d"}
    marks = {"naive": "s", "internalized": "^", "full": "o", "induced": "D"}
    panels = [("grid", label, sets) for label in ("null", "line") for sets in ("1:1", "1:3", "2:4")]
    tables = {study: read(study, "summary") for study in ("grid",)}
    figure = Figure(figsize=(10, 8.4), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey=True)
    cells = [(c, r) for c in (29.0, 100.0, 250.0) for r in (0.65, 0.8, 0.95)]
    for axis, (study, label, sets) in zip(axes.flat, panels, strict=True):
        table = tables[study]
        table = table[(table["truth.label"] == label) & (table["studies"] == sets)]
        axis.axvline(NOMINAL, color="black", linewidth=0.8, zorder=0)
        for shift, method in zip((-0.27, -0.09, 0.09, 0.27), METHODS, strict=True):
            if method not in VALID[label]:
                continue
            part = table[table["method"] == method].set_index(CELL).loc[cells]
            place = np.arange(len(cells)) + shift
            axis.errorbar(
                part["average_coverage"], place, xerr=1.96 * part["mcse_average_coverage"], fmt=marks[method],
                color=colours[method], markersize=4, linewidth=1, label=method,
            )  # fmt: skip
        axis.set_title(
            f"{'no association' if label == 'null' else 'straight line'}, sets {sets}", fontsize=10
        )
        axis.set_yticks(range(len(cells)), [f"{c:.0f}, {r:g}" for c, r in cells])
        for border in (2.5, 5.5):
            axis.axhline(border, color="0.85", linewidth=0.8, zorder=0)
    axes[0, 0].invert_yaxis()
    figure.supxlabel(
        "coverage of 95 % intervals, average of four log odds ratios, with its Monte Carlo 95 % interval"
    )
    figure.supylabel("calibrators a study, R² of the local assay")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    return figure


def facts() -> dict[str, str]:
    """The numbers of the page's sentences."""
    every = all_judged()
    low, high = family_bounds(every)
    outside = (every["coverage"] < low) | (every["coverage"] > high)
    few = every[every["studies.calibrators"] == FEW]
    internal = read("bent", "performance")
    internal = internal[internal["method"] == "internalized"]
    worst = internal.loc[internal["coverage"].idxmin()]
    tests = type_one()
    hold = rates(promised(tests), ["test"])["value"]
    fail = tests[
        (tests["method"] == "internalized") & (tests["alpha"] == 0.05) & (tests["truth.label"] == "null")
    ]
    poorest = fail[(fail["studies.calibrators"] == 250) & (fail["studies.r_squared"] == 0.65)]
    others = rates(other_tests(), ["test"])["value"]
    grid = read("grid", "performance")
    naive = grid[(grid["method"] == "naive") & (grid["truth.label"] == "line")]
    percent = {
        f"{test}_{alpha:.0%}".replace("%", ""): f"{100 * table[test, alpha]:.1f}"
        for table, names in ((hold, ("overall", "nonlinearity")), (others, ("interaction", "heterogeneity")))
        for test in names
        for alpha in (0.05, 0.01)
    }
    return (
        percent
        | {f"further[{name}]": value for name, value in further.facts().items()}
        | {
            "n_grid": f"{int(read('grid', 'performance')['n'].max()):,}",
            "n_bent": f"{int(read('bent', 'performance')['n'].max()):,}",
            "n_few": f"{int(read('few', 'performance')['n'].max()):,}",
            "n_knots": f"{int(read('knots_quantile', 'performance')['n'].max()):,}",
            "n_others": f"{int(read('interaction', 'tests')['n'].max()):,}",
            "n_agree": f"{int(read('scales_agree', 'performance')['n'].max()):,}",
            "n_heterogeneity": f"{int(read('heterogeneity', 'tests')['n'].max()):,}",
            "n_bootstrap": f"{int(read('bootstrap', 'performance')['n'].max()):,}",
            "failed": str(
                sum(int(read(study, "performance")["failed"].sum()) for study in STUDIES) or "none"
            ),
            "intervals": f"{len(every):,}",
            "outside": str(int(outside.sum()) or "none"),
            "lowest": f"{every['coverage'].min():.3f}",
            "highest": f"{every['coverage'].max():.3f}",
            "mean": f"{every['coverage'].mean():.3f}",
            "mean_few": f"{few['coverage'].mean():.3f}",
            "few_15": f"{few_coverage('few', 'performance', 'full', 15)[0]:.3f}",
            "few_29": f"{few_coverage('few', 'performance', 'full', 29)[0]:.3f}",
            "few_29_t": f"{few_coverage('few', 'coverage_t', 'full', 29)[0]:.3f}",
            "few_15_t": f"{few_coverage('few', 'coverage_t', 'full', 15)[0]:.3f}",
            "few_15_hc3": f"{few_coverage('few_hc3', 'performance', 'full', 15)[0]:.3f}",
            "few_29_hc3": f"{few_coverage('few_hc3', 'performance', 'full', 29)[0]:.3f}",
            "few_15_both": f"{few_coverage('few_hc3', 'coverage_t', 'full', 15)[0]:.3f}",
            "naive_line": f"{naive['coverage'].mean():.3f}",
            "internal_worst": f"{worst['coverage']:.2f}",
            "internal_be": f"{worst['bias_eliminated_coverage']:.3f}",
            "internal_null": f"{100 * poorest['rejected'].max():.0f}",
        }
    )


STUDIES = ("grid", "bent", "scales_agree", "few", "few_hc3", "knots_fixed", "knots_quantile")


def all_judged() -> pd.DataFrame:
    """The family of intervals that are judged together."""
    agree = agreeing()
    return pd.concat([judged("grid"), judged("bent"), agree], ignore_index=True)


def page() -> str:
    """The whole page: the text, its numbers and its tables."""
    text = (TRUST / "PAGE.md").read_text(encoding="utf-8")
    tables = {
        "coverage_table": coverage_table(),
        "family_table": family_table(),
        "few_table": few_table(),
        "bent_table": bent_table(90.0),
        "type_one_table": markdown(
            ["test", "curve", "method", "calibrators", "replicates", "at 5 %", "at 1 %"],
            rate_rows(type_one(), ["test", "truth.label", "method", "studies.calibrators"]),
        ),
        "other_tests_table": markdown(
            ["test", "curve", "method", "calibrators", "replicates", "at 5 %", "at 1 %"],
            rate_rows(other_tests(), ["test", "truth.label", "method", "studies.calibrators"]),
        ),
        "knots_table": knots_coverage(),
        "knots_tests_table": markdown(
            ["knots", "placed", "method", "test", "replicates", "at 5 %", "at 1 %"],
            rate_rows(knots_tests(), ["fit.knots", "rule", "method", "test"]),
        ),
        "bootstrap_table": bootstrap_table(),
        "kinds_table": further.kinds_table(),
        "two_stage_table": further.two_stage_table(),
        "further_tests_table": further.rejections_table(),
    }
    for name, value in {**facts(), **tables}.items():
        text = text.replace("{" + name + "}", value)
    return text


def main() -> None:
    if sys.argv[1:2] == ["store"]:
        store(Path(sys.argv[2]))
    (DOCS / PAGE).write_text(page(), encoding="utf-8")
    from biocal.results.plots.save import figure_bytes

    (DOCS / FIGURE).write_bytes(figure_bytes(draw_coverage(), "svg"))
    (DOCS / FIGURE_OF_KINDS).write_bytes(figure_bytes(further.draw_kinds(), "svg"))


if __name__ == "__main__":
    main()
