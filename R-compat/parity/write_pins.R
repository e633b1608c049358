# Shared by the run_*.R scripts: write pins with 17 significant digits, so that doubles read back exactly.
# Leaves of the list are numbers (NA is null); a matrix is a list of its rows.
pin_number <- function(x) {
  if (is.na(x)) "null" else if (is.infinite(x)) stop("infinite") else sprintf("%.17g", x)
}
pin_vector <- function(x) paste0("[", paste(vapply(unname(x), pin_number, ""), collapse = ", "), "]")
pin_value <- function(x, indent) {
  if (is.list(x)) {
    inner <- paste0(indent, "  ")
    parts <- vapply(names(x), function(name) paste0(inner, "\"", name, "\": ", pin_value(x[[name]], inner)), "")
    return(paste0("{\n", paste(parts, collapse = ",\n"), "\n", indent, "}"))
  }
  if (is.character(x)) return(paste0("\"", x, "\""))
  if (is.matrix(x)) return(paste0("[", paste(apply(x, 1, pin_vector), collapse = ", "), "]"))
  if (length(x) == 1 && !inherits(x, "AsIs")) pin_number(x) else pin_vector(as.vector(unclass(x)))
}
write_pins <- function(grids, packages, data) {
  made_with <- c(list(R = as.character(getRversion())),
                 setNames(lapply(packages, function(p) as.character(packageVersion(p))), packages),
                 setNames(lapply(data, function(file) digest::digest(file = file, algo = "sha256")),
                          paste0(sub(".", "_", data, fixed = TRUE), "_sha256")))
  cat(pin_value(list(made_with = made_with, grids = grids), ""), "\n", sep = "", file = "pins.json")
}
