# What goes wrong in the command becomes an R condition with the same words.

# Subclass by exit code, as the command documents them.
exit_classes <- c("1" = "biocal_internal_error", "2" = "biocal_usage_error", "3" = "biocal_input_error",
                  "4" = "biocal_fit_error", "130" = "biocal_interrupted")

stop_biocal <- function(message, class, ...) {
  stop(structure(list(message = message, call = NULL, ...),
                 class = c(class, "biocal_error", "error", "condition")))
}

# The caller can mend it: told before the command runs.
stop_input <- function(...) stop_biocal(paste0(...), "biocal_input_error", exit_code = 3L)
stop_usage <- function(...) stop_biocal(paste0(...), "biocal_usage_error", exit_code = 2L)

warn_biocal <- function(message) {
  warning(structure(list(message = message, call = NULL), class = c("biocal_warning", "warning", "condition")))
}

tell_biocal <- function(message) {
  message(structure(list(message = paste0(message, "\n"), call = NULL),
                    class = c("biocal_note", "message", "condition")))
}

# Lines of one level ("error", "warning", "note") without that word.
lines_of <- function(lines, level) {
  start <- paste0(level, ": ")
  sub(start, "", lines[startsWith(lines, start)], fixed = TRUE)
}

# The command speaks of lines of the file that a data frame was written to; here they are the frame's rows.
rows_for_lines <- function(text, data) {
  broken <- vapply(data, function(column) any(grepl("[\r\n]", if (is.factor(column)) levels(column) else column)), NA)
  if (any(broken)) return(text)  # a cell of several lines: counting them would mislead
  text <- sub("first in this line", "first in this row", text, fixed = TRUE)
  text <- numbers_less_one(text, "data\\.csv:(?=[0-9])", "row ")
  text <- numbers_less_one(text, "\\bin line (?=[0-9])", "in row ")
  gsub("\\bdata\\.csv\\b", "the data", text)
}

numbers_less_one <- function(text, before, word) {
  place <- gregexpr(paste0(before, "[0-9]+"), text, perl = TRUE)
  regmatches(text, place) <- lapply(regmatches(text, place), function(found) {
    sprintf("%s%d", rep(word, length(found)), as.integer(sub("^.*[^0-9]", "", found)) - 1L)
  })
  text
}

# Raise the error of a run that failed.
stop_failed_run <- function(run) {
  words <- lines_of(run$stderr, "error")
  if (length(words) == 0) words <- c(run$stderr, paste("the biocal command ended with status", run$status))
  class <- exit_classes[as.character(run$status)]
  if (is.na(class)) class <- "biocal_internal_error"
  stop_biocal(paste(words, collapse = "\n"), unname(class), exit_code = run$status, problems = words,
              stderr = run$stderr)
}

# Pass on what was told on the way; where the results were put is our own business.
tell_run <- function(run, quiet) {
  if (quiet) return(invisible())
  for (line in lines_of(run$stderr, "warning")) warn_biocal(line)
  notes <- lines_of(run$stderr, "note")
  for (line in notes[!grepl("^([0-9]+ files? |results )(are|is) in ", notes)]) tell_biocal(line)
}
