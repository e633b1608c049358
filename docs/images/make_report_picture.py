"""Make ``report.png``, the first picture of the README: the top of the report that ``make demo`` ends with.

    .venv/bin/python docs/images/make_report_picture.py

Needs Chromium (``apt-get install chromium``).  The picture's letters depend on the machine's fonts, so that no
test compares its bytes; make it anew when the report has changed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SPEC = HERE.parents[1] / "data" / "vitamin_d" / "analysis.toml"
#: Pixels of the page that the picture shows.
WIDTH, HEIGHT = 1000, 1340


def main() -> None:
    """Run the demonstration, photograph its report."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    browser = next((path for path in map(shutil.which, names) if path), None)
    if browser is None:
        sys.exit("there is no Chromium; as root: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        command = Path(sys.executable).with_name("biocal")
        fit = [str(command), "fit", "--spec", str(SPEC), "--out", f"{place}/demo", "--quiet"]
        subprocess.run(fit, check=True)
        picture = [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--user-data-dir={place}/profile", f"--window-size={WIDTH},{HEIGHT}"),
            *(f"--screenshot={HERE / 'report.png'}", f"file://{place}/demo/report.html"),
        ]
        subprocess.run(picture, check=True, capture_output=True)
    print(f"{HERE / 'report.png'}: {(HERE / 'report.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
