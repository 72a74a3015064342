# Needs nothing but make and Python (3.11 or newer). `make help` says what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Only the command line sets HOST: shells export a variable of that name that means something else.
HOST =
PORT ?=
DATA_DIR ?=
TESTS ?=
PART ?=
QUICK ?=

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
RUN_READY := $(VENV)/.ready-to-run
TEST_READY := $(VENV)/.ready-to-test
# The peers that we are measured against want other versions of the same libraries.
BENCH_VENV := .bench-venv
BENCH_READY := $(BENCH_VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help run test check bench faults lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

run: $(RUN_READY) ## Start everything here; HOST, PORT (8000) and DATA_DIR (.notifier) may be given
	@$(BIN)/notifier up $(if $(HOST),--host '$(HOST)') $(if $(PORT),--port '$(PORT)') $(if $(DATA_DIR),--data-dir '$(DATA_DIR)')

test: $(TEST_READY) ## Run the tests; needs no Docker, no root, no servers (TESTS=tests/domain for some)
	@$(BIN)/python -m pytest -q -n 4 --dist worksteal $(TESTS)

check: $(TEST_READY) ## Check format, lint, types, import contracts, migrations; then run the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

bench: $(TEST_READY) $(BENCH_READY) ## Measure what things cost, into benchmarks/results.json (PART=due for one part; QUICK=1)
	@$(BIN)/python -m benchmarks $(PART) $(if $(QUICK),--quick)

faults: $(TEST_READY) ## Kill, freeze, take away for 20 minutes; the table goes into docs/guarantees.md (SEED=1; ONLY=restarts)
	@$(BIN)/python -m tests.faults --write $(if $(SEED),--seed $(SEED)) $(ONLY)

lock: ## Rewrite the hash-pinned requirements from pyproject.toml (needs uv)
	@requirements/lock

clean: ## Remove the virtual environment and all caches; the data stays
	rm -rf $(VENV) $(BENCH_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .schemathesis dist build
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN_READY): requirements/embedded.txt pyproject.toml
	@$(call prepare,requirements/embedded.txt,$@)

$(TEST_READY): requirements/dev.txt pyproject.toml
	@$(call prepare,requirements/dev.txt,$@)

$(BENCH_READY): benchmarks/peers.txt | $(TEST_READY)
	@echo "Installing benchmarks/peers.txt ..."
	@$(BIN)/python -m venv --clear $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers.txt
	@touch $@

# $(1): the list of exact, hashed requirements; $(2): the file that says that this is done.
define prepare
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Error: Python 3.11 or newer is needed, and $(PYTHON) is missing or older: try make PYTHON=python3.13" >&2; exit 1; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Error: this Python cannot make virtual environments: apt install python3-venv" >&2; exit 1; }; \
	$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Making the virtual environment ..." && $(PYTHON) -m venv --clear $(VENV); } || exit 1; \
	echo "Installing $(1) ..." && \
	$(INSTALL) --require-hashes -r $(1) && \
	$(INSTALL) --no-deps --no-build-isolation -e . && \
	touch $(2)
endef
