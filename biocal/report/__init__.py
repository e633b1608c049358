"""One self-contained HTML page for people who decide: of a fit, or of a simulation study."""
