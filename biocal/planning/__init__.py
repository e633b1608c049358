"""Planning re-assays: what a calibration subset buys, before anybody is measured again."""
