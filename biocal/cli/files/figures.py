"""Figures of the result files, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biocal.results.calibration.results import CalibrationResults
    from biocal.results.fit.comparison import Comparison

FORMATS = ("png", "svg")


def fit_figures(comparison: Comparison) -> dict[str, bytes]:
    """Return the figures of ``biocal fit`` by file name."""
    drawn = comparison.plot()
    files = _rendered("dose_response", getattr(drawn, "figure", drawn))
    for fit in comparison.values():
        if fit.studies is not None:
            from biocal.results.studies.estimates import draw_forest_figure

            files |= _rendered("forest", draw_forest_figure(fit))
    if next(iter(comparison.values())).info.asked.joint is not None:
        from biocal.results.figures import draw_joint

        files |= _rendered("joint", draw_joint(list(comparison.values())))
    season = next(iter(comparison.values())).info.season
    if season is not None:
        files |= _rendered("season", season.plot())
    files |= group_figures(comparison)
    calibration = next(iter(comparison.values())).calibration
    if calibration is not None:
        files |= calibration_figures(calibration)
    return files


def group_figures(comparison: Comparison) -> dict[str, bytes]:
    """Return the forest plots of subgroups and of leaving out one study, of the method that leads the report."""
    from biocal.report.sections.curves import leading_fit
    from biocal.results.groups.views import draw_leave_one_out, draw_subgroups

    fit = leading_fit(comparison)
    files: dict[str, bytes] = {}
    if any(one.fitted for one in fit.subgroups):
        files |= _rendered("subgroups", draw_subgroups(fit.subgroups))
    if fit.left_out is not None and fit.left_out.fitted:
        files |= _rendered("leave_one_out", draw_leave_one_out(fit.left_out))
    return files


def calibration_figures(calibration: CalibrationResults) -> dict[str, bytes]:
    """Return the calibration panels by file name; none when nothing was calibrated, or no pairs are known here."""
    if all(study.pairs_local.size == 0 for study in calibration.studies):
        return {}
    return _rendered("calibration", calibration.plot())


def quality_figures(calibration: CalibrationResults) -> dict[str, bytes]:
    """Return the figures of the quality gate by file name; none when nothing was calibrated."""
    if not calibration.quality:
        return {}
    return _rendered("bland_altman", calibration.plot_agreement()) | _rendered(
        "calibration_residuals", calibration.plot_residuals()
    )


def _rendered(name: str, figure: Any) -> dict[str, bytes]:
    from biocal.results.plots.save import figure_bytes, laid_out

    with laid_out(figure):
        return {f"{name}.{ending}": figure_bytes(figure, ending) for ending in FORMATS}
