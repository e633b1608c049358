"""Plans, and specs of sites and centres, that are wrong, huge or mean harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from corpus.hostile_input import BAD_INPUT, USAGE, HostileInput, beside_pool, content, pool_text

PLAN = ("plan", "plan.toml", "--out", "out")
SITE = ("site", "init", "--spec", "site.toml", "--dir", "site")
CENTRE = ("coordinate", "init", "centre.toml", "--dir", "centre")
SOUND = """\
title = "small"
[plan]
calibrators = [20, 50]
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
[[studies]]
name = "B"
sets = 60
laboratory = "local"
intercept = 12
slope = 0.75
r_squared = 0.8
"""
PILOT = '[plan]\ncalibrators = [20, 50]\n[pilot]\nspec = "analysis.toml"\n'


def _plan(
    name: str, text: str | bytes, *told: str, code: int = BAD_INPUT, heavy: bool = False
) -> HostileInput:
    data = text.encode() if isinstance(text, str) else text
    return HostileInput(f"a plan {name}", content(data, "plan.toml"), ("plan.toml", *told), PLAN, code, heavy)


def _changed(name: str, before: str, after: str, *told: str) -> HostileInput:
    assert before in SOUND, before
    return _plan(f"with {name}", SOUND.replace(before, after), *told)


def _asked(name: str, line: str, *told: str) -> HostileInput:
    """A line of the section [plan]."""
    key = line.split(" ")[0]
    section = "" if key == "calibrators" else "calibrators = [20, 50]\n"
    return _plan(
        f"with {name}", SOUND.replace("calibrators = [20, 50]\n", f"{section}{line}\n"), f"plan.{key}", *told
    )


def _pilot(name: str, spec: str, *told: str, plan: str = PILOT) -> HostileInput:
    made = beside_pool(content(plan, "plan.toml"), lambda folder: (folder / "analysis.toml").write_text(spec))
    return HostileInput(f"a pilot {name}", made, told, PLAN)


def _spec(kind: str, name: str, text: str, *told: str, code: int = BAD_INPUT) -> HostileInput:
    words, file = (SITE, "site.toml") if kind == "site" else (CENTRE, "centre.toml")
    made = beside_pool(content(text, file))
    return HostileInput(f"a spec of a {kind}: {name}", made, told or (file,), words, code)


def _site(name: str, text: str, *told: str) -> HostileInput:
    return _spec("site", name, text, *told)


def _centre(name: str, text: str, *told: str) -> HostileInput:
    return _spec("centre", name, text, *told)


def _kept(name: str, files: dict[str, str | None], *told: str, words: tuple[str, ...]) -> HostileInput:
    """A folder of a site or a centre whose own files were spoilt; None stands for a pipe."""

    def write(folder: Path) -> None:
        (folder / "pool.csv").write_text(pool_text(), encoding="utf-8")
        (folder / "kept").mkdir()
        for file, text in files.items():
            if text is None:
                os.mkfifo(folder / "kept" / file)
            else:
                (folder / "kept" / file).write_text(text, encoding="utf-8")

    return HostileInput(name, write, ("kept", *told), (*words, "--dir", "kept"))


def _pipe(name: str) -> Callable[[Path], object]:
    return lambda folder: os.mkfifo(folder / name)


_FILES = 'files = ["pool.csv"]\n'
_SITES = 'sites = ["a", "b"]\n'
_LEDGER = ("site", "ledger")
_STATUS = ("coordinate", "status")
_SETTINGS = '{"site": "a", "minimum": 5, "rounds": 40, "reading": {"files": ["pool.csv"]}, "secret_file": ""}'
_KEY = "00" * 32 + "\n"
_SESSION = '{"session": "' + "0" * 32 + '", "secret_file": ""}'

# fmt: off
PLANS = (
    HostileInput("a plan that is missing", content("", "other"), ("plan.toml", "no such file"), PLAN),
    HostileInput("a plan that is a pipe", _pipe("plan.toml"), ("plan.toml", "pipe"), PLAN),
    HostileInput("a plan that is a folder", lambda folder: (folder / "plan.toml").mkdir(), ("plan.toml",), PLAN),
    HostileInput("a plan that is a device", content("", "other"), ("/dev/zero", "device"), ("plan", "/dev/zero")),
    HostileInput("a plan that links to itself", lambda folder: (folder / "plan.toml").symlink_to("plan.toml"), ("plan.toml",), PLAN),
    HostileInput("a plan whose name has a line break", lambda folder: (folder / "my\nplan .toml").write_text("x = 1\n"), ("my plan .toml",), ("plan", "my\nplan .toml")),
    HostileInput("a plan to a file", lambda folder: ((folder / "plan.toml").write_text(SOUND), (folder / "out").write_text("")), ("out", "file"), PLAN),
    HostileInput("a plan without a file", content("", "other"), ("SPEC.toml",), ("plan",), USAGE),
    _plan("of 100 MB", b"#" * 100_000_000, "bytes"),
    _plan("that is empty", "", "exposure"),
    _plan("that is no text", bytes(range(256)), "UTF-8"),
    _plan("that is cut off", SOUND[:150] + '"'),
    _plan("of lists in lists", "title = " + "[" * 100_000, "deep"),
    _plan("of tables in tables", "[a" + ".a" * 3000 + "]\nb = 1\n" + SOUND),
    _plan("with a number of 5,000 digits", "seed = " + "9" * 5000 + "\n" + SOUND, "digits"),
    _plan("with a NUL", SOUND.replace("small", "sm\0all"), "TOML"),
    _plan("of 1,000 unknown keys", "".join(f"key{i} = 1\n" for i in range(1000)) + SOUND, "no such key"),
    _plan("that is a spec", _FILES, "files"),
    _plan("that is JSON", '{"plan": 1}', "TOML"),
    _changed("a section that is a number", "[plan]\ncalibrators = [20, 50]\n", "plan = 3\n", "plan"),
    _changed("a section that is a list", "[plan]\ncalibrators = [20, 50]\n", "plan = []\n", "plan"),
    _changed("a factorial", "[plan]", '[vary]\n"exposure.mean" = [1, 2]\n[plan]', "vary"),
    _asked("calibrators of a text", 'calibrators = "many"', "calibrators"),
    _asked("no calibrators", "calibrators = []"),
    _asked("infinite calibrators", "calibrators = [20, inf]"),
    _asked("calibrators that are none", "calibrators = [nan]"),
    _asked("calibrators of 1e308", "calibrators = [1e308]"),
    _asked("negative calibrators", "calibrators = [-20]"),
    _asked("half a calibrator", "calibrators = [20.5]"),
    _asked("calibrators of a date", "calibrators = [2024-01-01]"),
    _asked("lists among calibrators", "calibrators = [[20]]"),
    _asked("100,000 numbers of calibrators", "calibrators = [" + ",".join(str(k) for k in range(3, 100_003)) + "]"),
    _asked("more calibrators than controls", "calibrators = [1000000000000]"),
    _asked("a spread that is not there", 'spread = ["everywhere"]', "everywhere"),
    _asked("a spread of numbers", "spread = [1, 2]"),
    _asked("10,000 spreads", 'spread = [' + '"random",' * 10_000 + "]"),
    _asked("an extreme share of 7", "extreme_share = 7"),
    _asked("a budget of 0", "budget = 0"),
    _asked("a negative budget", "budget = -5"),
    _asked("a budget of 10^30", "budget = 1" + "0" * 30),
    _asked("an infinite budget", "budget = inf"),
    _asked("a budget of a text", 'budget = "all"'),
    _asked("a budget below what each study needs", "budget = 2"),
    _asked("least of 10^12", "least = 1000000000000"),
    _asked("a width of 0", "width = 0"),
    _asked("a negative width", "width = -1"),
    _asked("a width that is none", "width = nan"),
    _asked("a power above 1", "power = 80"),
    _asked("a power below the size", "power = 0.01"),
    _asked("a size of 0", "alpha = 0"),
    _asked("a level of 95", "level = 95"),
    _asked("a truth value for a number", "enough = true"),
    _asked("a seed in the wrong section", "seed = -1"),
    _changed("a negative seed", 'title = "small"', "seed = -1", "seed"),
    _changed("a seed of a text", 'title = "small"', 'seed = "x"', "seed"),
    _changed("an infinite mean", "mean = 60", "mean = inf", "exposure.mean"),
    _changed("a mean beyond all bounds", "mean = 60", "mean = 1e308", "exposure.mean"),
    _changed("a spread of 0", "sd = 20", "sd = 0", "exposure.sd"),
    _changed("a spread beyond all bounds", "sd = 20", "sd = 1e200"),
    _changed("a spread of a negative number", "sd = 20", "sd = -20", "exposure.sd"),
    _changed("10^12 sets", "sets = 60", "sets = 1000000000000", "sets"),
    _changed("no sets", "sets = 60", "sets = 0", "sets"),
    _changed("a third of a set", "sets = 60", "sets = 0.3", "sets"),
    _changed("10^12 controls a case", "sets = 60", "sets = 60\ncontrols = 1000000000000", "controls"),
    _changed("10^9 copies", "sets = 60", "sets = 60\ncopies = 1000000000", "copies"),
    _changed("a slope of 0", "slope = 0.75", "slope = 0", "slope"),
    _changed("a slope next to nothing", "slope = 0.75", "slope = 1e-300", "studies"),
    _changed("a slope that is none", "slope = 0.75", "slope = nan", "slope"),
    _changed("an R^2 of 1.5", "r_squared = 0.8", "r_squared = 1.5", "r_squared"),
    _changed("an R^2 of 0", "r_squared = 0.8", "r_squared = 0", "r_squared"),
    _changed("an R^2 next to nothing", "r_squared = 0.8", "r_squared = 1e-300", "studies"),
    _changed("no exposures", "at = [40, 80]", "at = []", "estimand.at"),
    _changed("100,000 exposures", "at = [40, 80]", "at = [" + "50," * 100_000 + "]", "estimand.at"),
    _changed("exposures of texts", "at = [40, 80]", 'at = ["40"]', "estimand.at"),
    _changed("exposures beyond all bounds", "at = [40, 80]", "at = [1e300]", "estimand.at"),
    _changed("a huge effect", "beta = [-0.01]", "beta = [1e300]", "truth"),
    _changed("an effect that separates", "beta = [-0.01]", "beta = [50]", "truth"),
    _changed("a truth that is code", 'type = "linear"\nbeta = [-0.01]', "type = \"expression\"\nformula = \"__import__('os').system('touch pwned')\"", "truth"),
    _changed("one study twice", 'name = "B"', 'name = "A"', "'A'"),
    _changed("a study without a name", 'name = "B"\n', "", "name"),
    _changed("a laboratory that is not there", 'laboratory = "local"', 'laboratory = "moon"', "laboratory"),
    _changed("no local study", 'laboratory = "local"\nintercept = 12\nslope = 0.75\nr_squared = 0.8\n', 'laboratory = "reference"\n', "studies"),
    _changed("a pilot and guesses", "[plan]", '[pilot]\nspec = "x.toml"\n[plan]', "leave out one"),
    _changed("a billion knots", 'exposure = "linear"\n[', 'exposure = "rcs"\nknots = 1000000000\n[', "knots"),
    _changed("knots in reverse", 'exposure = "linear"\n[', 'exposure = "rcs"\nknots = [80, 60, 40]\n[', "knots"),
    _pilot("without a spec", _FILES, "plan.toml", "pilot.spec", plan="[pilot]\n"),
    _pilot("that is a number", _FILES, "plan.toml", "pilot", plan="pilot = 3\n"),
    _pilot("with a key more", _FILES, "plan.toml", "no such key", plan='[pilot]\nspec = "analysis.toml"\nfolder = "x"\n'),
    _pilot("whose spec is missing", _FILES, "nowhere.toml", "no such file", plan='[pilot]\nspec = "nowhere.toml"\n'),
    _pilot("whose spec is the plan", _FILES, "plan.toml", "pilot", plan='[pilot]\nspec = "plan.toml"\n'),
    _pilot("whose spec is a device", _FILES, "/dev/zero", "device", plan='[pilot]\nspec = "/dev/zero"\n'),
    _pilot("whose spec has a NUL in its name", _FILES, "cannot be read", plan='[pilot]\nspec = "a\\u0000b"\n'),
    _pilot("whose spec is broken", "files = [", "analysis.toml", "TOML"),
    _pilot("whose files are a device", 'files = ["/dev/zero"]\n', "/dev/zero", "device"),
    _pilot("with a formula that is code", _FILES + 'exposure = "linear"\ncovariates = "bmi.to_csv(\'pwned\')"\n', "not allowed"),
    _pilot("with a modifier", _FILES + 'exposure = "linear"\nmodifier = "sex"\n', "analysis.toml", "modifier"),
    _pilot("asked for 10^12 calibrators", _FILES + 'exposure = "linear"\n', "plan.toml", "calibrators", plan=PILOT.replace("50]", "1000000000000]")),
)

SETTINGS = (
    _site("no name", _FILES, "site.toml", "name"),
    _site("a blank name", _FILES + 'site = ""\n', "name"),
    _site("a name that is a number", _FILES + "site = 3\n", "site.toml:2", "site"),
    _site("a name that is a path", _FILES + 'site = "../a"\n', "site"),
    _site("a name with a terminal's escape", _FILES + 'site = "\\u001b[2J"\n', "site"),
    _site("a minimum of 1", _FILES + 'site = "a"\nminimum = 1\n', "minimum"),
    _site("a minimum of a text", _FILES + 'site = "a"\nminimum = "5"\n', "site.toml:3", "minimum"),
    _site("a minimum that is true", _FILES + 'site = "a"\nminimum = true\n', "site.toml:3", "minimum"),
    _site("no rounds", _FILES + 'site = "a"\nrounds = 0\n', "rounds"),
    _site("half a round", _FILES + 'site = "a"\nrounds = 9.5\n', "site.toml:3", "rounds"),
    _spec("site", "no files", 'site = "a"\n', "files", code=USAGE),
    _site("a file that is missing", 'site = "a"\nfiles = ["nowhere.csv"]\n', "nowhere.csv"),
    _site("a secret that is missing", _FILES + 'site = "a"\nsecret_file = "nowhere"\n', "nowhere"),
    _site("a secret of a device", _FILES + 'site = "a"\nsecret_file = "/dev/zero"\n', "/dev/zero", "device"),
    _site("a secret that is a number", _FILES + 'site = "a"\nsecret_file = 3\n', "site.toml:3", "secret_file"),
    _site("a secret with a NUL in its name", _FILES + 'site = "a"\nsecret_file = "a\\u0000b"\n', "secret"),
    _site("a secret that is short", 'site = "a"\nfiles = ["pool.csv"]\nsecret_file = "pool.csv/x"\n', "secret"),
    _site("a key of the centre", _FILES + 'site = "a"\nsites = ["a", "b"]\n', "site.toml:3", "sites"),
    HostileInput("a spec of a site: a pipe", _pipe("site.toml"), ("site.toml", "pipe"), SITE),
    HostileInput("a spec of a site: a secret in a pipe", beside_pool(content(_FILES + 'site = "a"\nsecret_file = "pipe"\n', "site.toml"), _pipe("pipe")), ("pipe", "named pipe"), SITE),
    HostileInput("a folder of a site: a file", beside_pool(content(_FILES + 'site = "a"\n', "site.toml"), content("", "site")), ("site",), SITE),
    HostileInput("a folder of a site: below a file", beside_pool(content(_FILES + 'site = "a"\n', "site.toml")), ("pool.csv",), (*SITE[:-1], "pool.csv/site")),
    HostileInput("a folder of a site: a name longer than any", beside_pool(content(_FILES + 'site = "a"\n', "site.toml")), ("cannot be written",), (*SITE[:-1], "x" * 5000)),
    HostileInput("a folder of a site: a link to nowhere", beside_pool(content(_FILES + 'site = "a"\n', "site.toml"), lambda folder: (folder / "site").symlink_to("nowhere/deep")), ("site", "cannot be written"), SITE),
    HostileInput("a folder of a site: the kernel's", beside_pool(content(_FILES + 'site = "a"\n', "site.toml")), ("/proc/site",), (*SITE[:-1], "/proc/site")),
    _centre("no sites", 'exposure = "linear"\n', "sites"),
    _centre("one site", 'sites = ["a"]\n', "sites"),
    _centre("sites that are a number", "sites = 3\n", "centre.toml:1", "sites"),
    _centre("sites that are numbers", "sites = [1, 2]\n", "centre.toml:1", "sites"),
    _centre("sites that are paths", 'sites = ["../a", "b"]\n', "'../a'"),
    _centre("sites with a terminal's escape", 'sites = ["\\u001b[2J", "b"]\n', "site"),
    _centre("a site twice", 'sites = ["a", "a"]\n', "each once"),
    _centre("100,000 sites", "sites = [" + ",".join(f'"s{k}"' for k in range(100_000)) + "]\n", "sites"),
    _centre("files", _SITES + _FILES, "files"),
    _centre("joint curves without a modifier", _SITES + 'joint = "sex"\n', "modifier"),
    _centre("a bootstrap", _SITES + "bootstrap = 10\n", "bootstrap"),
    _centre("a method that is not there", _SITES + 'method = ["magic"]\n', "'magic'"),
    _centre("a level of 2", _SITES + "level = 2\n", "level"),
    _centre("a billion knots", _SITES + "knots = 1000000000\n", "knots"),
    _centre("100,000 knots", _SITES + "knot_values = [" + ",".join(str(k) for k in range(100_000)) + "]\n", "knots"),
    _centre("100,000 exposures", _SITES + "at = [" + "50," * 100_000 + "]\n", "at"),
    _centre("a formula that is code", _SITES + "covariates = \"__import__('os').system('touch pwned')\"\n", "not allowed"),
    _centre("a formula without end", _SITES + 'covariates = "' + "*".join(f"I(bmi+{i})" for i in range(24)) + '"\n', "terms"),
    _centre("a formula of 100,000 letters", _SITES + 'covariates = "' + "bmi+" * 25_000 + 'bmi"\n', "characters"),
    _centre("a title of 100,000 letters", _SITES + f'outcome_name = "{"x" * 100_000}"\n', "outcome_name"),
    _centre("a secret of a device", _SITES + 'secret_file = "/dev/zero"\n', "/dev/zero", "device"),
    HostileInput("a spec of a centre: a pipe", _pipe("centre.toml"), ("centre.toml", "pipe"), CENTRE),
    HostileInput("a folder of a centre: a file", beside_pool(content(_SITES, "centre.toml"), content("", "centre")), ("centre",), CENTRE),
    HostileInput("a folder of a centre: a name longer than any", beside_pool(content(_SITES, "centre.toml")), ("cannot be written",), (*CENTRE[:-1], "x" * 5000)),
    HostileInput("a folder of a centre: the kernel's", beside_pool(content(_SITES, "centre.toml")), ("/proc/centre",), (*CENTRE[:-1], "/proc/centre")),
    _kept("a site's settings that are missing", {}, "biocal site init", words=_LEDGER),
    _kept("a site's settings of lists in lists", {"site.json": "[" * 100_000}, "site.json", words=_LEDGER),
    _kept("a site's settings that are a list", {"site.json": "[]"}, "site.json", words=_LEDGER),
    _kept("a site's settings of wrong types", {"site.json": _SETTINGS.replace("5", '"x"')}, "site.json", words=_LEDGER),
    _kept("a site's settings in a pipe", {"site.json": None}, "site.json", words=_LEDGER),
    _kept("a site's ledger of lists in lists", {"site.json": _SETTINGS, "site.key": _KEY, "ledger.json": "[" * 100_000}, "ledger.json", words=_LEDGER),
    _kept("a site's ledger of wrong types", {"site.json": _SETTINGS, "site.key": _KEY, "ledger.json": '{"sessions": [{"session": 1, "title": [], "plan": 2, "requests": 3, "population": 4}]}'}, "ledger.json", words=_LEDGER),
    _kept("a site's ledger cut off", {"site.json": _SETTINGS, "site.key": _KEY, "ledger.json": '{"sessions": ['}, "ledger.json", words=_LEDGER),
    _kept("a site's ledger in a pipe", {"site.json": _SETTINGS, "site.key": _KEY, "ledger.json": None}, "ledger.json", words=_LEDGER),
    _kept("a centre without a session", {}, "no session", words=_STATUS),
    _kept("a centre's session of lists in lists", {"session.json": "[" * 100_000}, "session.json", words=_STATUS),
    _kept("a centre's session that is a list", {"session.json": "[]"}, "session.json", words=_STATUS),
    _kept("a centre's session in a pipe", {"session.json": None}, "session.json", words=_STATUS),
    _kept("a centre whose request is gone", {"session.json": _SESSION}, "request", words=_STATUS),
    _kept("a centre whose request is in a pipe", {"session.json": _SESSION, "request_000.json": None}, "request_000.json", words=_STATUS),
    _kept("a centre whose request is no JSON", {"session.json": _SESSION, "request_000.json": "{"}, "request_000.json", words=_STATUS),
    HostileInput("a centre with a name longer than any", content("", "other"), ("cannot be read",), (*_STATUS, "--dir", "x" * 5000)),
    HostileInput("a site with a name longer than any", content("", "other"), ("not readable",), (*_LEDGER, "--dir", "x" * 5000)),
)
# fmt: on
