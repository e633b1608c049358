"""Every kind of interval that biocal gives, in one table and one figure, from the tables stored in trust/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from stored import markdown, with_error
from trust_text import NOMINAL, family_bounds, mean_coverage, read

#: Studies of trust/run.py, and the two of its kind.
SCRIPTED = ("two_stage", "categories", "levels", "season", "season_common", "imputation", "calibration")
#: A linear curve is one number: its intervals at all exposures cover together.
ONE_POINT = "90"


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of interval: where, its rows of stored tables, and whether theory says that they cover."""

    group: str
    name: str
    rows: pd.DataFrame
    promised: bool = True


def rows_of(study: str, **wanted: str | float | Sequence[str | float]) -> pd.DataFrame:
    """Rows of a stored performance table; names of columns with _ for a dot."""
    table = read(study, "performance", words=("exposure",))
    for name, values in wanted.items():
        column = name.replace("_", ".", 1) if name.replace("_", ".", 1) in table else name
        allowed = values if isinstance(values, list | tuple) else [values]
        table = table[table[column].isin(allowed)]
    assert len(table), (study, wanted)
    return table.assign(scenario=f"{study} " + table["scenario"].astype(str), study=study)


def together(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)


def two_stage(name: str, kind: str, studies: str, truth: str, form: str = "spline") -> pd.DataFrame:
    """Rows of one estimator and kind of interval."""
    return rows_of("two_stage", method=f"{form}: {name}", interval=kind, studies=studies, truth_label=truth)


def kinds() -> list[Kind]:
    """All, in the order in which they are shown."""
    flat, both = ["null"], ["null", "line"]
    sloping = rows_of("grid", method="naive", truth_label="line")
    inner = rows_of("grid", method="internalized", truth_label=flat)
    found = [
        Kind("spline", "naive, nothing associated", rows_of("grid", method="naive", truth_label=flat)),
        Kind("spline", "naive, scales differ, a line", sloping, False),
        Kind("spline", "internalized, nothing associated", inner, False),
        Kind("spline", "full, flat and line", rows_of("grid", method="full", truth_label=both)),
        Kind(
            "spline",
            "induced, flat, line and bent",
            together(rows_of("grid", method="induced"), rows_of("bent", method="induced")),
        ),
    ]  # fmt: skip
    for method in ("full", "induced"):
        rows = rows_of("linear", method=method, exposure="90.0")
        found.append(Kind("linear", f"{method}, flat and line", rows))
    stepwise = rows_of("categories", method="induced", truth_label=["null", "steps"])
    found += [
        Kind("categories", "reference values, any curve", rows_of("categories", method="reference")),
        Kind("categories", "full, nothing associated", rows_of("categories", method="full", truth_label=flat)),
        Kind("categories", "full, steps", rows_of("categories", method="full", truth_label="steps"), False),
        Kind("categories", "induced, flat and steps", stepwise),
    ]  # fmt: skip
    for kind, name in (("modifier", "levels of a modifier"), ("subgroup", "subgroups")):
        for method in ("full", "induced"):
            rows = rows_of("levels", method=method, interval=[f"men, {kind}", f"women, {kind}"])
            found.append(Kind(name, f"{method}, flat and line", rows))
    bent_common = rows_of("season_common", method="induced", truth_label="bent")
    few = rows_of("season", method="full", truth_label=flat, studies="12 of 60")
    found += [
        Kind("season", "full, nothing associated", rows_of("season", method="full", truth_label=flat)),
        Kind("season", "the same, 12 studies of 60 pairs", few),
        Kind("season", "induced, flat and bent", rows_of("season", method="induced")),
        Kind("season", "induced, bent, common coefficients", bent_common, False),
    ]  # fmt: skip
    for studies in ("3", "8"):
        for truth in ("alike", "apart"):
            where, same = f"{studies} studies {truth}, a slope", truth == "alike"
            for name, method, interval, promised in (
                ("one-stage", "one-stage", "normal", same),
                ("fixed effect", "fixed vector", "normal", same),
                ("REML, normal (two-stage)", "reml vector", "normal", False),
                ("REML, Hartung-Knapp", "reml", "hartung-knapp", True),
                ("prediction interval", "reml", "prediction", False),
            ):
                rows = two_stage(method, interval, studies, truth, "linear")
                found.append(Kind(where, name, rows[rows["exposure"] == ONE_POINT], promised))
    for name in ("nothing missing", "complete cases", "imputed", "missing indicator"):
        rows = rows_of("imputation", method=name, exposure=[ONE_POINT, "bmi"])
        found.append(Kind("missing covariate", name, rows, name != "missing indicator"))
    found.append(Kind("bootstrap", "full, percentile, 29 calibrators", rows_of("bootstrap")))
    for calibrators in (15.0, 29.0, 100.0, 250.0):
        rows = rows_of("calibration", studies_calibrators=calibrators)
        found.append(Kind("calibration line", f"{calibrators:.0f} calibrators", rows, calibrators > 15))
    return found


def further_judged() -> pd.DataFrame:
    """Intervals beyond the grid for which theory promises that they cover."""
    new = ("linear", *SCRIPTED)
    parts = [kind.rows for kind in kinds() if kind.promised]
    for studies in ("3", "8"):
        parts += [
            two_stage(name, "normal", studies, "alike", "spline") for name in ("one-stage", "fixed vector")
        ]
    rows = together(*parts)
    rows = rows[rows["study"].isin(new)]
    exact = rows["interval"] != "hartung-knapp"  # an approximation
    return rows[exact].drop_duplicates(["scenario", "method", "interval", "exposure"]).reset_index(drop=True)


def kinds_table() -> str:
    rows, group = [], ""
    for kind in kinds():
        part = kind.rows
        rows.append(
            [
                kind.group if kind.group != group else "",
                kind.name,
                "" if kind.promised else "no",
                str(len(part)),
                f"{int(part['n'].min()):,}",
                with_error(*mean_coverage(part)),
                f"{part['coverage'].min():.3f}",
                f"{part['coverage'].max():.3f}",
            ]
        )
        group = kind.group
    head = ["", "interval", "promised", "intervals", "replicates", "mean coverage", "lowest", "highest"]
    return markdown(head, rows)


def draw_kinds() -> object:
    """Mean coverage of each kind with its Monte Carlo interval, and the range of its single intervals."""
    from matplotlib.figure import Figure

    every = kinds()
    figure = Figure(figsize=(8.6, 10.6), layout="constrained")
    axis = figure.subplots()
    axis.axvline(NOMINAL, color="black", linewidth=0.9, zorder=0)
    place, group, ticks, names = 0.0, "", [], []
    left = 0.74
    for kind in every:
        if kind.group != group:
            place += 0.5 if group else 0.0
            axis.text(left + 0.002, place, kind.group, fontsize=8.5, fontweight="bold", va="center")
            place += 0.95
            group = kind.group
        mean, error = mean_coverage(kind.rows)
        colour = "#1f5fa8" if kind.promised else "#b4551d"
        lowest, highest = kind.rows["coverage"].min(), kind.rows["coverage"].max()
        axis.plot(
            [max(lowest, left), highest],
            [place, place],
            color="0.82",
            linewidth=4,
            solid_capstyle="butt",
            zorder=1,
        )
        axis.errorbar(
            mean, place, xerr=1.96 * error, fmt="o", markersize=4.5, linewidth=1.4, color=colour,
            markerfacecolor=colour if kind.promised else "white", zorder=2,
        )  # fmt: skip
        if lowest < left:
            axis.annotate(
                f"to {lowest:.2f}",
                (left, place),
                (left + 0.004, place),
                fontsize=7.5,
                va="center",
                color="0.25",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )
        ticks.append(place)
        names.append(kind.name)
        place += 1.0
    axis.set_yticks(ticks, names, fontsize=8.5)
    axis.set_ylim(place - 0.3, -0.8)
    axis.set_xlim(left, 1.004)
    axis.set_xticks([0.75, 0.8, 0.85, 0.9, 0.95, 1.0])
    axis.set_xlabel("coverage of 95 % intervals")
    axis.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    return figure


def two_stage_table() -> str:
    """Every estimator and interval, both forms, by number of studies and whether they agree."""
    table = read("two_stage", "performance", words=("exposure",))
    table = table[table["exposure"] == ONE_POINT]
    shapes = [(studies, truth) for truth in ("alike", "apart") for studies in ("3", "8")]
    named = {
        ("one-stage", "normal"): "one-stage, sandwich",
        ("fixed vector", "normal"): "fixed effect, vector",
        ("reml vector", "normal"): "REML, vector (two-stage's curve)",
        ("fixed", "normal"): "fixed effect",
        ("dersimonian-laird", "normal"): "DerSimonian-Laird",
        ("dersimonian-laird", "hartung-knapp"): "DerSimonian-Laird, Hartung-Knapp",
        ("reml", "normal"): "REML",
        ("reml", "hartung-knapp"): "REML, Hartung-Knapp",
        ("reml", "hartung-knapp-at-least-normal"): "REML, Hartung-Knapp at least normal",
        ("reml", "prediction"): "REML, prediction interval",
    }
    rows = []
    for form in ("linear", "spline"):
        for (method, interval), name in named.items():
            part = table[(table["method"] == f"{form}: {method}") & (table["interval"] == interval)]
            cells = part.set_index(["studies", "truth.label"])
            rows.append(
                [
                    form,
                    name,
                    *(with_error(*cells.loc[each, ["coverage", "mcse_coverage"]]) for each in shapes),
                ]
            )
    return markdown(
        ["exposure", "interval", *(f"{studies} studies, {truth}" for studies, truth in shapes)], rows
    )


#: Tests of the further studies whose hypothesis is true: study, and the rows' method, truth and test.
TRUE_HYPOTHESES: tuple[tuple[str, str, Callable[[pd.DataFrame], pd.Series]], ...] = (
    ("linear", "overall", lambda t: (t["truth.label"] == "null") & t["method"].isin(["full", "induced"])),
    ("categories", "overall", lambda t: (t["truth.label"] == "null") & t["method"].isin(["full", "induced"])),
    ("levels", "interaction", lambda t: (t["truth.label"] == "line") & t["method"].isin(["full", "induced"])),
    (
        "levels",
        "heterogeneity",
        lambda t: (t["truth.label"] == "line") & t["method"].isin(["full", "induced"]),
    ),
    ("season", "overall", lambda t: t["truth.label"] == "null"),
    ("season", "nonlinearity", lambda t: t["truth.label"] == "null"),
    (
        "two_stage",
        "heterogeneity",
        lambda t: (t["truth.label"] == "alike") & t["method"].str.startswith("linear"),
    ),
    (
        "two_stage",
        "heterogeneity",
        lambda t: (t["truth.label"] == "alike") & t["method"].str.startswith("spline"),
    ),
    ("imputation", "overall", lambda t: (t["truth.label"] == "null") & (t["method"] == "imputed")),
)


def rejections() -> pd.DataFrame:
    """Share of rejections, a row a study and test: methods share draws, so that one of them counts for the error."""
    found = []
    for study, test, chosen in TRUE_HYPOTHESES:
        table = read(study, "tests")
        table = table[(table["test"] == test) & chosen(table)]
        assert len(table), (study, test)
        methods = sorted(table["method"].unique())
        for alpha, part in table.groupby("alpha"):
            n = part["n"].sum() / len(methods)
            found.append(
                {
                    "study": study,
                    "test": test,
                    "methods": ", ".join(methods),
                    "alpha": alpha,
                    "n": n,
                    "value": part["rejected"].mean(),
                    "error": np.sqrt(alpha * (1 - alpha) / n),
                }
            )
    return pd.DataFrame(found)


def rejections_table() -> str:
    rows = []
    for (study, test, methods), part in rejections().groupby(["study", "test", "methods"], sort=False):
        cells = part.set_index("alpha")
        words = [f"`{study}`", test, methods, f"{cells['n'].iloc[0]:,.0f}"]
        rows.append([*words, *(with_error(*cells.loc[a, ["value", "error"]]) for a in (0.05, 0.01))])
    return markdown(["study", "test", "methods", "replicates", "at 5 %", "at 1 %"], rows)


def mean_bias(rows: pd.DataFrame) -> tuple[float, float]:
    """Mean over cells, each with one row, and its Monte Carlo error."""
    return float(rows["bias"].mean()), float(np.sqrt((rows["mcse_bias"] ** 2).sum()) / len(rows))


def facts() -> dict[str, str]:
    """Numbers of the page's sentences."""
    told = {f"{kind.group}: {kind.name}": mean_coverage(kind.rows) for kind in kinds()}
    steps = rows_of("categories", method="full", truth_label="steps")
    worst = steps.loc[steps["bias"].abs().idxmax()]
    few = steps[steps["studies.calibrators"] == 29]
    gaps = rows_of("imputation", method="missing indicator", exposure=ONE_POINT)
    own, common = (
        rows_of(study, method="induced", truth_label="bent", exposure="25")
        for study in ("season", "season_common")
    )
    judged = further_judged()
    low, high = family_bounds(judged)
    outside = (judged["coverage"] < low) | (judged["coverage"] > high)
    return {f"cover[{name}]": with_error(*value) for name, value in told.items()} | {
        "further_intervals": f"{len(judged):,}",
        "further_outside": str(int(outside.sum()) or "none"),
        "further_mean": f"{judged['coverage'].mean():.3f}",
        "steps_bias": with_error(abs(worst["bias"]), worst["mcse_bias"], 2),
        "steps_se": f"{1 + few['relative_error_model_se'].mean() / 100:.2f}",
        "gaps_bias": with_error(*mean_bias(gaps)),
        "own_bias": with_error(*mean_bias(own)),
        "common_bias": with_error(*mean_bias(common)),
        "n_two_stage": f"{int(read('two_stage', 'performance', ('exposure',))['n'].max()):,}",
        "n_linear": f"{int(read('linear', 'performance', ('exposure',))['n'].max()):,}",
        "n_categories": f"{int(read('categories', 'performance', ('exposure',))['n'].max()):,}",
        "n_levels": f"{int(read('levels', 'performance', ('exposure',))['n'].max()):,}",
        "n_season": f"{int(read('season', 'performance', ('exposure',))['n'].max()):,}",
        "n_imputation": f"{int(read('imputation', 'performance', ('exposure',))['n'].max()):,}",
        "n_calibration": f"{int(read('calibration', 'performance', ('exposure',))['n'].max()):,}",
    }
