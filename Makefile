# Everything a fresh machine needs: python3 (3.11 or newer), make, and for the browser tests Chromium.
PYTHON  ?= python3
PROFILE ?= classroom
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/lock.installed
SMOKE   := build/smoke-book
SPHINX  := build/sphinx-venv
PAGES   ?= book
UNITS   := not slow and not browser and not notebook
export PYTHONUTF8 := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help setup book pdf sphinx test check commands bench bench-store gpu mutate clean tiny-model mini-model lock

help: ## Show this list
	@echo "Usage: make TARGET [PROFILE=classroom] [PYTHON=python3]"; echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: ## Make .venv from requirements.lock (once; again only when the lock changes)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit("Python 3.11 or newer is needed, %s is %d.%d. Install a newer one and run: make setup PYTHON=python3.11" % ("$(PYTHON)", v[0], v[1]) if v < (3, 11) else 0)'
	@cmp -s requirements.lock $(STAMP) || $(MAKE) --no-print-directory install

.PHONY: install
install:
	@# --clear would empty what the link points to, for everybody who uses it
	@test ! -L $(VENV) || { echo "$(VENV) is a link: install the packages where it points to."; exit 1; }
	@echo "Installing the pinned packages into $(VENV) (a few minutes, once) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@cp requirements.lock $(STAMP)

book: setup ## Execute the notebooks that are out of date and render the book
	@$(BIN)/tis book --profile $(PROFILE)

pdf: book ## Print the book, solutions included, as one PDF
	@$(BIN)/tis pdf

sphinx: book sphinx-pages ## Render the same pages with today's Sphinx, without Jupyter Book
	@echo "The pages are at $(PAGES)/_build/sphinx/index.html"

# Sphinx 9 and what must be newer with it, in an environment of their own; all the rest is that of .venv.
.PHONY: sphinx-pages
sphinx-pages: setup
	@cmp -s requirements-sphinx.lock $(SPHINX)/lock.installed || { \
	  $(BIN)/python -m venv --clear $(SPHINX) && \
	  $(SPHINX)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-sphinx.lock && \
	  $(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	    > "$$($(SPHINX)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/rest.pth" && \
	  cp requirements-sphinx.lock $(SPHINX)/lock.installed; }
	@$(SPHINX)/bin/python -m sphinx -q -W --keep-going -b html $(PAGES) $(PAGES)/_build/sphinx

check: setup ## Lint, types, unit tests: the inner loop (a few minutes)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@# a file stays on one worker: its fixtures are made once
	@$(BIN)/mypy & types=$$!; $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "$(UNITS)" tests; \
	units=$$?; wait $$types && exit $$units

test: UNITS := not browser and not notebook
test: check ## Check everything: units, slow tests, notebooks executed twice, the rendered book in a browser
	@$(BIN)/tis book --profile smoke --into $(SMOKE)
	@# the notebooks first and in the given order: they take as long as all pages in the browser beside them
	@TIS_BOOK=$(SMOKE) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "browser or notebook" tests/notebooks tests/book

commands: setup ## Execute every command that a page prints, whole chapters too (about 20 minutes)
	@TIS_EVERY_COMMAND=1 $(BIN)/python -m pytest -n 2 -m slow tests/notebooks/test_commands.py

bench: setup ## Time the fast code against plain baselines, as ratios
	@for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

bench-store: setup ## Time LESS again for chapter 02 (about four minutes; nothing else should run), data/results/bench
	@$(BIN)/python tests/benchmarks/bench_less.py --store

gpu: setup ## The GPU kit: equal numbers, speed, SmolLM2's grids; without a GPU a rehearsal with tiny shapes
	@$(BIN)/python tests/benchmarks/gpu.py $$($(BIN)/python -c 'import torch; print("run" if torch.cuda.is_available() else "rehearse")') build/gpu-pack build/gpu

mutate: setup ## Which small changes of MODULE=tis_utils/... does no test notice? (half a minute each, 60 at most)
	@$(BIN)/python tests/mutate.py $(MODULE)

tiny-model: setup ## Pre-train the tiny base model again (about 8 minutes on 2 cores)
	@PYTHONPATH=data/models $(BIN)/python -m recipe --out data/models/tiny

mini-model: setup ## Pre-train the smaller proxy model again (about 6 minutes on 1 core)
	@PYTHONPATH=data/models $(BIN)/python -m recipe --out data/models/mini --threads 1 --hidden 64 --layers 2 --feed-forward 168

clean: ## Remove what was built, keep .venv and the results cache
	@rm -rf build book/_build book/chapters tests/artifacts
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

lock: ## Rewrite requirements.lock from what .venv holds
	@$(BIN)/python -m pip freeze --all --exclude-editable | grep -viE '^(pip|tis[-_]utils)==' | sed 's/+cpu//' > requirements.lock
