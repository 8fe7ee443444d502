# `make help` is the index of what a developer runs here.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
UV_VERSION := 0.13.9

# uv's own answers about the machine's configuration must not change what is installed: the locks decide.
export UV_NO_PROGRESS := 1
# Bytecode makes every start after the first two seconds shorter; the tests alone start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

# What the browser gets. Built, not kept in the repository; without npm the console says how to build it.
ASSETS := src/linklocal/console/static/console.js

.DEFAULT_GOAL := help
.PHONY: help setup run console screenshots docs differences check format test test-long lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: $(VENV)/.runtime $(ASSETS) ## install what is needed and start `linklocal dev`
	@exec $(BIN)/linklocal dev $(ARGS)

console: $(ASSETS) ## build the console's scripts and styles; needs npm

screenshots: $(VENV)/.dev $(ASSETS) ## pictures of the console's pages in build/screenshots; needs chromium
	$(BIN)/python tests/console/screenshots.py build/screenshots

docs: $(VENV)/.dev ## build the documentation's site in build/site
	$(BIN)/mkdocs build --quiet

differences: $(VENV)/.dev ## write docs/differences.md from the marks on the tests
	$(BIN)/python tests/differences.py

setup: $(VENV)/.runtime ## just the environment: .venv/bin/linklocal exists afterwards

check: $(VENV)/.dev ## format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(VENV)/.dev $(ASSETS) ## every test but the long loops; T=path narrows the run
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m "not long" $(T)

test-long: $(VENV)/.dev ## the long loops
	$(BIN)/pytest -m long --timeout 7200 $(T)

lock: $(UV) ## resolve the dependencies into locks/, keeping what fits; UPGRADE=--upgrade for newer ones
	$(UV) pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate -q $(UPGRADE) -o locks/runtime.txt --group build
	$(UV) pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate -q $(UPGRADE) -c locks/runtime.txt -o locks/dev.txt --group dev --extra otel

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build

$(ASSETS): frontend/node_modules/.package-lock.json frontend/build.mjs $(wildcard frontend/entry/*)
	@if command -v node >/dev/null && test -e $<; then echo "Building the console ..."; cd frontend && node build.mjs; fi

frontend/node_modules/.package-lock.json: frontend/package-lock.json frontend/.npmrc
	@if ! command -v npm >/dev/null; then echo "npm is missing, so there will be no console. On Debian: apt-get install nodejs npm"; \
	else echo "Installing what the console is built from ..."; \
	(cd frontend && npm ci --ignore-scripts --no-audit --no-fund --silent && touch node_modules/.package-lock.json) \
	|| echo "npm failed, so there will be no console; everything else works."; fi

$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is missing. On Debian: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11. Name a newer one: make PYTHON=python3.12 setup"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.runtime: locks/runtime.txt pyproject.toml | $(UV)
	@echo "Installing linklocal into $(VENV) ..."
	@test -e $(VENV)/.dev || $(UV) pip install --quiet --python $(BIN)/python --require-hashes -r locks/runtime.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: locks/dev.txt $(VENV)/.runtime | $(UV)
	@echo "Installing the tools of development into $(VENV) ..."
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r locks/dev.txt
	@touch $@
