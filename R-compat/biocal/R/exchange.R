# Tables to and from the command without losing a bit.

# Words that a cell may not hold as text, because the command reads them as missing.
missing_words <- c(".", "na", "n/a", "#n/a", "nan", "<na>", "null")

# The shortest of 15, 16 or 17 digits that reads back as the same double.
number_words <- function(x) {
  if (is.integer(x)) return(as.character(x))
  words <- sprintf("%.15g", x)
  for (digits in c("%.16g", "%.17g")) {
    lossy <- is.finite(x)
    lossy[lossy] <- exact_numbers(words[lossy]) != x[lossy]
    if (!any(lossy)) break
    words[lossy] <- sprintf(digits, x[lossy])
  }
  words[is.infinite(x)] <- ifelse(x[is.infinite(x)] > 0, "inf", "-inf")
  words
}

# Decimal words as doubles, rounded correctly: R's own reader can be a unit in the last place off,
# jsonlite hands the word to the C library.
exact_numbers <- function(words) {
  if (length(words) == 0) return(numeric())
  words <- sub("^\\+", "", words)
  words[is.na(words) | !nzchar(words)] <- "null"
  as.numeric(jsonlite::fromJSON(paste0("[", paste(words, collapse = ","), "]")))
}

cell_words <- function(column, name) {
  if (is.factor(column)) column <- as.character(column)
  if (inherits(column, "Date")) {
    words <- format(column, "%Y-%m-%d")
  } else if (inherits(column, "POSIXt")) {
    words <- format(as.POSIXct(column), "%Y-%m-%dT%H:%M:%OS6Z", tz = "UTC")
  } else if (inherits(column, "integer64")) {
    words <- as.character(column)
  } else if (is.numeric(column)) {
    words <- number_words(as.vector(column))
  } else if (is.logical(column)) {
    words <- ifelse(column, "TRUE", "FALSE")
  } else if (is.character(column)) {
    words <- quoted_cells(column, name)
  } else {
    stop_input(sprintf("column '%s' is of class %s; numbers, texts, factors, logicals and dates can be given",
                       name, class(column)[1]))
  }
  words[is.na(column)] <- ""
  words
}

quoted_cells <- function(text, name) {
  text <- enc2utf8(text)
  lost <- which(tolower(trimws(text)) %in% missing_words & !is.na(text))
  if (length(lost)) {
    stop_input(sprintf(
      "column '%s', row %d: the text '%s' would be read as missing; use NA if it is, or rename it (%d %s so)",
      name, lost[1], text[lost[1]], length(lost), if (length(lost) == 1) "cell is" else "cells are"))
  }
  quote_text(text)
}

quote_text <- function(text) paste0("\"", gsub("\"", "\"\"", text, fixed = TRUE), "\"")

write_exact_csv <- function(data, path) {
  cells <- Map(cell_words, data, names(data))
  lines <- c(paste(quote_text(enc2utf8(names(data))), collapse = ","),
             if (nrow(data)) do.call(paste, c(unname(cells), sep = ",")))
  connection <- file(path, "wb")
  on.exit(close(connection))
  writeLines(lines, connection, useBytes = TRUE)
}

# Columns that stay text although their cells may look like numbers.
text_columns <- c("study", "method", "minus", "term", "row", "column", "test", "kind", "modifier", "level",
                  "file", "message", "error")

read_exact_csv <- function(path) {
  table <- utils::read.csv(path, colClasses = "character", na.strings = character(), check.names = FALSE,
                           encoding = "UTF-8")
  for (name in setdiff(names(table), text_columns)) {
    filled <- nzchar(table[[name]])
    if (all(grepl("^[+-]?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?$", table[[name]][filled]))) {
      table[[name]] <- exact_numbers(table[[name]])
    } else if (all(table[[name]][filled] %in% c("True", "False"))) {
      table[[name]] <- ifelse(filled, table[[name]] == "True", NA)
    }
  }
  table
}

read_record <- function(path) {
  jsonlite::fromJSON(paste(readLines(path, warn = FALSE, encoding = "UTF-8"), collapse = "\n"))
}
