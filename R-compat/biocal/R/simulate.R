# biocal_simulate() and what it gives.

biocal_simulate <- function(spec, replicates = NULL, seed = NULL, jobs = NULL, ..., out = NULL, force = FALSE,
                            quiet = FALSE) {
  folder <- tempfile("biocal-")
  on.exit(unlink(folder, recursive = TRUE))
  if (is.list(spec)) {
    dir.create(folder)
    design <- file.path(folder, "design.toml")
    writeLines(enc2utf8(toml_lines(spec)), design, useBytes = TRUE)
    spec <- design
  }
  results <- result_folder(out)
  if (is.null(out)) on.exit(unlink(results, recursive = TRUE), add = TRUE)
  options <- option_words(c(list(replicates = replicates, seed = seed, jobs = jobs), list(...)))
  run <- run_biocal(c("simulate", spec, options, paste0("--out=", results), if (force) "--force"))
  if (run$status != 0) stop_failed_run(run)
  tell_run(run, quiet)
  tables <- stats::setNames(file.path(results, c("performance.csv", "summary.csv", "differences.csv")),
                            c("performance", "summary", "differences"))
  tables <- lapply(tables[file.exists(tables)], read_exact_csv)
  structure(c(tables, list(design = read_record(file.path(results, "design.json")), text = run$stdout, out = out,
                           call = match.call())), class = "biocal_simulation")
}

print.biocal_simulation <- function(x, ...) {
  cat(x$text, sep = "\n")
  invisible(x)
}

summary.biocal_simulation <- function(object, ...) object$summary

tidy.biocal_simulation <- function(x, ...) x$performance

# A list of lists as TOML: values first, then tables, then arrays of tables.
toml_lines <- function(values, path = character()) {
  is_table <- vapply(values, function(v) is.list(v) && !is.null(names(v)), NA)
  is_tables <- vapply(values, function(v) is.list(v) && is.null(names(v)), NA)
  lines <- vapply(names(values)[!is_table & !is_tables],
                  function(key) paste(toml_key(key), "=", toml_value(values[[key]])), "")
  for (key in names(values)[is_table]) {
    place <- c(path, toml_key(key))
    lines <- c(lines, sprintf("[%s]", paste(place, collapse = ".")), toml_lines(values[[key]], place))
  }
  for (key in names(values)[is_tables]) for (one in values[[key]]) {
    place <- c(path, toml_key(key))
    lines <- c(lines, sprintf("[[%s]]", paste(place, collapse = ".")), toml_lines(one, place))
  }
  unname(lines)
}

toml_key <- function(key) if (grepl("^[A-Za-z0-9_-]+$", key)) key else toml_text(key)

toml_text <- function(text) as.character(jsonlite::toJSON(enc2utf8(text), auto_unbox = TRUE))

# A vector of one is a value, of more a list; I(x) is a list whatever its length.
toml_value <- function(value) {
  words <- if (is.logical(value)) tolower(as.character(value))
           else if (is.numeric(value)) number_words(as.vector(value))
           else vapply(as.character(value), toml_text, "")
  if (length(value) == 1 && !inherits(value, "AsIs")) words[[1]] else paste0("[", paste(words, collapse = ", "), "]")
}
