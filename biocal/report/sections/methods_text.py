"""The methods paragraph of a report, from what was done, with its references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from biocal.report.sections.participants import Participants
from biocal.results.fit.fit import Fit
from biocal.results.text import count, exact, terms_of_columns

WHAT_METHODS_DO: Mapping[str, str] = {
    "naive": "takes local values as if all laboratories agreed. It is shown for comparison only.",
    "internalized": "uses calibrated values, but the observed reference value of the persons in the calibration "
    "subset. Only controls have one, so that the error differs between cases and controls and the curve is biased, "
    "the more so the larger the subset.",
    "full": "uses calibrated values for everybody in local studies, calibration persons included. Where the "
    "curve bends it is biased, the more so the poorer the calibrations: in simulations with two bent curves by 1 to "
    "5 % of the log odds ratio on average at R² .9, and by 3 to 18 % at R² .6.",
    "induced": "averages the odds over the law of the reference value given the local one (Prentice's induced "
    "relative risk). In 65 of 68 simulated designs with bent curves it had less bias than full, with standard errors "
    "4 % smaller to 9 % larger (1,000 replicates each, normal residuals of constant variance). It assumes such "
    "residuals unless told otherwise, and that the error does not depend on case status.",
    "two-stage": "calibrates and fits within each study and then combines the studies by random-effects "
    "meta-analysis. It carries differences between studies in its intervals, and needs studies large enough to be "
    "fitted alone.",
}

_REFERENCES: Mapping[str, str] = {
    "wu": "Wu, Gail, Smith-Warner, Ziegler, Wang. Spline analysis of biomarker data pooled from multiple "
    "matched/nested case-control studies. Cancers 2022;14:2783. arXiv:1911.09254.",
    "sloan": "Sloan, Smith-Warner, Ziegler, Wang. Biostatistics 2021;22:541-557. doi:10.1093/biostatistics/kxz051.",
    "gail": "Gail, Lubin, Rubinstein. Likelihood calculations for matched case-control studies and survival studies "
    "with tied death times. Biometrika 1981;68:703-707.",
    "season": "Gail et al. Calibration and seasonal adjustment for matched case-control studies of vitamin D and "
    "cancer. Statistics in Medicine 2016;35:2133-2148. doi:10.1002/sim.6856.",
    "harrell": "Harrell. Regression Modeling Strategies. 2nd ed. Springer 2015, section 2.4.",
    "prentice": "Prentice. Covariate measurement errors and parameter estimation in a failure time regression "
    "model. Biometrika 1982;69:331-342.",
    "i2": "Higgins, Thompson. Quantifying heterogeneity in a meta-analysis. Statistics in Medicine 2002;21:1539-1558.",
    "knapp": "Hartung, Knapp. A refined method for the meta-analysis of controlled clinical trials with binary "
    "outcome. Statistics in Medicine 2001;20:3875-3889.",
    "morris": "Morris, White, Crowther. Using simulation studies to evaluate statistical methods. Statistics in "
    "Medicine 2019;38:2074-2102.",
}


@dataclass(frozen=True, slots=True)
class Cited:
    """Text with numbered references.

    Attributes
    ----------
    paragraphs : tuple of str
    references : tuple of str
        In the order of their numbers, from 1.
    """

    paragraphs: tuple[str, ...]
    references: tuple[str, ...]


class _Citations:
    """Numbers references in the order in which they are called."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, *keys: str) -> str:
        for key in keys:
            if key not in self.keys:
                self.keys.append(key)
        return f"[{', '.join(str(self.keys.index(key) + 1) for key in keys)}]"

    @property
    def references(self) -> tuple[str, ...]:
        return tuple(_REFERENCES[key] for key in self.keys)


def fit_methods(fits: Sequence[Fit], participants: Participants, pairs: str) -> Cited:
    """The methods of a fit, for the paper's methods section; `pairs` is the number of calibration pairs."""
    cite = _Citations()
    first = fits[0]
    paragraphs = [
        _design(first, participants, cite),
        _calibration(first, pairs, cite),
        _exposure(first, cite),
        _inference(fits, cite),
    ]
    return Cited(tuple(text for text in paragraphs if text), cite.references)


def _design(fit: Fit, participants: Participants, cite: _Citations) -> str:
    info, sample = fit.info, fit.sample
    noun = "matched or nested case-control stud"
    how = "were pooled and"
    if sample.sums is not None and sample.sums.kind == "federated":
        how = (
            f"stayed at {sample.sums.source}, which returned sums of counts, moments, scores and information alone; "
            "from these they were"
        )
    text = (
        f"Individual data of {count(sample.n_studies, noun + 'y', noun + 'ies')} ({participants.cases} cases and "
        f"{participants.controls} controls in {participants.set_cell(-1)} matched sets) {how} analysed by "
        f"conditional logistic regression with the exact likelihood of each matched set {cite('gail', 'wu')}"
    )
    text += f", adjusted for {info.covariates}." if info.covariates else ", without covariates."
    if info.modifier:
        text += f" Effect modification by {info.modifier}: products with all exposure terms."
    if info.omitted:
        text += f" Constant within every matched set and so omitted: {terms_of_columns(info.omitted)}."
    return text


def _calibration(fit: Fit, pairs: str, cite: _Citations) -> str:
    info, sample = fit.info, fit.sample
    if not fit.local_names:
        return "All studies were measured at the reference laboratory, so that nothing was calibrated."
    text = (
        f"{count(sample.n_reference_studies, 'study was', 'studies were')} measured at the reference laboratory. In "
        f"the {count(len(fit.local_names), 'other', 'others')}, reference values were predicted by least squares from "
        "the local laboratory's value, with an intercept and a slope for each study, in the controls measured in both "
        f"laboratories ({pairs} persons) {cite('sloan', 'wu')}"
    )
    if info.calibration_names:
        shared = "common to the studies" if info.calibration_coefficients == "common" else "for each study"
        text += f", and from {terms_of_columns(info.calibration_names)} with coefficients {shared}."
    else:
        text += ", without further covariates."
    return f"{text} The reference measurement defines the exposure; its own error is not corrected."


def _exposure(fit: Fit, cite: _Citations) -> str:
    unit = f" {fit.info.labels.unit}" if fit.info.labels.unit else ""
    text = ""
    season = fit.info.season
    if season is not None:
        pairs = "a cosine and a sine of the day of the year"
        pairs += ", and of twice its angle," if season.n_harmonics == 2 else ""
        text = (
            f"The exposure was standardised to {season.reference} {cite('season')}: {pairs} were fitted in each "
            f"study, in {season.whose()}, on the reference scale and taken off before the exposure terms were built. "
        )
    text += f"The exposure entered as {fit.basis.describe(fit.info.labels.unit)}"
    if fit.basis.kind == "rcs":
        same = fit.info.knot_rule == "common"
        text += (
            f" {cite('harrell')}, {'the same for all methods' if same else 'each method with its own knots'}"
        )
        text += "; knots count as fixed"
    text += "."
    if fit.basis.kind != "categories":
        rule = fit.info.scale.reference_rule
        source = "" if rule == "as asked" else f", the {rule}"
        text += f" Odds ratios are against {exact(fit.info.scale.reference)}{unit}{source}."
    return text


def _inference(fits: Sequence[Fit], cite: _Citations) -> str:
    kinds = dict.fromkeys(fit.variance for fit in fits)
    said = [f"{', '.join(f.method for f in fits if f.variance == kind)}: {kind}" for kind in kinds]
    text = f"Standard errors: {'; '.join(said)} {cite('wu')}. Tests are Wald tests; intervals have level "
    text += f"{100 * fits[0].info.level:g} %."
    methods = {fit.method for fit in fits}
    if "induced" in methods:
        text += (
            " The induced estimator maximises the conditional likelihood of the local values with the induced "
            f"relative risk {cite('prentice')}."
        )
    if "two-stage" in methods:
        text += (
            " Two-stage estimates combine the studies' coefficient vectors by multivariate restricted maximum "
            f"likelihood, single contrasts also with the Hartung-Knapp interval {cite('knapp')}; heterogeneity is told "
            f"by Q, I² {cite('i2')} and tau²."
        )
    bootstrap = next((fit.bootstrap for fit in fits if fit.bootstrap is not None), None)
    if bootstrap is not None:
        text += (
            f" Bootstrap intervals come from {bootstrap.n + bootstrap.n_failed:,} replicates "
            f"({bootstrap.resampling}; seed {bootstrap.seed})."
        )
    return text


def simulation_references() -> tuple[str, ...]:
    """References of a simulation report."""
    return (_REFERENCES["morris"], _REFERENCES["wu"])
