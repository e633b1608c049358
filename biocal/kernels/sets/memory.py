"""Keep freed memory for the next arrays of the same size; how much there is."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

#: The largest block that counts for glibc's thresholds (mallopt(3), M_MMAP_THRESHOLD) is 32 MiB.
_LARGEST = 32 * 2**20 - 2**16


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Once a process: let arrays of a few megabytes come from memory that the process already has.

    By default glibc returns freed arrays of this size to the system, which hands them out again page by page,
    cleared: in repeated fits a quarter of the time.  Freeing one large block, never written to and so never
    backed by memory, raises both of its thresholds: up to twice its size then stays with the process.  Other
    allocators do not mind.
    """
    np.empty(_LARGEST, dtype=np.uint8)


def available_memory() -> float:
    """Bytes that new arrays may take without others having to give way; infinite where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as known:
            line = next((one for one in known if one.startswith("MemAvailable:")), "")
    except OSError:  # not Linux
        return math.inf
    return int(line.split()[1]) * 1024.0 if line else math.inf
