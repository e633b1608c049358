# Restricted cubic splines in the command's scale: Harrell's basis divided by the squared span of the knots.

harrell_probabilities <- function(n) {
  known <- list("3" = c(.10, .50, .90), "4" = c(.05, .35, .65, .95), "5" = c(.05, .275, .50, .725, .95),
                "6" = c(.05, .23, .41, .59, .77, .95), "7" = c(.025, .1833, .3417, .50, .6583, .8167, .975))
  found <- known[[as.character(n)]]
  if (is.null(found)) stop_usage("the number of knots must be 3 to 7")
  found
}

# Columns f_1 = x, f_2, ..., a row a value.  Beyond the last knot they are straight lines and are computed as
# such: the difference of cubes would lose its digits far out.
rcs_columns <- function(x, knots) {
  n <- length(knots)
  last <- knots[n]
  before <- knots[n - 1]
  inside <- pmin(x, last)
  beyond <- x - inside
  tail <- pmax(inside - before, 0)^3
  curved <- vapply(knots[seq_len(n - 2)], function(knot) {
    (pmax(inside - knot, 0)^3 - tail * ((last - knot) / (last - before)) +
       3 * (last - knot) * (before - knot) * beyond) / (last - knots[1])^2
  }, numeric(length(x)))
  cbind(x, matrix(curved, nrow = length(x)), deparse.level = 0)
}
