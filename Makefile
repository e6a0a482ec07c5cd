# ICHScope: `make run` opens the dashboard, `make test` checks everything. `make help` lists the rest.

PYTHON ?= python3.11
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
# `make lock` keeps the versions that it finds, `make upgrade` looks for newer ones.
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --quiet --no-annotate --no-emit-index-url --no-emit-find-links
# What runs ICHScope, as requirements-run.lock has it.
RUN_EXTRAS := --extra dashboard --extra pacs --extra postgres --extra cluster --extra build
# Deque's accessibility checks, which the browser tests run on every page.
AXE_VERSION := 4.14.1
AXE := .cache/axe/.installed-$(AXE_VERSION)
# By which viewers in browsers (OHIF) read DICOM: a test reads our objects with it.
DCMJS_VERSION := 0.52.2
DCMJS := .cache/dcmjs/.installed-$(DCMJS_VERSION)

.DEFAULT_GOAL := help
.PHONY: help run demo install axe dcmjs test coverage docs lint format lock upgrade sbom wheelhouse clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.run-installed ## Install what the dashboard needs and start it (PORT=8501)
	@echo "ICHScope: http://localhost:$(PORT)  (this computer only; stop with Ctrl+C)"
	@$(BIN)/streamlit run dashboard/app.py --server.port $(PORT)

demo: $(VENV)/.run-installed ## Fill the store with synthetic studies and readers' labels, to try the pages with
	$(BIN)/ichscope demo

install: $(VENV)/.all-installed ## Install everything: dashboard, training, documentation, tests

axe: $(AXE) ## Install axe-core, with which the browser tests look at every page

dcmjs: $(DCMJS) ## Install dcmjs, with which a test reads our DICOM objects as viewers do

test: lint $(AXE) $(DCMJS) ## Check style, types and behaviour (everything, a process a core)
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

lock: | $(BIN)/uv ## Bring both locks, versions and hashes, in step with pyproject.toml
	$(COMPILE) --all-extras --output-file requirements.lock
	$(COMPILE) $(RUN_EXTRAS) --constraint requirements.lock --output-file requirements-run.lock

upgrade: COMPILE += --upgrade
upgrade: lock ## Look for newer versions and write them to both locks

sbom: $(VENV)/.all-installed ## List packages, models and licences of what runs ICHScope in build/sbom
	$(BIN)/python -m deploy.sbom

wheelhouse: build/wheels/.complete sbom ## Everything for a machine without a network, in one archive below build/
	deploy/wheelhouse.sh

clean: ## Remove the environment and caches (results in var/ and runs/ stay)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(AXE):
	@mkdir -p $(@D)
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(@D) axe-core@$(AXE_VERSION) && touch $@ || \
		echo "No axe-core, so the tests do not look at the pages with it. It needs npm (Debian: apt-get install npm)."

$(DCMJS):
	@mkdir -p $(@D)
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(@D) dcmjs@$(DCMJS_VERSION) && touch $@ || \
		echo "No dcmjs, so no test reads our DICOM objects with it. It needs npm (Debian: apt-get install npm)."

# A stamp newer than what an installation depends on means that nothing is left to do.
$(VENV)/.run-installed: deploy/install.sh pyproject.toml requirements-run.lock
	@echo "Installing what the dashboard needs (a few minutes the first time) ..."
	PYTHON=$(PYTHON) deploy/install.sh requirements-run.lock
	@touch $@

$(VENV)/.all-installed: deploy/install.sh pyproject.toml requirements.lock
	@echo "Installing everything (several minutes the first time) ..."
	PYTHON=$(PYTHON) deploy/install.sh requirements.lock
	@touch $(VENV)/.run-installed $@

build/wheels/.complete: requirements-run.lock | $(VENV)/.all-installed
	rm -rf build/wheels
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
		--requirement requirements-run.lock --dest build/wheels
	@touch $@

$(BIN)/uv:
	$(MAKE) install
