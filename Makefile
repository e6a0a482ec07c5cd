# ICHScope: `make run` opens the dashboard, `make test` checks everything. `make help` lists the rest.

PYTHON ?= python3.11
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock
# What each installation depends on; a stamp newer than these means that nothing is left to do.
INPUTS := pyproject.toml requirements.lock
# Deque's accessibility checks, which the browser tests run on every page.
AXE_VERSION := 4.14.1
AXE := .cache/axe/.installed-$(AXE_VERSION)

.DEFAULT_GOAL := help
.PHONY: help run demo install axe test coverage docs lint format lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.run-installed ## Install what the dashboard needs and start it (PORT=8501)
	@echo "ICHScope: http://localhost:$(PORT)  (this computer only; stop with Ctrl+C)"
	@$(BIN)/streamlit run dashboard/app.py --server.port $(PORT)

demo: $(VENV)/.run-installed ## Fill the store with synthetic studies and readers' labels, to try the pages with
	$(BIN)/ichscope demo

install: $(VENV)/.all-installed ## Install everything: dashboard, training, documentation, tests

axe: $(AXE) ## Install axe-core, with which the browser tests look at every page

test: lint $(AXE) ## Check style, types and behaviour (everything, a process a core)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

docs: $(VENV)/.all-installed ## Build the documentation to site/; warnings and broken links are errors
	$(BIN)/mkdocs build --quiet
	@echo "Open site/index.html"

coverage: $(VENV)/.all-installed ## Measure which branches the tests take (one process, without the browser)
	mkdir -p build/coverage
	$(BIN)/coverage run -m pytest -m "not browser"
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report --format=total

lint: $(VENV)/.all-installed ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.all-installed ## Put the code into the common format
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

lock: $(VENV)/.all-installed ## Look for newer versions and write requirements.lock
	$(INSTALL) uv
	{ sed -n '/^#/p;/^[^#]/q' requirements.lock; \
	  $(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade --quiet \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links; } > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: ## Remove the environment and caches (results in var/ and runs/ stay)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(AXE):
	@mkdir -p $(@D)
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(@D) axe-core@$(AXE_VERSION) && touch $@ || \
		echo "No axe-core, so the tests do not look at the pages with it. It needs npm (Debian: apt-get install npm)."

$(BIN)/python:
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "ICHScope needs Python 3.11 with its venv module; '$(PYTHON)' is missing, older or incomplete."; \
		echo "Debian or Ubuntu: apt-get install python3.11 python3.11-venv"; \
		echo "Installed elsewhere: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-installed: $(INPUTS) | $(BIN)/python
	@echo "Installing what the dashboard needs (a few minutes the first time) ..."
	$(INSTALL) --editable '.[dashboard]'
	@touch $@

$(VENV)/.all-installed: $(INPUTS) | $(BIN)/python
	@echo "Installing everything (several minutes the first time) ..."
	$(INSTALL) --editable '.[dashboard,training,docs,dev]'
	@touch $(VENV)/.run-installed $@
