# Run `make` for the list of commands. Each one that needs the environment makes or updates it first.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
SAM := env -u MAKEFLAGS -u MAKEOVERRIDES $(BIN)/sam

# What the checks and the build need of AWS: a region, and no account. Nothing here talks to AWS.
OFFLINE := AWS_DEFAULT_REGION=ca-central-1 AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_EC2_METADATA_DISABLED=true
export SAM_CLI_TELEMETRY := 0

REQUIREMENTS := requirements-dev.txt local/requirements.txt local/lambda-runtime.txt layers/dependencies/requirements.txt
# uv reads the groups of a project only if it may manage it, which pyproject.toml forbids: so of a copy.
UNLOCKED := .venv/lock
COMPILE := $(CURDIR)/$(BIN)/uv --directory $(UNLOCKED) pip compile --quiet --python-version 3.13 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(LOCK_FLAGS)

.PHONY: help setup lock schemas build lint format test proof mutation coverage bench cost demo local invoke clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.complete ## Put everything that the project needs into .venv (does nothing when it is current)

.venv/.complete: $(REQUIREMENTS) .python-version local/setup.sh
	@local/setup.sh
	@touch $@

# Every file is compiled from pyproject.toml. The layer takes the versions that development and tests run on.
lock: setup ## Compile the requirements files again (LOCK_FLAGS=--upgrade for newer versions)
	@mkdir -p $(UNLOCKED)
	@sed '/^managed = false$$/d' pyproject.toml >$(UNLOCKED)/pyproject.toml
	$(COMPILE) --universal --group dev pyproject.toml --output-file $(CURDIR)/requirements-dev.txt
	$(COMPILE) --python-platform x86_64-manylinux_2_28 --no-annotate --constraint $(CURDIR)/requirements-dev.txt pyproject.toml \
		--output-file $(CURDIR)/layers/dependencies/requirements.txt
	$(COMPILE) --universal --group local-cloud --output-file $(CURDIR)/local/requirements.txt
	$(COMPILE) --universal --group lambda-runtime --output-file $(CURDIR)/local/lambda-runtime.txt

schemas: setup ## Write docs/integrate/schemas from the models
	@PYTHONPATH=layers/outbound_calls $(BIN)/python -m local.schemas

build: setup ## sam build, both layers included, into .aws-sam
	@$(OFFLINE) $(SAM) build

lint: setup ## ruff, mypy, cfn-lint, sam validate --lint and zizmor
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/cfn-lint template.yaml .github/aws/deploy-role.yaml examples/upstream.yaml
	@$(OFFLINE) $(SAM) validate --lint
	@$(BIN)/zizmor --offline --no-progress --quiet .github

format: setup ## Let ruff format the code and mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test: lint ## The checks of `make lint`, then every test (PYTEST_FLAGS="-k name" for some)
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(PYTEST_FLAGS)

proof: setup ## The long proofs of the promises, with their figures (PROOF_SEED=7 for other random schedules)
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder -rP -m proof $(PYTEST_FLAGS)

mutation: setup ## Whether a test notices each small mistake in what the promises rest on (MUTATION_ONLY=ledger)
	@nice -n 19 $(BIN)/python -m tests.tooling.mutation.run $(MUTATION_ONLY)

coverage: setup ## Branch coverage of the layer and the functions; every branch of the functions and of what the promises rest on
	@$(BIN)/python -m pytest -n 2 -q tests/unit tests/cloud --cov --cov-report=
	@$(BIN)/coverage report
	@$(BIN)/coverage report --fail-under=100 --include='*/lifecycle.py,*/ledger.py,*/allomia.py,*/callbacks.py,functions/*'

bench: setup ## Measure how fast and how cheap it is, into benchmarks/results/performance.md and docs/operate/cost.md (BENCH="batch" for some)
	@$(BIN)/python -m benchmarks $(BENCH)

cost: setup ## Write these pages anew from the figures and the prices that are there
	@$(BIN)/python -m benchmarks --pages

demo: setup ## Deploy the real template here, place calls against the simulator, and prove what is promised
	@$(BIN)/python -m local.demo

local: setup ## The same, left running, with hints on what to try
	@$(BIN)/python -m local.up

invoke: setup ## Run one function under Lambda's runtime emulator: FUNCTION=PlaceCallFunction EVENT=events/….json
	@: "$${FUNCTION:?say which function: make invoke FUNCTION=PlaceCallFunction EVENT=events/….json}"
	@: "$${EVENT:?say which event: make invoke FUNCTION=$$FUNCTION EVENT=events/….json}"
	@$(BIN)/python -m local.emulator "$$FUNCTION" "$$EVENT"

clean: ## Remove the environment, the build and the caches
	rm -rf .venv .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov
