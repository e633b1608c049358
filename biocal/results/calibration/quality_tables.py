"""The findings of the quality gate as tables, lines and notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from biocal.results.calibration.quality import WHY_LEAST_SQUARES, StudyQuality
from biocal.results.text import number, paragraph, table

if TYPE_CHECKING:
    import pandas as pd

#: Columns of calibration_quality.csv, in order.
QUALITY_COLUMNS = (
    *("study", "light", "reasons", "form", "estimator", "pairs", "below_limit", "r_squared", "residual_sd"),
    *("residual_sd_low", "residual_sd_middle", "residual_sd_high", "p_unequal_variance", "p_curvature"),
    *("outside", "slope", "se_slope", "largest_slope_change", "influential"),
    *("most_influential", "largest_leverage", "largest_cook_distance", "huber_slope"),
    *("bias", "agreement_low", "agreement_high", "deming_intercept", "deming_slope"),
    *(
        "passing_bablok_intercept",
        "passing_bablok_slope",
        "passing_bablok_slope_low",
        "passing_bablok_slope_high",
    ),
    *("p_batch",),
)


def quality_table(qualities: Sequence[StudyQuality], form: str, estimator: str) -> pd.DataFrame:
    """One row a local study, columns as in calibration_quality.csv."""
    import pandas as pd

    rows = [
        (
            q.study,
            q.light,
            "; ".join(f"{light}: {reason}" for light, reason in q.reasons()),
            form,
            estimator,
            q.pairs,
            q.below,
            q.r_squared,
            q.residual_sd,
            *q.sd_by_third,
            q.p_unequal,
            q.p_curved,
            q.outside,
            q.slope,
            q.se_slope,
            q.largest_change,
            len(q.influential),
            q.influential[0].place if q.influential else "",
            q.largest_leverage,
            q.largest_cook,
            q.huber_slope,
            q.agreement.bias,
            q.agreement.low,
            q.agreement.high,
            q.deming.intercept,
            q.deming.slope,
            q.passing_bablok.intercept,
            q.passing_bablok.slope,
            q.passing_bablok.slope_low,
            q.passing_bablok.slope_high,
            q.p_batch,
        )
        for q in qualities
    ]
    return pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))


def batch_table(qualities: Sequence[StudyQuality]) -> pd.DataFrame:
    """One row a batch: study, batch, pairs, intercept, slope, se_slope."""
    import pandas as pd

    names = ("study", "batch", "pairs", "intercept", "slope", "se_slope")
    rows = [
        (q.study, b.batch, b.pairs, b.intercept, b.slope, b.se_slope) for q in qualities for b in q.batches
    ]
    return pd.DataFrame(rows, columns=list(names))


def quality_lines(qualities: Sequence[StudyQuality], *, form: str = "linear") -> list[str]:
    """The gate in words, and the laboratories' lines, for a summary."""
    if not qualities:
        return []
    lines = ["", "Quality of the calibrations"]
    green = [q.study for q in qualities if q.light == "green"]
    for light in ("red", "amber"):
        for q in qualities:
            if q.light == light:
                worst = sorted(q.reasons(), key=lambda reason: reason[0] != "red")
                lines.append(
                    paragraph(f"{q.study}: {'; '.join(reason for _, reason in worst)}", bullet=f"{light:6}")
                )
    if green:
        lines.append(paragraph(", ".join(green), bullet="green "))
    lines += _batch_lines(qualities) if form != "log-log" else []
    header = (
        "study",
        "bias",
        "95 % limits",
        "least squares",
        "Deming",
        "Passing-Bablok",
        "SD low",
        "middle",
        "high",
    )
    rows = [
        (
            q.study,
            number(q.agreement.bias, 3),
            f"{number(q.agreement.low, 3)} to {number(q.agreement.high, 3)}",
            number(q.slope, 3) if form != "log-log" else "",
            number(q.deming.slope, 3),
            number(q.passing_bablok.slope, 3),
            *(number(sd, 3) if math.isfinite(sd) else "" for sd in q.sd_by_third),
        )
        for q in qualities
    ]
    lines += [
        "",
        "For the laboratory: reference minus local (Bland-Altman), slopes, residual SD by thirds of local",
    ]
    lines += [table(header, rows), paragraph(WHY_LEAST_SQUARES)]
    return lines


def _batch_lines(qualities: Sequence[StudyQuality]) -> list[str]:
    """Slopes by batch, where a batch was named."""
    with_batches = [q for q in qualities if q.batches]
    if not with_batches:
        return []
    rows = [
        (
            q.study if k == 0 else "",
            one.batch,
            str(one.pairs),
            number(one.slope, 3),
            number(one.se_slope, 2),
            f"{q.p_batch:.2g}" if k == 0 and math.isfinite(q.p_batch) else "",
        )
        for q in with_batches
        for k, one in enumerate(q.batches)
    ]
    header = ("study", "batch", "pairs", "slope", "(SE)", "p of one line")
    return ["", "Slopes by batch (batches of 5 pairs or more)", table(header, rows, left=2)]


def quality_note(qualities: Sequence[StudyQuality]) -> tuple[str, ...]:
    """One sentence for the summary of a fit; none when all are green."""
    named = {light: [q.study for q in qualities if q.light == light] for light in ("red", "amber", "green")}
    if not named["red"] and not named["amber"]:
        return ()
    parts = [f"{light}: {', '.join(named[light])}" for light in ("red", "amber") if named[light]]
    return (f"quality of the calibrations: {'; '.join(parts)} (reasons in calibration_quality.csv)",)
