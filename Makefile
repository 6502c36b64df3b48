# Run `make` for the list of commands. Each command that needs the environment creates or updates it first.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTHON := $(BIN)/python
# Tools run as modules where they can: a script's first line holds the path of its environment.
SAM := env -u MAKEFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u MFLAGS $(PYTHON) -m samcli

# No command here talks to AWS, except `make rehearse`, so none depends on an AWS profile.
unexport AWS_PROFILE AWS_DEFAULT_PROFILE
OFFLINE := AWS_DEFAULT_REGION=ca-central-1 AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_EC2_METADATA_DISABLED=true
export SAM_CLI_TELEMETRY := 0
export LC_ALL := C.UTF-8
export UV_SYSTEM_CERTS := true
# Where the home folder cannot be written, sam's settings and uv's cache go into .venv.
HOME_IS_WRITABLE := $(shell mkdir -p "$${XDG_CACHE_HOME:-$$HOME/.cache}/uv" 2>/dev/null && \
	[ -w "$${XDG_CACHE_HOME:-$$HOME/.cache}/uv" ] && [ -w "$$HOME" ] && echo yes)
ifneq ($(HOME_IS_WRITABLE),yes)
export UV_CACHE_DIR ?= $(CURDIR)/.venv/uv-cache
export __SAM_CLI_APP_DIR := $(CURDIR)/.venv/sam
endif

# The whole test run has a time limit; pyproject.toml has one for each test. On Ctrl-C and on the limit pytest still
# prints its summary and stops what it started. -I keeps PYTHON* variables out.
TEST_SECONDS := 1800
PYTEST = timeout --foreground --signal=INT --kill-after=60 $(TEST_SECONDS) $(PYTHON) -I -m pytest
FOUR_WORKERS := -n 4 --no-loadscope-reorder

LINTERS := lint-code lint-types lint-template lint-sam lint-workflows lint-prose
# One target's output stays together, and the slowest target starts first.
PARALLEL := --no-print-directory --jobs=2 --output-sync=target --keep-going

REQUIREMENTS := requirements-dev.txt local/requirements.txt local/lambda-runtime.txt layers/dependencies/requirements.txt
# uv reads a project's dependency groups only if it may manage the project, which pyproject.toml forbids. So it gets a copy.
UNLOCKED := .venv/lock
GENERATORS := .venv/client-generators
COMPILE := "$(CURDIR)/$(BIN)/uv" --directory $(UNLOCKED) pip compile --quiet --python-version 3.13 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(LOCK_FLAGS)

.PHONY: help setup lock schemas build check lint $(LINTERS) unit format test proof second-engine client-generators mutation coverage bench cost \
	demo local invoke rehearse release clean FORCE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' Makefile

setup: .venv/.complete ## Install everything the project needs into .venv (does nothing when it is up to date)

# The stamp holds the folder that .venv was made for. A copied or renamed clone makes its own.
ifneq ($(shell cat .venv/.complete 2>/dev/null),$(CURDIR))
.venv/.complete: FORCE
endif
.venv/.complete: $(REQUIREMENTS) .python-version local/setup.sh
	@local/setup.sh
	@pwd -P >$@

# Every file is compiled from pyproject.toml. The layer uses the versions that development and tests use.
lock: setup ## Compile the requirements files again (LOCK_FLAGS=--upgrade for newer versions)
	@mkdir -p $(UNLOCKED)
	@sed '/^managed = false$$/d' pyproject.toml >$(UNLOCKED)/pyproject.toml
	$(COMPILE) --universal --group dev pyproject.toml --output-file "$(CURDIR)/requirements-dev.txt"
	$(COMPILE) --python-platform x86_64-manylinux_2_28 --no-annotate --constraint "$(CURDIR)/requirements-dev.txt" pyproject.toml \
		--output-file "$(CURDIR)/layers/dependencies/requirements.txt"
	$(COMPILE) --universal --group local-cloud --output-file "$(CURDIR)/local/requirements.txt"
	$(COMPILE) --universal --group lambda-runtime --output-file "$(CURDIR)/local/lambda-runtime.txt"
	$(COMPILE) --universal --group client-generators --output-file "$(CURDIR)/tests/client_generators/requirements.txt"

schemas: setup ## Write docs/integrate/schemas from the models, what is made of them, and docs/operate/parameters.json
	@PYTHONPATH=layers/outbound_calls $(PYTHON) -m tools.schemas
	@PYTHONPATH=layers/outbound_calls $(PYTHON) -m tools.upstream_kit
	@$(PYTHON) -m tools.parameters

build: setup ## sam build, both layers included, into .aws-sam (does nothing when it is up to date)
	@$(PYTHON) -m local.sam

check: setup ## The inner loop, in under a minute: lint, types and tests/unit
	@$(MAKE) $(PARALLEL) $(LINTERS) unit

lint: setup ## ruff, mypy, cfn-lint, sam validate --lint, zizmor and the word list
	@$(MAKE) $(PARALLEL) $(LINTERS)

lint-code:
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

lint-types:
	@$(PYTHON) -m mypy

lint-template:
	@$(BIN)/cfn-lint template.yaml .github/aws/*.yaml examples/upstream.yaml examples/outcomes-over-https.yaml \
		rehearsal/template.yaml

lint-sam:
	@$(OFFLINE) $(SAM) validate --lint

lint-workflows:
	@$(BIN)/zizmor --offline --no-progress --quiet .github

lint-prose:
	@$(PYTHON) -m tools.prose
	@$(BIN)/codespell --skip '*.json,*.svg,*.pyc' --ignore-words-list adress,atleast README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md docs \
		benchmarks/templates template.yaml layers functions calls local rehearsal examples tests

unit:
	@$(PYTEST) -n 2 --quiet tests/unit $(PYTEST_FLAGS)

format: setup ## Let ruff format the code and fix what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test: lint build ## Everything: `make lint`, then every test (PYTEST_FLAGS="-k name" for some)
	@$(PYTEST) $(FOUR_WORKERS) $(PYTEST_FLAGS)

proof: TEST_SECONDS := 7200
proof: build ## The long proofs of the guarantees, with their figures (PROOF_SEED=7 for other random schedules)
	@$(PYTEST) $(FOUR_WORKERS) -o test_seconds=3600 -rP -m proof $(PYTEST_FLAGS)

second-engine: setup ## tests/cloud with another implementation of DynamoDB, dynalite, and with late indexes. Needs Node.js 20
	@mkdir -p .venv/second-engine && cp tests/second_engine/package.json tests/second_engine/package-lock.json .venv/second-engine
	@npm ci --prefix .venv/second-engine --ignore-scripts --no-audit --no-fund --loglevel=error
	@for cloud in second-engine late-indexes; do TESTS_CLOUD="$$cloud" $(PYTEST) --numprocesses=2 tests/cloud \
		--ignore=tests/cloud/test_doctor.py --ignore=tests/cloud/test_other_clouds.py $(PYTEST_FLAGS); done

client-generators: setup ## Generate clients from openapi.json in Python and TypeScript, and use them. Needs Node.js 20
	@mkdir -p $(GENERATORS) && cp tests/client_generators/package.json tests/client_generators/package-lock.json $(GENERATORS)
	@npm ci --prefix $(GENERATORS) --ignore-scripts --no-audit --no-fund --loglevel=error
	@$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON) $(GENERATORS)
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(GENERATORS)/bin/python tests/client_generators/requirements.txt
	@$(PYTEST) --quiet tests/client_generators/check.py $(PYTEST_FLAGS)

mutation: setup ## Check that a test fails for each small mistake in what the guarantees rest on (MUTATION_ONLY=domain)
	@nice -n 19 $(PYTHON) -m tests.tooling.mutation.run $(MUTATION_ONLY)

coverage: build ## Branch coverage of the layer and the functions; all branches of the functions and of what guarantees rest on
	@$(PYTEST) $(FOUR_WORKERS) -q tests/unit tests/cloud --cov --cov-report=
	@$(PYTHON) -m coverage report
	@$(PYTHON) -m coverage report --fail-under=100 --include='*/domain/*,*/policy/*,*/adapters/calls_table.py,*/adapters/allomia.py,*/adapters/callback_urls.py,functions/*'

bench: setup ## Measure speed and cost into benchmarks/results/performance.md and docs/operate/cost.md (BENCH="batch" for some)
	@$(PYTHON) -m benchmarks $(BENCH)

cost: setup ## Write these pages again from the stored figures and prices
	@$(PYTHON) -m benchmarks --pages

demo: setup ## Deploy the real template to the local cloud, place calls against the simulator, and check every guarantee
	@$(PYTHON) -m local.demo

local: setup ## The same stack, left running, with commands to try
	@$(PYTHON) -m local.up

invoke: setup ## Run one function under Lambda's runtime emulator: FUNCTION=PlaceCallFunction EVENT=events/….json
	@: "$${FUNCTION:?name a function: make invoke FUNCTION=PlaceCallFunction EVENT=events/….json}"
	@: "$${EVENT:?name an event: make invoke FUNCTION=$$FUNCTION EVENT=events/….json}"
	@$(PYTHON) -m local.emulator "$$FUNCTION" "$$EVENT" $${ENV_VARS:+--env-vars "$$ENV_VARS"}

rehearse: setup ## Check the guarantees of a dev or staging stack on AWS, without ringing anyone: STACK=… (CLOUD_TESTS=1)
	@: "$${STACK:?name a stack: make rehearse STACK=allomia-outbound-calls-dev}"
	@$(if $(AWS_PROFILE),AWS_PROFILE='$(AWS_PROFILE)') $(PYTHON) -m rehearsal "$$STACK" \
		$${EXECUTION_ROLE:+--execution-role "$$EXECUTION_ROLE"} $(if $(CLOUD_TESTS),--cloud-tests) $(if $(REALLY),--really)

release: setup ## Commit and tag a release here, without pushing it: make release VERSION=0.1.0
	@: "$${VERSION:?name a version: make release VERSION=0.1.0}"
	@$(PYTHON) -m tools.release make "$$VERSION"

clean: ## Remove the environment, the build and the caches
	rm -rf .venv .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov
