# Pin what metafor finds in studies.csv.  Run in this folder: Rscript run_metafor.R   (writes pins.json)
suppressMessages({ library(metafor); library(digest) })

number <- function(x) {
  x <- as.numeric(x)
  if (is.na(x)) "null" else if (is.infinite(x)) stop("infinite") else sprintf("%.17g", x)
}
vector_json <- function(x) paste0("[", paste(vapply(x, number, ""), collapse = ", "), "]")
matrix_json <- function(m) paste0("[", paste(apply(m, 1, vector_json), collapse = ", "), "]")
object_json <- function(parts) {
  paste0("{", paste(sprintf('"%s": %s', names(parts), unlist(parts)), collapse = ", "), "}")
}

# The restricted search is carried to rounding; metafor's default stops about 1e-5 away in tau^2.
uni_control <- list(threshold = 1e-14, maxiter = 10000, stepadj = 0.5)

univariate <- function(y, v, method, test) {
  fit <- suppressWarnings(rma(y, v, method = method, test = test, control = uni_control))
  one <- list(estimate = fit$b, std_error = fit$se, statistic = fit$zval, p_value = fit$pval,
              conf_low = fit$ci.lb, conf_high = fit$ci.ub, tau_squared = fit$tau2,
              tau_squared_std_error = if (method == "FE") NA else fit$se.tau2,
              q = fit$QE, q_p_value = fit$QEp, i_squared_metafor = fit$I2 / 100, h_squared_metafor = fit$H2)
  if (method == "REML") one$restricted_log_likelihood <- fit$fit.stats["ll", "REML"]
  one <- lapply(one, number)
  one$weights <- vector_json(weights(fit) / 100)
  one$left_out <- if (length(y) < 4) "[]" else matrix_json(t(vapply(seq_along(y), function(s) {
    less <- suppressWarnings(rma(y[-s], v[-s], method = method, test = test, control = uni_control))
    c(less$b, less$se, less$tau2, less$QE)
  }, numeric(4))))
  object_json(one)
}

mv_fit <- function(b, V, method) {
  k <- nrow(b); p <- ncol(b)
  long <- data.frame(y = as.vector(t(b)), study = rep(seq_len(k), each = p), term = factor(rep(seq_len(p), k)))
  # Several optimisers, each to rounding; the highest restricted likelihood is kept.
  tries <- list(
    list(optimizer = "nlminb", rel.tol = 1e-15, iter.max = 20000, eval.max = 20000),
    list(optimizer = "nlminb", rel.tol = 1e-15, iter.max = 20000, eval.max = 20000, cholesky = FALSE),
    list(optimizer = "optim", optmethod = "BFGS", reltol = 1e-16, maxit = 20000),
    list(optimizer = "optim", optmethod = "Nelder-Mead", reltol = 1e-16, maxit = 100000))
  if (method == "FE") return(rma.mv(y, V, mods = ~ term - 1, data = long))
  search <- function(control) tryCatch(suppressWarnings(
    rma.mv(y, V, mods = ~ term - 1, random = ~ term | study, struct = "UN", data = long, method = "REML",
           control = control)), error = function(e) NULL)
  highest <- function(fits) {
    fits <- Filter(Negate(is.null), fits)
    if (length(fits) == 0) stop("no optimiser converged")
    fits[[which.max(vapply(fits, function(f) as.numeric(logLik(f)), 0))]]
  }
  best <- highest(lapply(tries, search))
  finish <- c(tries[4], list(list(optimizer = "nlm", gradtol = 1e-14, steptol = 1e-14, iterlim = 5000)))
  # Start again from the best, which brings flat maxima on the boundary closer.
  for (round in 1:3) {
    again <- list(tau2.init = pmax(best$tau2, 1e-8), rho.init = pmin(pmax(best$rho, -.999999), .999999))
    best <- highest(c(list(best), lapply(finish, function(control) search(c(control, again)))))
  }
  best
}

multivariate <- function(b, within, method) {
  fit <- mv_fit(b, do.call(bldiag, within), method)
  parts <- list(estimate = vector_json(fit$b), covariance = matrix_json(fit$vb),
                q = number(fit$QE), q_p_value = number(fit$QEp))
  if (method == "REML") {
    parts$between_covariance <- matrix_json(matrix(fit$G, ncol(b)))
    parts$restricted_log_likelihood <- number(logLik(fit))
  }
  if (nrow(b) == 5 && ncol(b) == 2) {
    parts$left_out <- matrix_json(t(vapply(seq_len(nrow(b)), function(s) {
      less <- mv_fit(b[-s, ], do.call(bldiag, within[-s]), method)
      c(less$b, less$vb[lower.tri(less$vb, diag = TRUE)])
    }, numeric(5))))
  }
  object_json(parts)
}

studies <- read.csv("studies.csv")
grids <- list()
for (grid in unique(studies$grid)) {
  rows <- studies[studies$grid == grid, ]
  p <- sum(!is.na(rows[1, c("b1", "b2", "b3")]))
  b <- as.matrix(rows[, paste0("b", seq_len(p)), drop = FALSE])
  within <- lapply(seq_len(nrow(rows)), function(s) {
    V <- matrix(0, p, p)
    for (i in seq_len(p)) for (j in seq_len(i)) V[i, j] <- V[j, i] <- rows[s, paste0("v", i, j)]
    V
  })
  parts <- list()
  for (method in c("FE", "DL", "REML")) for (test in c("z", "knha", "adhoc"))
    parts[[paste(method, test, sep = "_")]] <- univariate(b[, 1], rows$v11, method, test)
  if (p > 1) for (method in c("FE", "REML"))
    parts[[paste("mv", method, sep = "_")]] <- multivariate(b, within, method)
  grids[[grid]] <- paste0("{\n      ", paste(sprintf('"%s": %s', names(parts), unlist(parts)),
                                             collapse = ",\n      "), "\n    }")
}
head <- object_json(list(R = sprintf('"%s"', getRversion()), metafor = sprintf('"%s"', packageVersion("metafor")),
                         studies_csv_sha256 = sprintf('"%s"', digest(file = "studies.csv", algo = "sha256"))))
cat('{\n  "made_with": ', head, ',\n  "grids": {\n    ',
    paste(sprintf('"%s": %s', names(grids), unlist(grids)), collapse = ",\n    "), "\n  }\n}\n",
    sep = "", file = "pins.json")
