"""A site as a process of its own: answers every request that comes into its folder, until told to stop.

python federated_site_process.py FOLDER: makes a site of FOLDER/site.toml, then watches FOLDER/inbox.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from biocal.cli.main import main

#: A process whose test has died ends by itself.
PATIENCE_SECONDS = 120.0


def serve(folder: Path) -> int:
    """Answer requests in the order in which they come; the exit code of the first command that fails."""
    os.chdir(folder)
    code = main(["site", "init", "--spec", "site.toml", "--dir", "kept", "--quiet"])
    if code:
        return code
    until, done = time.monotonic() + PATIENCE_SECONDS, 0
    while time.monotonic() < until:
        request = Path("inbox") / f"request_{done:03d}.json"
        if request.exists():
            out = Path("outbox") / f"answer_{done:03d}.json"
            code = main(["site", "answer", str(request), "--dir", "kept", "--out", str(out), "--quiet"])
            if code:
                return code
            done += 1
        elif Path("inbox/stop").exists():
            return 0
        else:
            time.sleep(0.02)
    return 99


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1])))
