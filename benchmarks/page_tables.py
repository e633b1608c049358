"""The tables of the page, as Markdown, from the numbers each script measured; nothing here measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Found = dict[str, Any]

#: data, what it is, peer, ratio wanted at least
ENGINE_GATES = (
    ("pairs", "1:1, 5,000 sets, p 4", "clogit", 20),
    ("one_to_four", "1:4, 50,000 sets, p 6", "clogit", 40),
    ("many_to_many", "2:3 to 10:20, 5,000 sets, p 6", "clogit", 15),
    ("small_pairs", "500 fits of 1:1, 600 sets, p 3", "clogit", None),
    ("pairs", "1:1, 5,000 sets, p 4", "bare", None),
    ("one_to_four", "1:4, 50,000 sets, p 6", "bare", 2),
    ("small_pairs", "500 fits of 1:1, 600 sets, p 3", "bare", None),
    ("one_to_four", "1:4, 50,000 sets, p 6", "statsmodels", 500),
    ("pairs", "1:1, 5,000 sets, p 4", "statsmodels", None),
)
PEERS = {"clogit": "R clogit, exact", "bare": "R bare C fitter", "statsmodels": "statsmodels"}
FLOOR_GATES = (("one_to_four", "1:4, 50,000 sets", 3), ("many_to_many", "n:m cells", 7))
START_GATES = (
    ("version", "`biocal --version`", 0.2),
    ("fit imports", "imports of `biocal fit` before reading data", 0.9),
    ("fit", "`biocal fit` until it reads data, its imports included", None),
)
FIVE_MILLION_S, FIVE_MILLION_DESIGNS = 2.0, 2.5
#: Seconds allowed for a million sets, memory in numeric data, induced in full.
FIT_GATES_S = {"biocal fit, full, Parquet": 60.0, "biocal fit, full, CSV": 120.0}
FIT_GATE_SETS, FIT_GATE_MEMORY, INDUCED_GATE = 1_000_000, 4.0, 10.0
DISTRIBUTED_GATE_ROWS = 20_000_000
SIMULATION_GATE, JOBS_GATE, SIMULATION_MEMORY_GATE = 300, 1.7, 1.1


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def verdict(met: bool) -> str:
    """The word for a gate."""
    return "met" if met else "**NOT met**"


def times(ratio: float) -> str:
    """A ratio with two or three figures that count."""
    return f"{ratio:,.0f} x" if ratio >= 10 else f"{ratio:.1f} x" if ratio >= 1 else f"{ratio:.2f} x"


def ms(seconds: float) -> str:
    """Seconds as milliseconds."""
    value = 1e3 * seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def engine_table(found: Found) -> str:
    """Fits beside peers, the floor, the large data, starting up."""
    ours, r, statsmodels = found["biocal"], found["R"], found["statsmodels"]
    rows = []
    for name, what, peer, gate in ENGINE_GATES:
        theirs = statsmodels.get(name) if peer == "statsmodels" else r.get(f"{peer}.{name}")
        if theirs is None:
            continue
        ratio = theirs / ours[name]
        judged = ["", ""] if gate is None else [f">= {gate} x", verdict(ratio >= gate)]
        rows.append([what, PEERS[peer], ms(theirs), ms(ours[name]), times(ratio), *judged])
    for name, what in (("pairs", "1:1, {} sets, p 4"), ("one_to_four", "1:4, {} sets, p 6")):
        few = found["lifelines"][name]
        if few is not None:
            ratio = few["lifelines"] / few["biocal"]
            what = what.format(few["sets"])
            rows.append([what, "lifelines", ms(few["lifelines"]), ms(few["biocal"]), times(ratio), "", ""])
    for name, what, gate in FLOOR_GATES:
        timed = found["floor"][name]
        for part, label in (("fit", "fit alone"), ("both", "prepare + fit")):
            ratio = timed[f"{part}_ratio"]
            numbers = [ms(timed["floor"]), ms(timed[part]), f"{ratio:.1f} x the floor"]
            floor = f"arithmetic floor, {timed['passes']} passes"
            rows.append([f"{what}, {label}", floor, *numbers, f"<= {gate} x", verdict(ratio <= gate)])
    if "five_million_rows" in found:
        rows += _five_million_rows(found["five_million_rows"])
    for name, what, gate_s in START_GATES:
        value = found["start"].get(name)
        if value is not None:
            judged = ["", ""] if gate_s is None else [f"<= {1e3 * gate_s:.0f} ms", verdict(value <= gate_s)]
            rows.append([what, "", "", ms(value), "", *judged])
    return table(("data", "peer", "peer, ms", "biocal, ms", "ratio", "gate", ""), rows)


def _five_million_rows(big: Found) -> list[list[str]]:
    what = "5 million rows, p 6, prepare + fit"
    allowed = f"<= {1e3 * FIVE_MILLION_S:,.0f} ms"
    designs = f"{big['designs']:.2f} x the design"
    return [
        [what, "", "", ms(big["seconds"]), "", allowed, verdict(big["seconds"] <= FIVE_MILLION_S)],
        [
            "the same, extra memory",
            "",
            "",
            "",
            designs,
            f"<= {FIVE_MILLION_DESIGNS} x",
            verdict(big["designs"] <= FIVE_MILLION_DESIGNS),
        ],
    ]


def engine_agreement(found: Found) -> str:
    """Largest differences of a coefficient from the peers', in words."""
    parts = [
        f"R's {found[f'largest difference from R, {name}']:.0e} ({what})"
        for name, what in (("one_to_four", "1:4"), ("many_to_many", "n:m"))
        if f"largest difference from R, {name}" in found
    ]
    few = [found["lifelines"][name] for name in ("pairs", "one_to_four") if found["lifelines"][name]]
    if few:
        parts.append(f"lifelines' {max(one['largest difference'] for one in few):.0e}")
    return "; ".join(parts) or "no peer was installed"


def growth_table(found: Found) -> str:
    """CPU time and extra memory of one fit by program (rows) and number of sets (columns)."""
    sizes = sorted({row["sets"] for row in found["rows"]})
    programs = list(dict.fromkeys(row["program"] for row in found["rows"] if row["program"] != "biocal"))
    cell = {(row["program"], row["sets"]): row for row in found["rows"]}
    rows = []
    for program in ("biocal", *programs):
        cells = [cell.get((program, size)) for size in sizes]
        rows.append([f"{program}, CPU ms", *("" if c is None else ms(c["cpu_s"]) for c in cells)])
    for program in programs:
        beside = [(cell.get((program, size)), cell.get(("biocal", size))) for size in sizes]
        ratios = [times(c["cpu_s"] / b["cpu_s"]) if c and b else "" for c, b in beside]
        rows.append([f"{program}, ratio", *ratios])
    for program in ("biocal", *programs):
        known = [cell.get((program, size)) for size in sizes]
        if any(c and c["extra_MB"] is not None for c in known):
            extra = [f"{c['extra_MB']:,.1f}" if c and c["extra_MB"] is not None else "" for c in known]
            rows.append([f"{program}, extra MB", *extra])
    return table(("sets", *(f"{size:,}" for size in sizes)), rows)


def fit_table(found: Found) -> str:
    """Whole processes: seconds, CPU seconds, memory, the ratio against ours of the same file format, gates."""
    rows = []
    ours = {(row["run"], row["sets"]): row for row in found["rows"] if "failed" not in row}
    for row in found["rows"]:
        sets, run = row["sets"], row["run"]
        if "failed" in row:
            rows.append([f"{sets:,}", run, row["failed"], "", "", "", "", ""])
            continue
        csv = ours.get(("biocal fit, full, CSV", sets))
        ratio = times(row["wall_s"] / csv["wall_s"]) if "by hand" in run and csv else ""
        memory = row["peak_MB"] / found["numeric_MB"][str(sets)]
        gate, judged = _fit_gates(row, memory, ours)
        seconds = [
            f"{row['wall_s']:,.1f}",
            f"{row['cpu_s']:,.1f}",
            f"{row['peak_MB']:,.0f}",
            times(memory),
        ]
        rows.append([f"{sets:,}", run, *seconds, ratio, gate, judged])
    head = ("sets", "run", "wall s", "CPU s", "peak MB", "of the numbers", "wall, of our CSV", "gate", "")
    return table(head, rows)


def _fit_gates(row: Found, memory: float, ours: dict[tuple[str, int], Found]) -> tuple[str, str]:
    """The gates of a run at a million sets and whether they are met, in one cell each."""
    if row["sets"] != FIT_GATE_SETS or not row["run"].startswith("biocal fit"):
        return "", ""
    gates, met = [f"< {FIT_GATE_MEMORY:.0f} x memory"], [memory < FIT_GATE_MEMORY]
    if row["run"] in FIT_GATES_S:
        gates.insert(0, f"<= {FIT_GATES_S[row['run']]:.0f} s")
        met.insert(0, row["wall_s"] <= FIT_GATES_S[row["run"]])
    full = ours.get(("biocal fit, full, Parquet", row["sets"]))
    if "induced" in row["run"] and full:
        gates.insert(0, f"<= {INDUCED_GATE:.0f} x full")
        met.insert(0, row["wall_s"] <= INDUCED_GATE * full["wall_s"])
    return "; ".join(gates), "; ".join(verdict(one) for one in met)


def fit_agreement(found: Found) -> str:
    """Largest differences of a coefficient from the peers', in standard errors, over the sizes."""
    worst: dict[str, float] = {}
    for by_run in found["differences_in_standard_errors"].values():
        for run, value in by_run.items():
            worst[run] = max(value, worst.get(run, 0.0))
    parts = [f"{run.removesuffix(' by hand, CSV')} {value:.0e}" for run, value in worst.items()]
    return ", ".join(parts) or "no peer was installed"


def induced_table(found: Found) -> str:
    """Induced beside full on the same pools."""
    rows = []
    for row in found["rows"]:
        ratio, gate = row["induced_s"] / row["full_s"], row["gate"]
        judged = ["", ""] if gate is None else [f"<= {gate} x", verdict(ratio <= gate)]
        pool = f"{row['sets']:,} sets 1:{row['controls']}"
        rows.append([pool, ms(row["full_s"]), ms(row["induced_s"]), times(ratio), *judged])
    return table(("pool", "full, ms", "induced, ms", "ratio", "gate", ""), rows)


def simulate_table(found: Found) -> str:
    """A whole replicate, its parts, its peers, jobs and memory."""
    whole = found["whole"]
    rate = 1 / whole
    rows = [
        [
            "a whole replicate",
            f"{ms(whole)} ms, {rate:.0f} a second",
            "",
            f">= {SIMULATION_GATE} a second",
            verdict(rate >= SIMULATION_GATE),
        ],
        ["of it drawing", f"{ms(found['draw'])} ms", f"{found['draw'] / whole:.2f} x", "", ""],
        ["of it likelihood", f"{ms(found['likelihood'])} ms", f"{found['likelihood'] / whole:.2f} x", "", ""],
    ]
    for peer, label in (("R clogit", "R clogit, exact"), ("statsmodels", "statsmodels")):
        if found[peer] is not None:
            rows.append(
                [f"{label}, the three fits alone", f"{ms(found[peer])} ms", times(found[peer] * rate), "", ""]
            )
    for row in found.get("gains", {}).get("jobs", []):
        jobs = row["jobs"]
        what = f"`biocal simulate --jobs {jobs}`, start-up apart"
        gained = f"{row['gain']:.2f} x one job"
        if jobs > 1:
            gained += f" (independent processes {row['gain_of_independent_processes']:.2f} x)"
        judged = [f">= {JOBS_GATE} x", verdict(row["gain"] >= JOBS_GATE)] if jobs == 2 else ["", ""]
        rows.append([what, f"{row['replicates_a_second']:.0f} a second", gained, *judged])
    if "memory_MB" in found:
        small, large = found["memory_MB"]["1000"], found["memory_MB"]["10000"]
        ratio = large / small
        judged = [f"<= {SIMULATION_MEMORY_GATE} x", verdict(ratio <= SIMULATION_MEMORY_GATE)]
        what = "peak memory at 1,000 and 10,000 replicates"
        rows.append([what, f"{small:.0f} MB, {large:.0f} MB", f"{ratio:.2f} x", *judged])
    return table(("what", "measured", "ratio to a replicate, or as said", "gate", ""), rows)


def federated_table(found: Found) -> str:
    """A federated session beside the pooled fit."""
    apart = found["largest_differences_in_standard_errors"]
    plain = max(value for method, value in apart.items() if method != "induced")
    sites, all_s = found["sites"], found["seconds_at_all_sites"]
    at_once = found["seconds_at_the_slowest_site"] + found["seconds_at_the_centre"]
    pooled = found["pooled_seconds_reading"] + found["pooled_seconds_fitting"]
    gate = found["agreement"]
    errors = found["largest_relative_difference_of_standard_errors"]
    rows = [
        ["rounds", str(found["rounds"]), "", ""],
        [
            "a site sends, and receives",
            f"{found['kB_from_a_site']:.0f} kB, {found['kB_to_a_site']:.0f} kB",
            "",
            "",
        ],
        ["a site, all rounds, in the mean", f"{all_s / sites:.1f} s", "", ""],
        ["the slowest site of each round, together", f"{found['seconds_at_the_slowest_site']:.1f} s", "", ""],
        ["the centre, all rounds", f"{found['seconds_at_the_centre']:.1f} s", "", ""],
        [
            "sites at one time, and the centre",
            f"{at_once:.1f} s, {times(at_once / pooled)} the pooled fit",
            "",
            "",
        ],
        [
            "pooled: reading, and fitting",
            f"{found['pooled_seconds_reading']:.1f} s, {found['pooled_seconds_fitting']:.1f} s",
            "",
            "",
        ],
        [
            "largest difference of a coefficient, in standard errors: naive, internalized, full",
            f"{plain:.0e}",
            f"<= {gate:.0e}",
            verdict(plain <= gate),
        ],
        [
            "the same of induced",
            f"{apart['induced']:.0e}",
            f"<= {gate:.0e}",
            verdict(apart["induced"] <= gate),
        ],
        [
            "largest relative difference of a standard error",
            f"{errors:.0e}",
            f"<= {gate:.0e}",
            verdict(errors <= gate),
        ],
    ]
    return table(("what", "measured", "gate", ""), rows)


def distributed_table(found: Found) -> str:
    """A fit from partitions on a cluster of processes of this machine."""
    # a worker holds Python and its libraries, which of few rows is more than the rows
    large = found["rows"] >= DISTRIBUTED_GATE_ROWS
    judged_memory = ["<= 0.33 x the numbers", verdict(found["memory_met"])] if large else ["", ""]
    share, rounds = found["peak_over_data"], f"{found['rounds']} rounds, {found['seconds_fitting']:.0f} s"
    rows = [
        ["rows, and sets", f"{found['rows']:,}, {found['sets']:,}", "", ""],
        ["fit on two worker processes", rounds, "", ""],
        ["peak memory of the largest worker", f"{share:.2f} x the numbers", *judged_memory],
    ]
    if "seconds_in_memory" in found:
        taken = f"{found['seconds_in_memory']:.0f} s"
        agreed = ["<= 1e-08", verdict(found["agreement_met"])]
        apart = found["largest_difference_in_standard_errors"]
        errors = found["largest_relative_difference_of_standard_errors"]
        rows += [
            ["the same rows read and fitted in memory", taken, "", ""],
            ["largest difference of a coefficient, in standard errors", f"{apart:.0e}", *agreed],
            ["largest relative difference of a standard error", f"{errors:.0e}", *agreed],
        ]
    return table(("what", "measured", "gate", ""), rows)
