# Base graphics of dose-response curves.

plot.biocal_fit <- function(x, method = names(x$methods), type = c("or", "log_or"), xlab = NULL, ylab = NULL,
                            col = NULL, xlim = NULL, ylim = NULL, main = NULL, legend = TRUE, ...) {
  type <- match.arg(type)
  for (one in method) chosen_method(x, one)
  curves <- x$tables$dose_response
  curves <- curves[curves$method %in% method, , drop = FALSE]
  if (!is.numeric(curves$exposure)) {
    stop_usage("plot() draws curves; for categories see the table dose_response of the fit")
  }
  half <- stats::qnorm(1 - (1 - x$options$level) / 2) * curves$std_error
  scale <- if (type == "or") exp else identity
  curves$middle <- scale(curves$log_or)
  curves$low <- scale(curves$log_or - half)
  curves$high <- scale(curves$log_or + half)
  curves$label <- paste(curves$method, curves$modifier %||% "")
  groups <- split(curves, factor(curves$label, unique(curves$label)))
  if (is.null(col)) col <- rep(c("#7F7F7F", "#0072B2", "#D55E00", "#009E73", "#CC79A7"), length.out = length(groups))
  unit <- if (nzchar(x$options$unit)) paste0(" (", x$options$unit, ")") else ""
  graphics::plot(range(curves$exposure), range(curves$low, curves$high), type = "n", main = main,
                 log = if (type == "or") "y" else "", xlim = xlim, ylim = ylim,
                 xlab = xlab %||% paste0(x$options$exposure_name, unit),
                 ylab = ylab %||% if (type == "or") "odds ratio" else "log odds ratio", ...)
  for (i in seq_along(groups)) draw_curve(groups[[i]], col[i])
  graphics::abline(h = scale(0), v = curves$reference_exposure[1], lty = 3)
  if (legend && length(groups) > 1) graphics::legend("topright", legend = trimws(names(groups)), col = col, lwd = 2, bty = "n")
  invisible(curves[setdiff(names(curves), c("middle", "low", "high", "label"))])
}

draw_curve <- function(curve, col) {
  curve <- curve[order(curve$exposure), ]
  graphics::polygon(c(curve$exposure, rev(curve$exposure)), c(curve$low, rev(curve$high)),
                    col = grDevices::adjustcolor(col, 0.2), border = NA)
  graphics::lines(curve$exposure, curve$middle, col = col, lwd = 2)
}

plot.biocal_calibration <- function(x, ...) {
  lines <- x$calibration[x$calibration$kind == "local", ]
  limits <- range(lines$local_min, lines$local_max)
  ends <- rbind(lines$intercept + lines$slope * lines$local_min, lines$intercept + lines$slope * lines$local_max)
  graphics::plot(limits, range(ends), type = "n", xlab = "local laboratory", ylab = "reference laboratory", ...)
  graphics::abline(0, 1, lty = 3)
  graphics::segments(lines$local_min, ends[1, ], lines$local_max, ends[2, ], col = seq_len(nrow(lines)))
  graphics::legend("topleft", lines$study, col = seq_len(nrow(lines)), lty = 1, bty = "n", cex = 0.7)
  invisible(lines)
}
