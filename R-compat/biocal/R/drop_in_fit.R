# The work behind the replacements of drop_in.R.

drop_in_fit <- function(data, X, S, H, W, Y, strata, nstud, nref, method = "full", knots = NULL, V = NULL,
                        covar = NA) {
  data <- as_table(data)
  covar <- if (length(covar) == 1 && is.na(covar)) character() else as.character(covar)
  names <- c(X = X, S = S, H = H, W = W, Y = Y, strata = strata)
  absent <- setdiff(c(names, covar, V), names(data))
  if (length(absent)) stop_input(sprintf("there is no column '%s' in the data", absent[1]))
  studies <- drop_in_studies(data[[S]], data[[H]], nstud, nref)
  # X counts in the calibration subset and the reference studies only, whatever stands elsewhere; W in local ones
  sheet <- data.frame(study = data[[S]], set = data[[strata]], case = data[[Y]],
                      local = ifelse(data[[H]] == 2, NA, data[[W]]),
                      reference = ifelse(data[[H]] == 0, NA, data[[X]]))
  for (name in union(covar, V)) sheet[[paste0("covariate_", name)]] <- data[[name]]
  terms <- function(names) if (length(names)) sprintf("`covariate_%s`", names)
  right <- c(if (length(V)) paste("exposure *", terms(V)) else "exposure", terms(setdiff(covar, V)), "strata(set)")
  formula <- stats::as.formula(paste("case ~", paste(right, collapse = " + ")), env = baseenv())
  fit <- biocal_fit(formula, sheet, method = method, exposure = if (is.null(knots)) "linear" else "rcs",
                    probs = knots, knot_rule = if (!is.null(knots)) "published",
                    calibration_covariates = "none", reference_study = studies$reference,
                    local_study = studies$local)
  drop_in_value(fit, method, V)
}

# Names of reference and local studies; refuses data that contradict nstud, nref and H.
drop_in_studies <- function(study, in_calibration, nstud, nref) {
  found <- sort(unique(study))
  if (length(found) != nstud) stop_input(sprintf("nstud is %d, but the data have %d studies", nstud, length(found)))
  odd <- setdiff(unique(in_calibration), 0:2)
  if (length(odd)) {
    stop_input(sprintf("H must be 0 (not calibrated), 1 (calibration subset) or 2 (reference laboratory), found %s", odd[1]))
  }
  reference <- found[seq_len(nref)]
  wrong <- (in_calibration == 2) != (study %in% reference)
  if (any(wrong)) {
    stop_input(sprintf("row %d: study %s has H = %s, but the first %d studies (%s) are the reference studies",
                       which(wrong)[1], study[wrong][1], in_calibration[wrong][1], nref,
                       paste(reference, collapse = ", ")))
  }
  local <- setdiff(found, reference)
  list(reference = if (length(reference)) as.character(reference), local = if (length(local)) as.character(local))
}

# The published value: one row of coefficients, relative risks and variances.
drop_in_value <- function(fit, method, V) {
  beta <- coef(fit, method)
  variance <- diag(vcov(fit, method))
  shown <- grep("^exposure", names(beta))
  beta <- beta[shown]
  variance <- variance[shown]
  knots <- fit$methods[[method]]$knots
  if (is.numeric(knots)) {
    divisor <- c(1, rep((max(knots) - min(knots))^2, length(beta) - 1))
    beta <- beta / divisor
    variance <- variance / divisor^2
    columns <- outer(seq_along(beta), c("point estimate of beta_fx%d", "Estimated RR_fx%d",
                                        "Estimated variance of beta_fx%d"), function(i, words) sprintf(words, i))
  } else if (length(V)) {
    products <- sub("^exposure:covariate_", "", names(beta)[-1])
    columns <- c("betax", products, paste0("RR", c("x", products)), paste0("Var", c("x", products)))
  } else {
    columns <- c("Point estimate of betax", "Estimated RR", "Estimated variance of betahatx")
  }
  value <- matrix(c(beta, exp(beta), variance), nrow = 1, dimnames = list(NULL, c(columns)))
  structure(value, fit = fit)
}
