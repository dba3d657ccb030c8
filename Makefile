# Everything runs in .venv, made with python3 -m venv and pip alone and pinned by constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
COMMA := ,

# Neither Dagster nor dlt reports usage from this Makefile.
export DAGSTER_DISABLE_TELEMETRY := 1
export RUNTIME__DLTHUB_TELEMETRY := false

# What is compiled once is kept, whatever the shell says: else each worker and each process compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

EXTRAS := dev$(if $(DESTINATION),$(COMMA)$(DESTINATION))
QUICK := not installs and not warehouses and not waits and not processes and not exhaustive

.DEFAULT_GOAL := help
.PHONY: help setup demo dev dashboard test test-all test-warehouses load-test screenshots docs lint format clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## create .venv with everything pinned

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(STAMP) ## the main job on the local sandbox, no account needed; with UI=1, Dagster afterwards; DESTINATION=postgres or ducklake
	@$(if $(DESTINATION),$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS)]")
	@$(BIN)/refersion-dagster demo $(if $(UI),--ui) $(if $(DESTINATION),--destination $(DESTINATION))

dev: $(STAMP) ## dagster dev on your account, or on the sandbox with SANDBOX=1
	@$(BIN)/refersion-dagster dev $(if $(SANDBOX),--sandbox)

dashboard: $(STAMP) ## five pages over your published copies, opened in the browser, or over the demo's with SANDBOX=1
	@$(if $(SANDBOX),REFERSION_PUBLISH_PATH=.demo/published) $(BIN)/python -m dashboard $(if $(HEADLESS),--headless)

test: $(STAMP) ## the tests of every module, without processes, waits, a browser or matrices
	$(BIN)/python -m pytest -m "$(QUICK)" --hypothesis-profile quick --numprocesses auto

test-all: $(STAMP) ## all tests but for other warehouses, and the wheel in clean environments for each installed Python from 3.11 to 3.13
	$(BIN)/python -m pytest -m "not installs and not warehouses" --numprocesses auto
	$(BIN)/python -m pytest -m installs --numprocesses 2 --dist=worksteal

test-warehouses: $(STAMP) ## figures in the engines of other warehouses, each in an environment of its own in .venv/engines
	$(BIN)/python -m pytest -m warehouses --numprocesses 2

load-test: $(STAMP) ## the webhook receiver: 1,000 events a second for 30 s, killed in the middle
	$(BIN)/python -m benchmarks.webhooks

screenshots: $(STAMP) ## the pictures of README.md and docs; needs a browser
	$(BIN)/python -m docs.screenshots

docs: $(STAMP) ## the generated files of docs/, and the documentation as a site in .site/
	$(BIN)/python -m docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

lint: $(STAMP) ## ruff, pyright, and the layers of the imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(STAMP) ## apply ruff's fixes and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and generated files
	rm -rf $(VENV) .demo dashboard/dist dashboard/node_modules .pytest_cache .ruff_cache .hypothesis build *.egg-info
