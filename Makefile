# The commands of this project; CONTRIBUTING.md tells how long each takes.  `make` alone lists them.
# PYTHON=/path/to/python3 chooses the interpreter (any Python >= 3.11); otherwise one is looked for.

SHELL := /bin/bash
export PYTHON
VENV := .venv
# -rs: what was not run is told, with the reason
PYTEST := -m pytest -n auto -rs

.PHONY: help demo test test-browser test-slow test-fuzz test-offline test-promises test-faults lint format docs wheel-test test-oldest test-newest test-r r-pins bench clean

help:
	@echo "make demo         install into $(VENV) and analyse the bundled vitamin D consortium"
	@echo "make test         the tests, doctests included"
	@echo "make test-browser the reports in headless Chromium, which is installed (apt, as root) where it is missing"
	@echo "make lint         style, types, layers"
	@echo "make format       rewrite the sources in the project's style"
	@echo "make docs         the documentation, vignettes run, links checked; open docs/build/index.html"
	@echo "make wheel-test   build the wheel and use it far from this folder"
	@echo "make test-oldest  the tests on the oldest dependencies allowed (Python 3.11)"
	@echo "make test-newest  the tests on the newest dependencies (Python 3.13)"
	@echo "make test-r       the R package and the numbers against live R (needs R; as root installs it by apt-get)"
	@echo "make r-pins       make all numbers pinned from R anew"
	@echo "make test-slow    long recovery and coverage runs"
	@echo "make test-fuzz    every hostile input, and properties on twenty times the examples (minutes)"
	@echo "make test-promises each promise of docs/trust.md broken in a scratch copy, where its test must fail"
	@echo "make test-faults  commands killed at many moments, then run again to the reference result"
	@echo "make test-offline the tests with every connection to a network refused"
	@echo "make bench        everything beside other programs, and the page of it"
	@echo "make clean        remove environments and results"

# An environment is installed anew only when pyproject.toml changes; the package itself is editable.
$(VENV)/.installed: pyproject.toml
	@.ci/make-venv $(VENV) any -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml
	@.ci/make-venv $(VENV) any -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml
	@.ci/make-venv $(VENV) any -e '.[dev,docs]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-dev

.venv-oldest/.installed: pyproject.toml tests/constraints-oldest.txt
	@.ci/make-venv .venv-oldest 3.11 -e '.[test]' -c tests/constraints-oldest.txt
	@touch $@

.venv-newest/.installed: pyproject.toml
	@.ci/make-venv .venv-newest 3.13 --upgrade -e '.[test]'
	@touch $@

demo: $(VENV)/.installed
	$(VENV)/bin/biocal fit --spec data/vitamin_d/analysis.toml --out out/vitamin_d --force
	@echo
	@echo "Figures and tables are in out/vitamin_d:"
	@ls out/vitamin_d
	@echo "Open out/vitamin_d/report.html first."

test: $(VENV)/.installed-dev
	$(VENV)/bin/python $(PYTEST)

# part of make test where there is a Chromium; here its absence is a failure
test-browser: $(VENV)/.installed-dev
	@.ci/need-chromium
	CI=true $(VENV)/bin/python $(PYTEST) -m browser tests/report

test-slow: $(VENV)/.installed-dev
	@$(VENV)/bin/python $(PYTEST) -m slow || { status=$$?; [ $$status -eq 5 ] && echo "there are no slow tests yet"; }

# other examples each time; a failure prints how to have it again
test-fuzz: $(VENV)/.installed-dev
	BIOCAL_FUZZ=$${BIOCAL_FUZZ:-20} $(VENV)/bin/python $(PYTEST) -m "slow or not slow" tests/trust

# ids of some, --list, or another number of --jobs in PROMISES
test-promises: $(VENV)/.installed-dev
	$(VENV)/bin/python tests/trust/break_promises.py --jobs 2 $(PROMISES)

# seeds are printed; --kills, --only and --seed in FAULTS, --sessions in SESSIONS
test-faults: $(VENV)/.installed-dev
	$(VENV)/bin/python tests/kill_commands.py $(FAULTS)
	$(VENV)/bin/python tests/kill_sessions.py $(SESSIONS)

# Dask speaks over sockets by design and is left out, as is the browser that reads the reports
test-offline: $(VENV)/.installed-dev
	PYTHONPATH=tests/offline $(VENV)/bin/python $(PYTEST) -m "not slow and not browser" --ignore-glob="*/test_dask.py"

# all four run, so that one failure does not hide another
lint: $(VENV)/.installed-dev
	@status=0; \
	for check in "ruff check ." "ruff format --check ." mypy lint-imports; do \
	    echo "$$check"; $(VENV)/bin/$$check || status=1; \
	done; exit $$status

format: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# a warning is an error; nothing is fetched from the network
docs: $(VENV)/.installed-docs
	$(VENV)/bin/python -m sphinx -q -W --keep-going -b html docs docs/build
	$(VENV)/bin/python docs/check_links.py docs/build

wheel-test:
	@.ci/wheel-test

test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python $(PYTEST)

test-newest: .venv-newest/.installed
	.venv-newest/bin/python $(PYTEST)

test-r: $(VENV)/.installed-dev
	@PYTHON=$(VENV)/bin/python R-compat/test_r.sh test

r-pins: $(VENV)/.installed-dev
	@PYTHON=$(VENV)/bin/python R-compat/test_r.sh pins

# .venv-bench is for lifelines, which wants an older pandas; where it cannot be had its rows are left out
.venv-bench/.installed: pyproject.toml
	@.ci/make-venv .venv-bench any -e '.[bench]' && touch $@ || echo "no lifelines: its rows are left out"

# BENCH="--quick", BENCH="--only engine,fit", BENCH="--long"
bench: $(VENV)/.installed-dev .venv-bench/.installed
	$(VENV)/bin/python benchmarks/run.py $(BENCH)

clean:
	rm -rf .venv .venv-oldest .venv-newest .venv-bench benchmarks/quick out dist build docs/build docs/api/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis
