"""biocal: one calibrated dose-response curve from pooled nested case-control studies."""

__version__ = "0.1.0"
