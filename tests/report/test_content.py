"""What a report says is what the fit found."""

from __future__ import annotations

import numpy as np
import pytest
from cli_pool import small_pool
from report_pages import Page, small_fit

import biocal as bc
from biocal.errors import OptionError, OutputError
from biocal.report.api import report_html
from biocal.report.sections.curves import table_exposures
from biocal.results.fit.tables import csv_bytes, fit_tables


@pytest.fixture(scope="module")
def fits():
    return small_fit(method=["naive", "internalized", "full", "induced", "two-stage"])


@pytest.fixture(scope="module")
def page(fits) -> Page:
    return Page(report_html(fits))


def test_the_odds_ratios_of_the_table_are_those_of_the_curves(fits, page):
    shown = page.table("Odds ratio against 60 nmol/L (95 % interval)")
    assert list(shown.columns) == list(fits)
    for method, fit in fits.items():
        for exposure in (40.0, 80.0):
            row = fit.dose_response(at=[exposure]).tidy().iloc[0]
            expected = f"{row['or']:.2f} ({row['or_low']:.2f} to {row['or_high']:.2f})"
            assert shown.loc[f"{exposure:g}", method] == expected
        assert shown.loc["60", method] == "1 (reference)"


def test_exposures_of_the_table_are_round_and_within_those_that_controls_have(fits):
    full = fits["full"]
    shown = table_exposures(full)
    assert 6 <= shown.size <= 16
    assert np.all((shown >= full.info.scale.low) & (shown <= full.info.scale.high))
    np.testing.assert_array_equal(shown % 2.5, 0)


def test_exposures_that_were_asked_for_are_the_rows():
    fits = small_fit(at=[41.5, 52.25, 70.0])
    shown = Page(report_html(fits)).table("Odds ratio against 60 nmol/L")
    assert list(shown.index) == ["41.5", "52.25", "60", "70"]


def test_the_flow_adds_up(fits, page):
    shown = page.table("Participants by study").replace(",", "", regex=True).astype(int)
    lost = [name for name in shown.columns if name.startswith("Left out")]
    used = shown["Cases used"] + shown["Controls used"]
    assert (shown["Rows read"] == shown[lost].sum(axis=1) + used).all()
    assert (shown.iloc[:-1].sum() == shown.loc["All studies"]).all()
    sample = fits["full"].sample
    assert shown.loc["All studies", "Cases used"] == sample.n_cases
    assert f"{shown.loc['All studies', 'Rows read']:,} rows read" in page.text


def test_rows_that_were_left_out_have_their_reason():
    frame = small_pool()
    frame.loc[[3, 130], "bmi"] = np.nan
    frame.loc[[60], "local"] = np.nan
    page = Page(report_html(small_fit(frame)))
    assert "missed a covariate (bmi 2)" in page.text
    assert "of local studies had no local value" in page.text
    assert "1 set without a case" in page.text or "without a case, " in page.text
    shown = page.table("Participants by study")
    assert shown.loc["North", "Left out: covariate missing"] == "1"
    assert shown.loc["All studies", "Left out: no local value"] == "1"


def test_calibration_lines_and_their_quality_are_told(fits, page):
    shown = page.table("Calibration line of each local study")
    assert list(shown.index) == ["North", "South"]
    for study in fits["full"].calibration.studies:
        if study.kind == "local":
            row = shown.loc[study.study]
            assert float(row["Slope (SE)"].split()[0]) == pytest.approx(study.slope, abs=0.05)
            assert (row["Pairs"], row["R²"]) == (str(study.n_calibration), f"{study.r_squared:.2f}")
    assert (
        len([e for e in page.all("svg") if e.attributes["aria-label"].startswith(("North:", "South:"))]) == 2
    )


def test_faults_of_a_calibration_are_told_in_words_with_the_study():
    rng = np.random.default_rng(7)
    frame = small_pool()
    local = (frame["study"] == "North") & frame["reference"].notna()
    values = frame.loc[local, "local"]
    # residuals that grow with the value, few of them, in a narrow range
    spread = (values - values.min()) / np.ptp(values)
    frame.loc[local, "reference"] = 60 + rng.normal(0, 1, spread.size) * (0.2 + 30 * spread**2)
    kept = frame.index[local][(values > values.quantile(0.2)) & (values < values.quantile(0.8))][:19]
    frame.loc[local & ~frame.index.isin(kept), "reference"] = np.nan
    page = Page(report_html(small_fit(frame, method="full", calibration_covariates="none")))
    warned = page.with_id("beware").parent.text
    for words in ("Few pairs (below 20): North", "Poor agreement", "beyond the range of the pairs: North"):
        assert words in warned


def test_unequal_variance_and_curvature_are_seen():
    rng = np.random.default_rng(11)
    frame = small_pool(n_sets=300)
    for study, law in (("North", "fan"), ("South", "bent")):
        chosen = frame.index[(frame["study"] == study) & (frame["case"] == 0)]
        w = frame.loc[chosen, "local"].to_numpy()
        z = (w - w.mean()) / w.std()
        noise = rng.normal(0, 4, w.size)
        reference = 60 + 15 * z + (noise * np.exp(0.7 * z) if law == "fan" else noise + 4 * z**2)
        frame.loc[chosen, "reference"] = reference
    warned = Page(report_html(small_fit(frame, method="full"))).with_id("beware").parent.text
    unequal, curved = (
        next(s for s in warned.splitlines() if words in s) for words in ("unequal", "curvature")
    )
    assert ": North." in unequal
    assert ": South." in curved


def test_tests_shares_studies_and_heterogeneity_are_those_of_the_fits(fits, page):
    tests = page.table("Tests")
    overall = fits["full"].test_overall()
    assert tests.loc["Association (all exposure terms)", "df"] == str(overall.df)
    assert tests.loc["Association (all exposure terms)", "full"].startswith(f"{overall.statistic:.3g}"[:3])
    share = fits["full"].dose_response(at=[40.0]).shares.sum()
    shown = page.table("Share of the variance of the log OR that is due to the calibrations")
    assert shown.loc["40", "full"] == f"{100 * share:.1f} %"
    assert "naive" not in shown.columns
    contrast = fits["two-stage"].studies.contrast()
    by_study = page.table("Odds ratio by study")
    assert list(by_study.index) == list(contrast.studies)
    assert f"{np.exp(contrast.estimates[0]):.2f} (" in by_study.iloc[0, 2]
    assert f"Q = {contrast.pooled.heterogeneity.q:.4g}"[:7] in page.text


def test_the_sentences_follow_full_calibration_and_name_the_change_from_naive(fits, page):
    low = float(np.quantile(fits["full"].info.scale.control_exposure, 0.10))
    ratio = float(np.exp(fits["full"].dose_response(at=[low]).log_or[0]))
    short = page.with_id("short").parent.text
    assert "Result, by method full" in short
    assert f"{ratio:.2f} (" in short
    assert "Calibration (full against naive) moves the odds ratio" in page.text


def test_downloads_are_the_files_of_the_command_byte_for_byte(fits, page):
    found, expected = page.files(), fit_tables(fits)
    assert set(found) == {f"{name}.csv" for name in expected} | {"participants.csv"}
    for name, table in expected.items():
        if name == "calibration":
            table = table.drop(columns=["local_min", "local_max", "calibration_min", "calibration_max"])
        assert found[f"{name}.csv"] == csv_bytes(table)


def test_every_warning_of_the_fits_is_on_the_page(fits, page):
    told = set(fits["full"].calibration.notes)
    notes = [n for n in fits["full"].info.notes if n not in told] + [
        n for f in fits.values() for n in f.notes
    ]
    assert notes
    for note in notes:
        words = note.split(": ", 1)[-1].rstrip(".")[1:60]
        assert words in page.text


def test_a_fit_without_standard_errors_says_so_and_shows_no_interval():
    page = Page(report_html(small_fit(method="induced", residual_law="smearing")))
    assert (
        "Standard errors: none: with smearing residuals only the bootstrap"
        in page.with_id("beware").parent.text
    )
    assert " to " not in page.table("Odds ratio against 60 nmol/L").to_string()


def test_a_remark_of_several_methods_is_told_once():
    fits = small_fit(method=["naive", "full"], exposure=bc.categories([50, 70]), reference=None)
    text = Page(report_html(fits)).with_id("beware").parent.text
    assert "Methods naive, full" in text
    assert text.count("are taken as fixed by the sandwich") == 1


def test_a_method_that_failed_is_told_with_its_reason(fits):
    broken = type(fits)({"full": fits["full"]}, {"induced": "no maximum was found"})
    text = Page(report_html(broken)).text
    assert "induced: no maximum was found" in text


def test_effect_modification_has_a_sentence_and_a_table_a_level():
    fits = small_fit(modifier="sex", method=["full"])
    page = Page(report_html(fits))
    levels = fits["full"].info.modifier_levels.labels
    assert len(levels) == 2
    for response in fits["full"].dose_responses():
        assert f"For {response.modifier}: odds ratio" in page.text
        assert page.table(f"Odds ratio against 60 nmol/L (95 % interval), {response.modifier}").shape[0] > 3
    assert "Effect modification (all products)" in page.table("Tests").index


def test_the_bootstrap_is_shown_where_there_is_one():
    fits = small_fit(method=["full"], exposure=bc.linear(), bootstrap=12, seed=4)
    page = Page(report_html(fits))
    assert "12 replicates, seed 4" in page.text
    assert "bootstrap.csv" in page.downloads()


def test_an_analysis_without_local_studies_says_that_nothing_was_calibrated():
    frame = small_pool()
    page = Page(report_html(small_fit(frame[frame["study"] == "West"], method="full")))
    assert "all measured at the reference laboratory" in page.text
    assert "nothing was calibrated" in page.text
    assert not [e for e in page.elements if e.attributes.get("id") == "calibration"]


def test_methods_cite_only_what_was_used_and_number_it_in_order(fits, page):
    text = page.with_id("methods").parent.text
    assert text.index("[1, 2]") < text.index("[3, 2]")
    assert "Prentice" in text
    alone = Page(report_html(fits["naive"])).with_id("methods").parent.text
    assert "Prentice" not in alone
    assert "Hartung" not in alone


def test_options_given_and_versions_are_in_the_appendix(fits):
    page = Page(report_html(fits, options={"covariates": "bmi", "level": 0.95, "out": "/secret/place"}))
    assert page.table("Options").loc["covariates", "Value"] == "bmi"
    assert "/secret/place" not in page.source
    assert page.table("Versions").loc["biocal", "Version"] == bc.__version__


def test_write_report_writes_whole_files_and_replaces_none_unasked(tmp_path, fits):
    path = bc.write_report(fits["naive"], tmp_path / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(OutputError) as refused:
        bc.write_report(fits["naive"], path)
    assert refused.value.existing == (str(path),)
    bc.write_report(fits["naive"], path, force=True)
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(OutputError, match="cannot be written"):
        bc.write_report(fits["naive"], tmp_path / "nowhere" / "report.html")


def test_a_report_of_something_else_is_refused():
    with pytest.raises(OptionError, match="not of dict"):
        report_html({})


def test_negative_suppression_is_refused(fits):
    with pytest.raises(OptionError, match="below -1"):
        report_html(fits, suppress=-1)
