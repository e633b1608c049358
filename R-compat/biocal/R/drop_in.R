# Replacements for published functions, under their names and with their arguments, so that an old script
# runs by changing its source() line to this file.  They fit by biocal's command: the published rule for
# knots (the method's own exposure, cases and controls), calibration on the local value alone, splines
# without divisor; variances are those of the stacked sandwich (see variances.md beside the package).

# Full calibration with a restricted cubic spline.  Under options(biocal.fc_df = "linear") the published
# linear function of the same name.
fc_df <- function(data, X, S, H, W, Y, strata, nstud, nref, knots, covar = NA) {
  if (identical(getOption("biocal.fc_df", "spline"), "linear")) {
    if (!missing(knots)) covar <- knots  # the tenth argument of the linear function
    return(fc_df_linear(data, X, S, H, W, Y, strata, nstud, nref, covar))
  }
  biocal::drop_in_fit(data, X, S, H, W, Y, strata, nstud, nref, "full", knots = knots, covar = covar)
}

# Internalized calibration with a restricted cubic spline.
int_df <- function(data, X, S, H, W, Y, strata, nstud, nref, knots, covar = NA) {
  biocal::drop_in_fit(data, X, S, H, W, Y, strata, nstud, nref, "internalized", knots = knots, covar = covar)
}

fc_df_no_cov <- function(data, X, S, H, W, Y, strata, nstud, nref, knots) {
  biocal::drop_in_fit(data, X, S, H, W, Y, strata, nstud, nref, "full", knots = knots)
}

int_df_no_cov <- function(data, X, S, H, W, Y, strata, nstud, nref, knots) {
  biocal::drop_in_fit(data, X, S, H, W, Y, strata, nstud, nref, "internalized", knots = knots)
}

# Full calibration, linear exposure.
fc_df_linear <- function(data, X, S, H, W, Y, strata, nstud, nref, covar = NA) {
  biocal::drop_in_fit(data, X, S, H, W, Y, strata, nstud, nref, "full", covar = covar)
}

# Full calibration, linear exposure with effect modifiers V.
fc_df_xv <- function(data, X, S, H, W, Y, strata, nstud, nref, V, covar = NA) {
  biocal::drop_in_fit(data, X, S, H, W, Y, strata, nstud, nref, "full", V = V, covar = covar)
}
