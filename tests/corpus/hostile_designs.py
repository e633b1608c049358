"""Simulation designs, and folders of results, that are wrong, huge or mean harm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from corpus.hostile_input import HostileInput, content

SIMULATE = ("simulate", "design.toml", "--out", "out")
SOUND = """\
title = "small"
replicates = 4
methods = ["naive"]
[exposure]
mean = 60
sd = 20
[truth]
type = "linear"
beta = [-0.01]
[fit]
exposure = "linear"
[estimand]
at = [40, 80]
reference = 60
[[studies]]
name = "A"
sets = 60
laboratory = "reference"
"""


def design(text: str | bytes) -> Callable[[Path], object]:
    data = text.encode() if isinstance(text, str) else text
    return content(data, "design.toml")


def _changed(name: str, before: str, after: str, *told: str) -> HostileInput:
    assert before in SOUND
    return HostileInput(
        f"a design with {name}", design(SOUND.replace(before, after)), ("design.toml", *told), SIMULATE
    )


def _truth(name: str, formula: str, *told: str) -> HostileInput:
    truth = f'type = "expression"\nformula = {json.dumps(formula)}'
    text = SOUND.replace('type = "linear"\nbeta = [-0.01]', truth)
    return HostileInput(f"truth: {name}", design(text), ("design.toml:", "truth", *told), SIMULATE)


def _folder(name: str, files: dict[str, bytes], told: tuple[str, ...], *words: str) -> HostileInput:
    def write(folder: Path) -> None:
        (folder / "design.toml").write_text(SOUND, encoding="utf-8")
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)

    return HostileInput(name, write, told, words or (*SIMULATE, "--resume"))


_VARIED = "".join(f'"studies.{key}" = {list(range(50, 90))}\n' for key in ("sets", "controls", "copies"))
_VARIED += '"exposure.mean" = ' + str(list(range(50, 90))) + "\n"

# fmt: off
DESIGNS = (
    HostileInput("an empty design", design(""), ("design.toml", "exposure"), SIMULATE),
    HostileInput("a pipe for a design", lambda folder: os.mkfifo(folder / "design.toml"), ("design.toml", "pipe"), SIMULATE),
    HostileInput("a device for a design", content(b"", "other"), ("/dev/zero", "device"), ("simulate", "/dev/zero", "--out", "out")),
    HostileInput("a folder for a design", lambda folder: (folder / "design.toml").mkdir(), ("design.toml", "cannot be read"), SIMULATE),
    HostileInput("a design of lists in lists", design("title = " + "[" * 100_000), ("design.toml", "deep"), SIMULATE),
    HostileInput("a design of tables in tables", design("[a" + ".a" * 3000 + "]\nb = 1\n" + SOUND), ("design.toml",), SIMULATE),
    HostileInput("a design with a number of 5,000 digits", design("seed = " + "9" * 5000 + "\n" + SOUND), ("design.toml", "digits"), SIMULATE),
    HostileInput("a design with a NUL", design(SOUND.replace("small", "sm\0all")), ("design.toml", "TOML"), SIMULATE),
    HostileInput("a design that is no text", design(bytes(range(256))), ("design.toml", "UTF-8"), SIMULATE),
    HostileInput("a spec for a design", design('files = ["pool.csv"]\nexposure = "rcs"\n'), ("design.toml:1", "files", "no such key"), SIMULATE),
    HostileInput("a design of 1,000 unknown keys", design("".join(f"key{i} = 1\n" for i in range(1000)) + SOUND), ("design.toml:1", "no such key"), SIMULATE),
    HostileInput("a factorial of 2.5 million scenarios", design(SOUND + "[vary]\n" + _VARIED), ("design.toml", "vary"), SIMULATE),
    HostileInput("a vary that is no table", design("vary = 3\n" + SOUND), ("design.toml:1", "vary"), SIMULATE),
    HostileInput("a vary of keys that are not there", design(SOUND + '[vary]\n"studies.__class__" = [1, 2]\n'), ("design.toml", "no such key"), SIMULATE),
    _changed("a text for a number", "mean = 60", 'mean = "60"', "exposure.mean"),
    _changed("a list for a number", "mean = 60", "mean = [60]", "exposure.mean"),
    _changed("a date for a number", "mean = 60", "mean = 2024-01-01", "exposure.mean"),
    _changed("an infinite mean", "mean = 60", "mean = inf", "exposure.mean"),
    _changed("a mean beyond all bounds", "mean = 60", "mean = 1e308", "exposure.mean"),
    _changed("a spread of 0", "sd = 20", "sd = 0", "exposure.sd"),
    _changed("a spread beyond all bounds", "sd = 20", "sd = 1e200"),
    _changed("half a set", "sets = 60", "sets = 60.5", "sets"),
    _changed("a negative number of sets", "sets = 60", "sets = -60", "sets"),
    _changed("10^12 sets", "sets = 60", "sets = 1000000000000", "sets"),
    _changed("10^12 controls a case", "sets = 60", "sets = 60\ncontrols = 1000000000000", "controls"),
    _changed("10^9 copies of a study", "sets = 60", "sets = 60\ncopies = 1000000000", "copies"),
    _changed("10^18 replicates", "replicates = 4", "replicates = 1000000000000000000", "replicates"),
    _changed("no replicates", "replicates = 4", "replicates = 0", "replicates"),
    _changed("a billion knots", 'exposure = "linear"', 'exposure = "rcs"\nknots = 1000000000', "knots"),
    _changed("100,000 exposures", "at = [40, 80]", "at = [" + "50," * 100_000 + "]", "estimand.at"),
    _changed("no exposure", "at = [40, 80]", "at = []", "estimand.at"),
    _changed("a method that is a path", '["naive"]', '["../naive"]', "methods"),
    _changed("no method", '["naive"]', "[]", "methods"),
    _changed("studies that are no list", "[[studies]]", "[studies]", "studies"),
    _truth("import", "__import__('os').system('touch pwned')", "__import__"),
    _truth("attribute", "x.__class__", "not allowed"),
    _truth("method", "x.tofile('pwned')", "not allowed"),
    _truth("lambda", "(lambda: x)()", "not allowed"),
    _truth("comprehension", "[y for y in x]", "not allowed"),
    _truth("walrus", "(x := 3)", "not allowed"),
    _truth("f-string", "f'{x.__class__}'", "not allowed"),
    _truth("getattr", "getattr(x, 'tofile')('pwned')", "not allowed"),
    _truth("eval", "eval('1')", "eval"),
    _truth("subscript", "x[0]", "not allowed"),
    _truth("keyword", "exp(x, out=x)", "not allowed"),
    _truth("starred", "exp(*[x])", "not allowed"),
    _truth("another name", "y + 1", "'y'"),
    _truth("a text", "'x' * 10**10", "not allowed"),
    _truth("a complex number", "x + 1j", "not allowed"),
    _truth("a shift", "x << 10", "not allowed"),
    _truth("a huge power", "x * 9**9**9**9", "finite"),
    _truth("5,000 characters", "x+" * 2500 + "x", "characters"),
    _truth("300 parentheses", "(" * 300 + "x" + ")" * 300),
    _truth("beyond all bounds", "exp(exp(x))", "finite"),
    _folder("a record that is no JSON", {"out/design.json": b"{" * 1000}, ("design.json",)),
    _folder("a record of lists in lists", {"out/design.json": b"[" * 200_000}, ("design.json",)),
    _folder("a record of other keys", {"out/design.json": b'{"format": 1}'}, ("design.json",)),
    _folder("a record of wrong types", { "out/design.json": json.dumps(dict.fromkeys(("format", "spec", "replicates", "seed", "batches", "shard", "complete", "versions"), 7)).encode() }, ("design.json",)),
    _folder("a shard that is no folder of results", {"shard/readme": b"x"}, ("shard",), "simulate", "--merge", "shard", "--out", "out"),
    _folder("a shard of noise", {"shard/design.json": b"\xff\xfe\x00"}, ("shard",), "simulate", "--merge", "shard", "--out", "out"),
    _folder("a shard that is a device", {"other": b""}, ("/dev/zero",), "simulate", "--merge", "/dev/zero", "--out", "out"),
)
# fmt: on
