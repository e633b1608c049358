"""Specs, options and formulas that are wrong, huge or mean harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from corpus.hostile_input import BAD_INPUT, FIT, USAGE, HostileInput, beside_pool, content

SPEC = ("fit", "--spec", "spec.toml", "--out", "out")
_SOUND = 'files = ["pool.csv"]\nexposure = "linear"\n'


def spec(text: str | bytes) -> Callable[[Path], object]:
    data = text.encode() if isinstance(text, str) else text
    return beside_pool(content(data, "spec.toml"))


def line(text: str) -> Callable[[Path], object]:
    """A sound spec with one line more, the third."""
    return spec(_SOUND + text + "\n")


def _typed(name: str, text: str, *told: str) -> HostileInput:
    return HostileInput(name, line(text), ("spec.toml:3", *told), SPEC)


def _option(name: str, *words: str, told: tuple[str, ...], code: int = BAD_INPUT) -> HostileInput:
    return HostileInput(name, beside_pool(), told, (*FIT, *words), code)


def _formula(name: str, formula: str, *told: str) -> HostileInput:
    return HostileInput(
        f"formula: {name}", beside_pool(), told or ("formula",), (*FIT, "--covariates", formula)
    )


# fmt: off
SPECS = (
    HostileInput("an empty spec", spec(""), ("--spec", "files"), SPEC, USAGE),
    HostileInput("no such spec", beside_pool(), ("spec.toml", "no such file"), SPEC),
    HostileInput("a folder for a spec", beside_pool(lambda folder: (folder / "spec.toml").mkdir()), ("spec.toml", "folder"), SPEC),
    HostileInput("a pipe for a spec", beside_pool(lambda folder: os.mkfifo(folder / "spec.toml")), ("spec.toml",), SPEC),
    HostileInput("a device without end for a spec", beside_pool(), ("/dev/zero",), ("fit", "--spec", "/dev/zero", "--out", "out")),
    HostileInput("a spec of 100 MB", spec(b"#" * 100_000_000), ("spec.toml",), SPEC),
    HostileInput("a spec that is no text", spec(bytes(range(256))), ("spec.toml", "UTF-8"), SPEC),
    HostileInput("a spec with a NUL", line('covariates = "b\0mi"'), ("spec.toml:3", "TOML"), SPEC),
    HostileInput("a spec cut off", spec(_SOUND + 'covariates = "bmi'), ("spec.toml", "TOML"), SPEC),
    HostileInput("a spec with a key twice", line('exposure = "rcs"'), ("spec.toml", "TOML"), SPEC),
    HostileInput("a spec of lists in lists", line("at = " + "[" * 100_000), ("spec.toml", "deep"), SPEC),
    HostileInput("a spec of closed lists in lists", line("at = " + "[" * 400 + "]" * 400), ("spec.toml",), SPEC),
    HostileInput("a spec of tables in tables", line("at = " + "{a=" * 50_000), ("spec.toml", "deep"), SPEC),
    HostileInput("a spec with a key of 5,000 parts", line(".".join("a" * 5000) + " = 1"), ("spec.toml",), SPEC),
    HostileInput("a spec with 20,000 unknown keys", spec("".join(f"key{i} = 1\n" for i in range(20_000))), ("spec.toml:1", "not an option"), SPEC),
    HostileInput("a spec with a number of 5,000 digits", line("knots = " + "9" * 5000), ("spec.toml",), SPEC),
    HostileInput("a JSON file for a spec", spec('{"files": ["pool.csv"]}'), ("spec.toml:1", "TOML"), SPEC),
    HostileInput("a spec with a NUL in a file name", spec('files = ["po\\u0000ol.csv"]'), ("cannot be read",), SPEC),
    HostileInput("a spec with a NUL in the output's name", spec('files = ["pool.csv"]\nexposure = "linear"\nout = "o\\u0000ut"'), ("nothing was written",), ("fit", "--spec", "spec.toml")),
    HostileInput("a spec with a terminal's escape in a file name", spec('files = ["\\u001b[2Jpool.csv"]'), ("spec.toml:1", "\\x1b[2Jpool.csv"), SPEC),
    HostileInput("a spec whose files are a device", spec('files = ["/dev/zero"]'), ("/dev/zero", "device"), SPEC),
    HostileInput("a spec that names itself", spec('files = ["spec.toml"]'), ("spec.toml",), SPEC),
    HostileInput("a spec whose files are a pattern for the whole disk", spec('files = ["/**/*.nothing"]'), ("spec.toml:1", "100,000 files"), SPEC),
    HostileInput("a spec whose files are a pattern of patterns", spec('files = ["/' + "**/" * 300 + '*.nothing"]'), ("spec.toml:1",), SPEC),
    HostileInput("a spec whose files are a pattern for a folder that links to itself", beside_pool(content('files = ["**/*.nothing"]', "spec.toml"), lambda folder: (folder / "loop").symlink_to(".")), ("spec.toml:1", "no file matches"), SPEC),
    HostileInput("a spec without files", spec("files = []"), ("files",), SPEC, USAGE),
    _typed("a spec with a number for a formula", "covariates = 3", "covariates"),
    _typed("a spec with a list for a formula", 'covariates = ["bmi"]', "covariates"),
    _typed("a spec with a text for a number", 'level = ".95"', "level"),
    _typed("a spec with a text for a truth value", 'force = "yes"', "force"),
    _typed("a spec with a truth value for a number", "knots = true", "knots"),
    _typed("a spec with a date for a number", "ref = 2024-03-01", "ref"),
    _typed("a spec with a number that is none", "ref = nan", "ref"),
    _typed("a spec with an infinite number", "at = [30, inf]", "at"),
    _typed("a spec with texts among numbers", 'at = [30, "40"]', "at"),
    _typed("a spec with lists among numbers", "at = [[30]]", "at"),
    _typed("a spec with half a knot", "knots = 3.5", "knots"),
    _typed("a spec with a table for a text", "study = {name = 'study'}", "study"),
    _typed("a spec with a text for a table", 'scale_local = "North=2"', "scale_local"),
    _typed("a spec with texts in a table of numbers", "scale_local = {North = '2'}", "scale_local"),
    _typed("a spec with a method that is a number", "method = [1]", "method"),
    _typed("a spec with an unknown kind of exposure", 'knot_rule = "mine"', "knot_rule"),
    HostileInput("a spec with a table of tables", spec(_SOUND + "[scale_local.North]\na = 1\n"), ("spec.toml", "scale_local"), SPEC),
    HostileInput("a factor of 0", line("scale_local = {North = 0}"), ("North",), SPEC),
    HostileInput("a factor that is infinite", line("scale_local = {North = inf}"), ("North",), SPEC),
    HostileInput("a factor that overflows", line("scale_local = {North = 1e307}"), ("pool.csv:2", "beyond what can be calculated"), SPEC),
    HostileInput("a factor of a study that is not there", line("scale_local = {Nort = 2}"), ("Nort",), SPEC),
    HostileInput("a role of a column that is not there", line('case = "../../etc/passwd"'), ("pool.csv", "/etc/passwd"), SPEC),
    HostileInput("one column for two roles", line('local = "reference"'), ("reference",), SPEC),
    HostileInput("100,000 exposures", spec('files = ["pool.csv"]\nexposure = "linear"\nat = [' + "50," * 100_000 + "]"), ("at",), SPEC),
    _option("a billion knots", "--exposure", "rcs", "--knots", "1000000000", told=("from 3 to 7",)),
    _option("a negative number of knots", "--exposure", "rcs", "--knots", "-3", told=("from 3 to 7",)),
    _option("10^30 knots", "--exposure", "rcs", "--knots", "1" + "0" * 30, told=("from 3 to 7",)),
    _option("knots that are no numbers", "--exposure", "rcs", "--knot-values", "a,b,c", told=("--knot-values", "'a'"), code=USAGE),
    _option("knots that are no finite numbers", "--exposure", "rcs", "--knot-values", "nan,1,2", told=("--knot-values", "'nan'"), code=USAGE),
    _option("100,000 knots", "--exposure", "rcs", "--knot-values", ",".join(str(30 + i / 5000) for i in range(100_000)), told=("50 knots at most",)),
    _option("knots a hair apart", "--exposure", "rcs", "--knot-values", "50,50.0000000000001,50.0000000000002", told=("must differ",)),
    _option("10,000 categories", "--exposure", "categories", "--cuts", ",".join(str(30 + i / 5000) for i in range(10_000)), told=("100 cut points at most",)),
    _option("a level of 0", "--level", "0", told=("level",)),
    _option("a level next to 1", "--level", "0.99999999999999999", told=("level",)),
    _option("a level that is none", "--level", "nan", told=("level",)),
    _option("a reference exposure that is none", "--ref", "nan", told=("finite",)),
    _option("a reference exposure beyond all bounds", "--ref", "1e308", told=("finite",)),
    _option("a negative bootstrap", "--bootstrap", "-5", told=("bootstrap", "-5")),
    _option("a bootstrap of 10^15", "--bootstrap", str(10**15), told=("bootstrap", "at most")),
    _option("a bootstrap of 10^25", "--bootstrap", str(10**25), told=("bootstrap", "at most")),
    _option("a negative seed", "--bootstrap", "5", "--seed", "-1", told=("seed", "-1")),
    _option("a billion processes", "--bootstrap", "5", "--jobs", "1000000000", "--seed", "1", told=("jobs", "up to 1,024")),
    _option("a negative suppression", "--suppress", "-1", told=("--suppress",), code=USAGE),
    _option("a modifier that is not there", "--modifier", "__class__", told=("'__class__'", "not a column")),
    _option("a modifier with a level a person", "--modifier", "local", told=("'local'",)),
    _formula("import", "__import__('os').system('touch pwned')", "not allowed"),
    _formula("dunder attributes", "().__class__.__bases__[0].__subclasses__()", "cannot be understood"),
    _formula("attribute of a column", "bmi.__class__", "not allowed"),
    _formula("method of a column", "bmi.to_csv('pwned')", "not allowed"),
    _formula("module", "np.log(bmi)", "is not allowed"),
    _formula("lambda", "(lambda: 1)()", "cannot be understood"),
    _formula("comprehension", "sum([x for x in bmi])", "sum"),
    _formula("walrus", "(bmi := 3)"),
    _formula("f-string", "C(bmi, f'{bmi.__class__}')", "allowed"),
    _formula("format", "'{0.__class__}'.format(bmi)", "allowed"),
    _formula("getattr", "getattr(bmi, 'to_csv')('pwned')", "getattr"),
    _formula("eval", "eval('1')", "eval"),
    _formula("open", "open('pwned', 'w')", "open"),
    _formula("subscript", "bmi[0]", "allowed"),
    _formula("conditional", "bmi if bmi else 1", "allowed"),
    _formula("starred arguments", "log(*[bmi])", "allowed"),
    _formula("double starred arguments", "log(bmi, **{'out': bmi})", "allowed"),
    _formula("a keyword that writes", "log(bmi, out=bmi)", "allowed"),
    _formula("nested calls to a function not allowed", "I(log(exp(print(bmi))))", "print"),
    _formula("Q of an expression", "Q('b' + 'mi')", "allowed"),
    _formula("a name that shadows a function", "log(log)", "'log'"),
    _formula("builtins", "__builtins__", "__builtins__"),
    _formula("a huge power", "I(bmi + 9**9**9)", "allowed"),
    _formula("powers of powers", "I(bmi * " + "(" * 11 + "9**9" + ")**9" * 11 + ")", "not allowed"),
    _formula("a factorial of powers", "I(bmi * 9**9 * (10**10)**10 * ((10**10)**10)**10)"),
    _formula("a shift", "I(bmi + (1 << 10**10))", "allowed"),
    _formula("a huge repetition", "C(bmi, levels=[1]*10**10)", "allowed"),
    _formula("a division by zero", "I(bmi + 1/0)"),
    _formula("a number of 5,000 digits", "I(bmi + " + "9" * 5000 + ")"),
    _formula("2,000 parentheses", "I(" + "(" * 2000 + "bmi" + ")" * 2000 + ")"),
    _formula("4,000 signs", "I(" + "-" * 4000 + "bmi)"),
    _formula("1,200 additions within a function", "I(" + "bmi+" * 1200 + "bmi)"),
    _formula("5,000 parentheses", "(" * 5000 + "bmi" + ")" * 5000),
    _formula("5,000 signs", "I(" + "-" * 5000 + "bmi)"),
    _formula("5,000 additions within a function", "I(" + "bmi+" * 5000 + "bmi)"),
    _formula("5,000 terms", "+".join(["bmi"] * 5000)),
    _formula("a million characters", "bmi+" * 250_000 + "bmi"),
    _formula("crossed terms without end", "*".join(f"I(bmi+{i})" for i in range(24))),
    _formula("a power of a sum", "(" + "+".join(f"I(bmi+{i})" for i in range(24)) + ")**24"),
    _formula("a spline of a billion columns", "bs(bmi, df=1000000000)"),
    _formula("a spline of a huge degree", "bs(bmi, df=100000, degree=99999)"),
    _formula("a natural spline of a million columns", "cr(bmi, df=1000000)"),
    _formula("a restricted spline of a billion knots", "rcs(bmi, 1000000000)"),
    _formula("a restricted spline of a text", "rcs(bmi, 'x')"),
    _formula("a coding of levels that are not there", "C(sex, Treatment('x'))"),
    _formula("levels that are not there", "C(sex, levels=['x', 'y'])"),
    _formula("two outcomes", "bmi ~ sex ~ case", "~"),
    _formula("an outcome", "case ~ bmi", "~"),
    _formula("the case itself", "case", "case status"),
    _formula("unclosed brackets", "C(sex", "C(sex"),
    _formula("a statement", "import os"),
    _formula("two statements", "bmi; import os"),
    _formula("a line break and code", "bmi\nimport os"),
    _formula("a comment", "bmi # + sex"),
    _formula("a NUL", "b\\0mi"),
    _formula("a backquoted name", "`bmi`"),
    _formula("characters that look like others", "bｍi.__clasｓ__"),
)
# fmt: on
