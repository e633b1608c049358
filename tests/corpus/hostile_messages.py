"""Messages of a federated fit that are broken, forged, replayed, or whose numbers cannot be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.federated_template import Change, at_step, put, resealed
from corpus.hostile_input import BAD_INPUT, HostileInput

ANSWER = ("site", "answer", "bad.json", "--dir", "site_b", "--out", "out.json")
STEP = ("coordinate", "step", "bad.json", "--dir", "centre")
#: The others' answers come with it, so that the centre goes on to compute.
ALL = ("coordinate", "step", "answers/a.json", "bad.json", "answers/d.json", "--dir", "centre")
_DEEP = b"[" * 100_000


def _bytes(data: bytes | str) -> Callable[[Path], object]:
    data = data.encode() if isinstance(data, str) else data
    return lambda folder: (folder / "bad.json").write_bytes(data)


def _altered(change: Callable[[str], str | bytes]) -> Callable[[Path], object]:
    """The request's own text after a change, not sealed anew."""

    def write(folder: Path) -> None:
        found = change((folder / "request.json").read_text(encoding="utf-8"))
        (folder / "bad.json").write_bytes(found.encode() if isinstance(found, str) else found)

    return write


def _sparse(folder: Path) -> None:
    with (folder / "bad.json").open("wb") as file:
        file.truncate(2**30)


def _both(
    name: str, write: Callable[[Path], object], *told: str, heavy: bool = False
) -> tuple[HostileInput, ...]:
    """The same file as a request and as an answer."""
    made = at_step("scores", write)
    words = told or ("bad.json",)
    return (
        HostileInput(f"a request: {name}", made, words, ANSWER, heavy=heavy),
        HostileInput(f"an answer: {name}", made, words, STEP, heavy=heavy),
    )


def _request(name: str, change: Change, *told: str, step: str = "scores") -> HostileInput:
    made = at_step(step, resealed("request.json", "bad.json", change))
    return HostileInput(f"a request: {name}", made, ("bad.json", *told), ANSWER)


def _answer(
    name: str, change: Change, *told: str, step: str = "scores", code: int = BAD_INPUT
) -> HostileInput:
    made = at_step(step, resealed("answers/b.json", "bad.json", change))
    return HostileInput(f"an answer: {name}", made, told or ("bad.json",), ALL, code)


def _copied(source: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copyfile(folder / source, folder / "bad.json")


def _of_another_session(source: str) -> Callable[[Path], object]:
    return resealed(source, "bad.json", put("session", "f" * 32))


def _nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


def _scaled(*path: Any, by: float) -> Change:
    """Numbers at a place, times a factor."""
    *keys, last = path

    def times(one: Any) -> Any:
        return [times(part) for part in one] if isinstance(one, list) else one * by

    def change(found: dict[str, Any]) -> None:
        place: Any = found
        for key in keys:
            place = place[key]
        place[last] = times(place[last])

    return change


def _row_more(*path: Any) -> Change:
    def change(found: dict[str, Any]) -> None:
        place: Any = found
        for key in path:
            place = place[key]
        place.append(place[0])

    return change


_AT = ("content", "full")
_LINE = ("agreed", "lines", "Beech")
_MOMENTS = ("content", "studies", "Beech")
_FIRST = ("content", "studies", 0)

# fmt: off
BROKEN = (
    *_both("empty", _bytes(""), "bad.json", "not JSON"),
    *_both("a pipe", lambda folder: os.mkfifo(folder / "bad.json"), "bad.json", "pipe"),
    *_both("a folder", lambda folder: (folder / "bad.json").mkdir(), "bad.json", "folder"),
    *_both("a link to a device without end", lambda folder: (folder / "bad.json").symlink_to("/dev/zero"), "bad.json", "device"),
    *_both("a link to nowhere", lambda folder: (folder / "bad.json").symlink_to("nowhere"), "bad.json", "no such file"),
    *_both("a link to itself", lambda folder: (folder / "bad.json").symlink_to("bad.json"), "bad.json"),
    *_both("a gigabyte", _sparse, "bad.json", "bytes"),
    *_both("5 MB", _bytes(b'"' + b"x" * 5_000_000 + b'"'), "bad.json", "bytes"),
    *_both("lists in lists", _bytes(_DEEP), "bad.json", "deep"),
    *_both("closed lists in lists", _bytes("[" * 900 + "]" * 900), "bad.json"),
    *_both("an object of lists in lists", _bytes('{"a":' + "[" * 900 + "]" * 900 + "}"), "bad.json", "deep"),
    *_both("objects in objects", _bytes('{"a":' * 100_000), "bad.json", "deep"),
    *_both("a list", _bytes("[1, 2]"), "bad.json", "not an object"),
    *_both("a number", _bytes("7"), "bad.json"),
    *_both("not UTF-8", _bytes(bytes(range(256))), "bad.json", "UTF-8"),
    *_both("UTF-16", _altered(lambda text: text.encode("utf-16")), "bad.json", "UTF-8"),
    *_both("cut off", _altered(lambda text: text[: len(text) // 2]), "bad.json", "cut short"),
    *_both("two messages", _altered(lambda text: text + text), "bad.json"),
    *_both("a number of 5,000 digits", _bytes('{"a": ' + "9" * 5000 + "}"), "bad.json", "digits"),
    *_both("NaN", _altered(lambda text: text.replace('"round": ', '"round": NaN, "x": ')), "bad.json", "NaN"),
    *_both("an infinite number", _altered(lambda text: text.replace('"round": ', '"round": -Infinity, "x": ')), "bad.json", "Infinity"),
    *_both("1e400", _altered(lambda text: text.replace('"round": ', '"round": 1e400, "x": ')), "bad.json", "1e400"),
    *_both("a key twice", _altered(lambda text: text.replace('"round": ', '"round": 1, "round": ')), "bad.json", "'round'", "twice"),
    *_both("altered", _altered(lambda text: text.replace("smoking", "drinking")), "bad.json"),
    *_both("a spec", _bytes('sites = ["a", "b"]'), "bad.json", "not JSON"),
    *_both("a table", _bytes("study,set\n1,2\n"), "bad.json", "not JSON"),
    *_both("of another program", _bytes('{"resourceType": "Bundle"}'), "bad.json", "not a message"),
    *_both("of a later version", _bytes('{"format": "biocal-federated", "version": 9, "kind": "request"}'), "bad.json", "version 9"),
    *_both("of a version that is a list", _bytes('{"format": "biocal-federated", "version": [[[]]], "kind": "request"}'), "bad.json", "version"),
    *_both("a text with half a character", _bytes('{"format": "biocal-federated", "version": 1, "kind": "\\ud800"}'), "bad.json"),
    HostileInput("a request with a mark of byte order and a change", at_step("scores", _altered(lambda text: "\ufeff" + text.replace("smoking", "drinking"))), ("bad.json", "digest"), ANSWER),
    HostileInput("a request whose name has spaces and line breaks", at_step("scores", lambda folder: (folder / "re quest\n.json").write_text("{")), ("re quest .json", "not JSON"), ("site", "answer", "re quest\n.json", "--dir", "site_b")),
    HostileInput("a request whose name is longer than any", at_step("scores"), ("cannot be read",), ("site", "answer", "x" * 5000, "--dir", "site_b")),
    HostileInput("a request from a device", at_step("scores"), ("/dev/zero", "device"), ("site", "answer", "/dev/zero", "--dir", "site_b")),
    HostileInput("a request from the kernel", at_step("scores"), ("/proc/self/status",), ("site", "answer", "/proc/self/status", "--dir", "site_b")),
    HostileInput("a request that is missing", at_step("scores"), ("request_999.json", "no such file"), ("site", "answer", "request_999.json", "--dir", "site_b")),
    HostileInput("an answer instead of a request", at_step("scores", _copied("answers/b.json")), ("bad.json", "an answer, not a request"), ANSWER),
    HostileInput("a request instead of an answer", at_step("scores", _copied("request.json")), ("bad.json", "a request, not an answer"), STEP),
    HostileInput("an answer to a pipe", at_step("scores", lambda folder: os.mkfifo(folder / "out.json")), ("out.json",), ("site", "answer", "request.json", "--dir", "site_b", "--out", "out.json")),
    HostileInput("an answer to a folder", at_step("scores", lambda folder: (folder / "out.json").mkdir()), ("out.json", "folder"), ("site", "answer", "request.json", "--dir", "site_b", "--out", "out.json")),
    HostileInput("an answer below a file", at_step("scores"), ("a.csv",), ("site", "answer", "request.json", "--dir", "site_b", "--out", "a.csv/out.json")),
    HostileInput("an answer to a folder that is not there", at_step("scores"), ("nowhere",), ("site", "answer", "request.json", "--dir", "site_b", "--out", "nowhere/out.json")),
    HostileInput("an answer to a name longer than any", at_step("scores"), ("cannot be",), ("site", "answer", "request.json", "--dir", "site_b", "--out", "x" * 5000)),
    HostileInput("an answer over the data", at_step("scores"), ("b.csv", "overwritten"), ("site", "answer", "request.json", "--dir", "site_b", "--out", "b.csv")),
)

REQUESTS = (
    HostileInput("a request of an earlier round", at_step("scores", _copied("centre/request_000.json")), ("bad.json", "round 0"), ANSWER),
    HostileInput("a request of another session", at_step("scores", _of_another_session("request.json")), ("bad.json", "session"), ANSWER),
    HostileInput("a request for another site", at_step("scores", resealed("request.json", "bad.json", put("plan", "sites", ["a", "c"]))), ("bad.json", "'b'"), ANSWER),
    _request("a round before its turn", put("round", 4), "round 4"),
    _request("another request of a round answered", put("round", 1), "round 1"),
    _request("a negative round", put("round", -1), "round"),
    _request("round 10^30", put("round", 10**30), "round"),
    _request("half a round", put("round", 2.5), "round"),
    _request("a round that is true", put("round", True), "round"),
    _request("a round that is a text", put("round", "3"), "round"),
    _request("that does not follow", put("previous", "0" * 64), "follow"),
    _request("of another plan", put("plan", "level", 0.9), "plan"),
    _request("a step that is not there", put("step", "rows"), "step"),
    _request("a step that is a list", put("step", ["scores"]), "step"),
    _request("a session that is short", put("session", "x"), "session"),
    _request("a session with a terminal's escape", put("session", "\x1b[2J" + "x" * 20), "session"),
    _request("a session that is an object", put("session", {}), "session"),
    _request("a key that nobody knows", put("rows", True), "rows"),
    _request("no plan", lambda m: m.pop("plan"), "plan"),
    _request("a plan that is a list", put("plan", []), "plan", step="inventory"),
    _request("a plan with a key that nobody knows", put("plan", "rows", True), "plan", "rows", step="inventory"),
    _request("a plan of 10,000 sites", put("plan", "sites", [f"s{k}" for k in range(10_000)]), "plan.sites", step="inventory"),
    _request("a plan with a site that is a path", put("plan", "sites", ["b", "../a"]), "'../a'", step="inventory"),
    _request("a plan with a site that is a number", put("plan", "sites", ["b", 3]), "plan.sites[1]", step="inventory"),
    _request("a plan with a method that is not there", put("plan", "methods", ["rows"]), "'rows'", step="inventory"),
    _request("a plan with a method in a list", put("plan", "methods", [["full"]]), "plan.methods[0]", step="inventory"),
    _request("a plan with code for a formula", put("plan", "covariates", "__import__('os').system('touch pwned')"), "'__import__", "not allowed", step="inventory"),
    _request("a plan with a method for a formula", put("plan", "covariates", "bmi.to_csv('pwned')"), "not allowed", step="inventory"),
    _request("a plan with code for calibration", put("plan", "calibration_covariates", "open('pwned', 'w')"), "'open'", step="inventory"),
    _request("a plan with a formula of 3,000 letters", put("plan", "covariates", "bmi+" * 750 + "bmi"), "plan.covariates", step="inventory"),
    _request("a plan with crossed terms without end", put("plan", "covariates", "*".join(f"I(bmi+{i})" for i in range(24))), "plan", step="inventory"),
    _request("a plan with a formula of columns that are not there", put("plan", "covariates", "nowhere"), "nowhere", step="inventory"),
    _request("a plan that asks for the set", put("plan", "covariates", "C(set)"), step="inventory"),
    _request("a plan with 10^9 knots", put("plan", "knots", 10**9), "plan.knots", step="inventory"),
    _request("a plan with a level of 2", put("plan", "level", 2), "plan", step="inventory"),
    _request("a plan with a reference that is a text", put("plan", "reference", "60"), "plan.reference", step="inventory"),
    _request("a plan with 10,000 exposures", put("plan", "at", [50.0] * 10_000), "plan.at", step="inventory"),
    _request("a plan with a terminal's escape", put("plan", "outcome_name", "\x9b2J"), "plan.outcome_name", step="inventory"),
    _request("agreed that is a list", put("agreed", []), "agreed"),
    _request("no levels agreed", put("agreed", "levels", None), "agreed.levels"),
    _request("levels of a column that is not there", put("agreed", "levels", "covariates", {"eyes": ["blue"]}), "smoking", "agreed"),
    _request("levels that are numbers", put("agreed", "levels", "covariates", "smoking", [1, 2, 3]), "smoking"),
    _request("levels without those of this site", put("agreed", "levels", "covariates", "smoking", ["former", "never"]), "smoking"),
    _request("levels of a formula that is not there", put("agreed", "levels", "modifier", {}), "agreed.levels"),
    _request("2,000 levels", put("agreed", "levels", "covariates", "smoking", ["current", "former", "never", *(f"l{k}" for k in range(1990))]), step="calibration"),
    _request("one level", put("agreed", "levels", "covariates", "smoking", ["current"]), "smoking"),
    _request("more columns kept than there are", put("agreed", "kept", [True] * 9), "agreed.kept"),
    _request("2,000 columns kept", put("agreed", "kept", [True] * 2000), "agreed.kept"),
    _request("kept columns that are numbers", put("agreed", "kept", [1, 1, 1]), "agreed.kept"),
    _request("no calibration of this site", lambda m: m["agreed"]["lines"].pop("Beech"), "Beech"),
    _request("a calibration of too few coefficients", put(*_LINE, "coefficients", [1.0, 2.0]), "Beech.coefficients"),
    _request("a calibration of huge coefficients", put(*_LINE, "coefficients", [1e300] * 6), "Beech.coefficients"),
    _request("a calibration without slope", put(*_LINE, "kept", [True, False, True, True, True, True]), "Beech"),
    _request("a calibration whose inverse has a row more", _row_more(*_LINE, "inverse"), "Beech.inverse"),
    _request("a calibration whose inverse is not symmetric", put(*_LINE, "inverse", 0, 1, 5.0), "Beech.inverse", "symmetric"),
    _request("a calibration whose inverse is indefinite", _scaled(*_LINE, "inverse", by=-1.0), "Beech.inverse"),
    _request("a calibration whose variance is negative", put(*_LINE, "variance", -1.0), "Beech.variance"),
    _request("a calibration without variance", put(*_LINE, "variance", None), "Beech"),
    _request("a calibration whose freedom is 0", put(*_LINE, "freedom", 0.0), "Beech.freedom"),
    _request("knots that are not increasing", put("agreed", "basis", {"kind": "rcs", "knots": [80, 60, 40]}), "knots"),
    _request("knots that are all but one", put("agreed", "basis", {"kind": "rcs", "knots": [50, 50.000000000000014, 50.00000000000003]}), "knots"),
    _request("knots beyond all bounds", put("agreed", "basis", {"kind": "rcs", "knots": [-1e308, 0, 1e308]}), "knots"),
    _request("1,000 knots", put("agreed", "basis", {"kind": "rcs", "knots": list(range(1000))}), "knots"),
    _request("a basis that is not there", put("agreed", "basis", {"kind": "loess"}), "basis"),
    _request("a basis that is a text", put("agreed", "basis", "rcs"), "basis"),
    _request("a basis that the plan does not have", put("agreed", "basis", {"kind": "categories", "cuts": [50], "reference": 0}), "basis"),
    _request("a reference category that is not there", put("agreed", "basis", {"kind": "categories", "cuts": [50], "reference": 7}), "reference"),
    _request("no basis", put("agreed", "basis", None), "agreed"),
    _request("bins the wrong way round", put("agreed", "edges", {"low": 9, "high": 1, "n_bins": 400}), "agreed.edges", step="residuals"),
    _request("bins beyond all bounds", put("agreed", "edges", {"low": -1e308, "high": 1e308, "n_bins": 400}), "agreed.edges", step="residuals"),
    _request("10^9 bins", put("agreed", "edges", {"low": 0, "high": 1, "n_bins": 10**9}), "agreed.edges", step="residuals"),
    _request("no bins", put("agreed", "edges", None), "agreed.edges", step="residuals"),
    _request("no tasks", put("tasks", {}), "tasks"),
    _request("tasks that are a list", put("tasks", []), "tasks"),
    _request("a task that is not there", put("tasks", {"rows": [0.0]}), "'rows'"),
    _request("a task that the plan does not have", put("tasks", {"naive": [0.0] * 5}), "tasks"),
    _request("a task of too few coefficients", put("tasks", "full", [0.0]), "full"),
    _request("a task of 10,000 coefficients", put("tasks", "full", [0.0] * 10_000), "tasks.full"),
    _request("a task of texts", put("tasks", "full", ["0"] * 5), "tasks.full[0]"),
    _request("a task at huge coefficients", put("tasks", "full", [1e300] * 5)),
    _request("a task at infinite coefficients", put("tasks", "full", [10**400] * 5), "tasks.full[0]", "finite"),
    _request("a task that singles out", put("tasks", "full", [0.0, 0.0, 50.0, 50.0, 50.0])),
)

ANSWERS = (
    HostileInput("an answer of an earlier round", at_step("scores", lambda folder: shutil.copyfile(folder / "centre/answers/001_b.json", folder / "bad.json")), ("bad.json", "round 1"), ALL),
    HostileInput("an answer of another session", at_step("scores", _of_another_session("answers/b.json")), ("bad.json", "another session"), ALL),
    HostileInput("an answer under another site's name", at_step("scores", resealed("answers/b.json", "bad.json", put("site", "a"))), ("bad.json", "sets of these sizes"), ALL),
    _answer("of a site that takes no part", put("site", "z"), "bad.json", "'z'"),
    _answer("of a site that is a path", put("site", "../../a"), "bad.json", "takes no part"),
    _answer("of a site that is a list", put("site", ["b"]), "bad.json", "site"),
    _answer("to another request", put("request", "0" * 64), "bad.json", "another request"),
    _answer("to another step", put("step", "sandwich"), "bad.json"),
    _answer("content that is a list", put("content", []), "bad.json", "content"),
    _answer("content with a task more", put("content", "naive", {}), "bad.json", "naive"),
    _answer("content without a task", lambda m: m["content"].pop("full"), "bad.json", "full"),
    _answer("content nested deep", put("content", _nested(20)), "bad.json"),
    _answer("content of another round", lambda m: m.update(content={"studies": []}), "bad.json"),
    _answer("no studies", put("content", "studies", []), "bad.json", "studies", step="inventory"),
    _answer("3,000 studies", lambda m: m["content"].update(studies=m["content"]["studies"] * 3000), "bad.json", "studies", step="inventory"),
    _answer("a study twice", lambda m: m["content"].update(studies=m["content"]["studies"] * 2), "Beech", step="inventory"),
    _answer("a study of another site", put(*_FIRST, "name", "Ash"), "Ash", step="inventory"),
    _answer("a study with a name of control characters", put(*_FIRST, "name", "\x1b[2J"), "bad.json", "studies[0].name", step="inventory"),
    _answer("a study with a name of later control characters", put(*_FIRST, "name", "\x9b2J"), "bad.json", "studies[0].name", step="inventory"),
    _answer("a study with a name that turns the writing", put(*_FIRST, "name", "Bee\u202ech"), "bad.json", "studies[0].name", step="inventory"),
    _answer("a study with half a character", put(*_FIRST, "name", "\ud800"), "bad.json", step="inventory"),
    _answer("a study with a name of a million letters", put(*_FIRST, "name", "x" * 1_000_000), "bad.json", "studies[0].name", step="inventory"),
    _answer("a study without a name", put(*_FIRST, "name", ""), "bad.json", "studies[0].name", step="inventory"),
    _answer("a study of another kind", put(*_FIRST, "kind", "secret"), "bad.json", "studies[0].kind", step="inventory"),
    _answer("more sets than cases", put(*_FIRST, "sets", 1000), "bad.json", "Beech", step="inventory"),
    _answer("a billion cases", put(*_FIRST, "cases", 10**9), "bad.json", "cases", step="inventory"),
    _answer("a negative number of controls", put(*_FIRST, "controls", -5), "bad.json", "studies[0].controls", step="inventory"),
    _answer("half a control", put(*_FIRST, "controls", 5.5), "bad.json", "studies[0].controls", step="inventory"),
    _answer("fewer measured than there are", put(*_FIRST, "measured", 1), "bad.json", "measured", step="inventory"),
    _answer("losses that are a list", put(*_FIRST, "losses", []), "bad.json", "losses", step="inventory"),
    _answer("sizes of sets that contradict the counts", put("content", "shapes", [[1, 1, 5]]), "bad.json", "shapes", step="inventory"),
    _answer("sizes of sets of nobody", put("content", "shapes", [[0, 0, 5]]), "bad.json", "shapes", step="inventory"),
    _answer("sizes of sets told twice", put("content", "shapes", [[1, 1, 60], [1, 1, 2], [1, 2, 22]]), "bad.json", "shapes", step="inventory"),
    _answer("columns of another formula", put("content", "columns", {"modifier": []}), "bad.json", "columns", step="inventory"),
    _answer("a column that is words here alone", put("content", "columns", "covariates", 0, {"name": "bmi", "kind": "words", "levels": ["fat"]}), "bmi", step="inventory"),
    _answer("a column under another name", put("content", "columns", "covariates", 0, "name", "bmi2"), "site b", step="inventory"),
    _answer("levels twice", put("content", "columns", "covariates", 1, "levels", ["a", "a"]), "bad.json", "levels", step="inventory"),
    _answer("2,000 levels", put("content", "columns", "covariates", 1, "levels", [f"l{k:04}" for k in range(2000)]), "bad.json", "levels", step="inventory"),
    _answer("levels with a terminal's escape", put("content", "columns", "covariates", 1, "levels", ["\x9b2J"]), "bad.json", "levels", step="inventory"),
    _answer("a matrix with a row more", _row_more(*_MOMENTS, "products"), "bad.json", "Beech.products", step="calibration"),
    _answer("a matrix with a column more", _row_more(*_MOMENTS, "products", 0), "bad.json", "Beech.products[0]", step="calibration"),
    _answer("a matrix that is a number", put(*_MOMENTS, "products", 7), "bad.json", "Beech.products", step="calibration"),
    _answer("a matrix that is not symmetric", put(*_MOMENTS, "products", 0, 1, 1e6), "bad.json", "Beech.products", "symmetric", step="calibration"),
    _answer("a matrix with a negative square", put(*_MOMENTS, "products", 0, 0, -1.0), "bad.json", "Beech.products", step="calibration"),
    _answer("a matrix that is indefinite", lambda m: (put(*_MOMENTS, "products", 0, 3, 1e6)(m), put(*_MOMENTS, "products", 3, 0, 1e6)(m)), "bad.json", "Beech.products", step="calibration"),
    _answer("a matrix of zeros", _scaled(*_MOMENTS, "products", by=0.0), "Beech", step="calibration"),
    _answer("a matrix of huge numbers", _scaled(*_MOMENTS, "products", by=1e300), "bad.json", "Beech.products", step="calibration"),
    _answer("a matrix of tiny numbers", _scaled(*_MOMENTS, "products", by=1e-300), "Beech", step="calibration"),
    _answer("means of huge numbers", put(*_MOMENTS, "means", [1e300] * 5), "bad.json", "Beech.means", step="calibration"),
    _answer("means of texts", put(*_MOMENTS, "means", ["1"] * 5), "bad.json", "Beech.means[0]", step="calibration"),
    _answer("a number of whole thousands of digits", put(*_MOMENTS, "response_mean", 10**4000), "bad.json", "response_mean", step="calibration"),
    _answer("products that the squares do not allow", put(*_MOMENTS, "response_square", 1.0), "bad.json", "Beech", step="calibration"),
    _answer("one calibrator", put(*_MOMENTS, "n", 1), "Beech", "at least 3", step="calibration"),
    _answer("no calibrator", put(*_MOMENTS, "n", 0), "bad.json", "Beech.n", step="calibration"),
    _answer("a calibration of a study that is not there", lambda m: m["content"]["studies"].update(Oak=m["content"]["studies"]["Beech"]), "bad.json", "Oak", step="calibration"),
    _answer("columns that vary by text", put("content", "varies", ["yes", "no", "no"]), "bad.json", "varies", step="calibration"),
    _answer("other columns", put("content", "covariate_names", ["a", "b", "c"]), "site", step="calibration"),
    _answer("more columns", lambda m: m["content"].update(calibration_names=[*m["content"]["calibration_names"], "x"]), "bad.json", "Beech", step="calibration"),
    _answer("controls of another number", put("content", "counts", 0, 500), "bad.json", "counts", step="residuals"),
    _answer("a billion controls", lambda m: put("content", "counts", [10**9] * len(m["content"]["counts"]))(m), "bad.json", "counts", step="residuals"),
    _answer("bins in no order", lambda m: m["content"]["starts"].reverse(), "bad.json", "starts", step="residuals"),
    _answer("bins that are not there", lambda m: put("content", "starts", -1, 10_000)(m), "bad.json", "starts", step="residuals"),
    _answer("means outside their bins", put("content", "means", 5, 1e30), "bad.json", "means", step="residuals"),
    _answer("a mean of the first bin beyond all bounds", put("content", "means", 0, -1e308), "bad.json", "means", step="residuals"),
    _answer("no controls", lambda m: m["content"].update(starts=[], counts=[], means=[]), "bad.json", "starts", step="residuals"),
    _answer("more local controls than controls", put("content", "local_controls", 10**9), "bad.json", "local_controls", step="residuals"),
    _answer("more calibrated controls than controls", put("content", "calibrated_controls", 10**9), "bad.json", "calibrated_controls", step="residuals"),
    _answer("a negative residual sum", put(*_MOMENTS, "rss", -1), "bad.json", "Beech.rss", step="residuals"),
    _answer("a residual sum above the total", put(*_MOMENTS, "rss", 1e20), "bad.json", "Beech.rss", step="residuals"),
    _answer("freedom of more than there are", put(*_MOMENTS, "freedom", 1e6), "bad.json", "Beech.freedom", step="residuals"),
    _answer("no freedom", put(*_MOMENTS, "freedom", 0.0), "Beech", step="residuals"),
    _answer("a log-likelihood above 0", put(*_AT, "loglik", 5.0), "bad.json", "full.loglik"),
    _answer("a log-likelihood of a text", put(*_AT, "loglik", "-5"), "bad.json", "full.loglik"),
    _answer("a score of another length", put(*_AT, "score", [0.0]), "bad.json", "full.score"),
    _answer("a score beyond all bounds", _scaled(*_AT, "score", by=1e200), "bad.json", "full.score"),
    _answer("an information that is not symmetric", put(*_AT, "information", 0, 1, 1.0), "bad.json", "full.information", "symmetric"),
    _answer("an information that is indefinite", _scaled(*_AT, "information", by=-1.0), "bad.json", "full.information"),
    _answer("an expected information that is indefinite", _scaled("content", "full", "expected", by=-1.0), "bad.json", "full.expected"),
    _answer("an information of zeros", lambda m: (_scaled(*_AT, "information", by=0.0)(m), _scaled(*_AT, "expected", by=0.0)(m))),
    _answer("an information beyond all bounds", lambda m: (_scaled(*_AT, "information", by=1e300)(m), _scaled(*_AT, "expected", by=1e300)(m)), "bad.json"),
    _answer("an information of another size", put(*_AT, "information", [[1.0]]), "bad.json", "full.information"),
    _answer("an information that contradicts what is expected", _scaled(*_AT, "expected", by=7.0), "bad.json", "full"),
    _answer("a sandwich that is not symmetric", put(*_AT, "studies", "Beech", "outcome", 0, 1, 1e9), "bad.json", "symmetric", step="sandwich"),
    _answer("a sandwich that is indefinite", lambda m: (put(*_AT, "studies", "Beech", "outcome", 0, 3, 1e9)(m), put(*_AT, "studies", "Beech", "outcome", 3, 0, 1e9)(m)), "bad.json", "Beech", step="sandwich"),
    _answer("a sandwich beyond all bounds", _scaled(*_AT, "studies", "Beech", "outcome", by=1e300), "bad.json", "Beech", step="sandwich"),
    _answer("a sandwich whose sums contradict one another", _scaled(*_AT, "studies", "Beech", "cross", by=1e6), "bad.json", "Beech", step="sandwich"),
    _answer("a sandwich with a log-likelihood above 0", put(*_AT, "loglik", 5.0), "bad.json", "full.loglik", step="sandwich"),
    _answer("a sandwich whose information is indefinite", _scaled(*_AT, "information", by=-1.0), "bad.json", "full.information", step="sandwich"),
    _answer("a sandwich without a study", lambda m: m["content"]["full"]["studies"].pop("Beech"), "bad.json", "Beech", step="sandwich"),
    _answer("a sandwich whose bread is of another size", put(*_AT, "studies", "Beech", "bread", [[1.0]]), "bad.json", "Beech", step="sandwich"),
)
# fmt: on

MESSAGES = (*BROKEN, *REQUESTS, *ANSWERS)
