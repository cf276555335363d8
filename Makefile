# Everything starts here; each target sets up what it needs and a second run is quick.
#
#   make demo        see Tocsin at work: no root, no keys, no node (DEMO_ARGS=--keep: and stay)
#   make test        every gate and every test that is not slow
#   make test-slow   the batteries: two to three hours
#   make lab         compile the protocols that publish sources alone, for make test-slow
#   make bench       every figure, one JSON object each
#   make lock        renew the pinned dependencies (needs uv: pip install uv)
#   make format      let ruff write

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
WHEEL_VENV := .venv-wheel
RIVALS_VENV := .venv-rivals
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PYTEST_ARGS ?=
DEMO_ARGS ?=

PYTHON_CODE := src tests benchmarks
SOURCES := $(shell find src configs docs/detectors -type f -not -name '*.pyc' 2>/dev/null)
BENCHMARKS := $(patsubst benchmarks/%.py,%,$(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# pytest rewrites each test module before it compiles it: once, and not in every one of its processes at every run.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-slow lab bench lint format types imports wheel lock clean system

demo: $(STAMPS)/demo
	@exec $(BIN)/tocsin demo $(DEMO_ARGS)

# Less than the tests take: no apt, and only what the program itself and a broker from a wheel need.
$(STAMPS)/demo: requirements.txt requirements-dev.txt pyproject.toml
	@mkdir -p $(STAMPS)
	@if [ ! -e $(STAMPS)/tocsin ]; then \
	  echo 'installing into $(VENV), once'; \
	  $(PYTHON) -m venv $(VENV); \
	  $(BIN)/pip install -q --require-hashes -r requirements.txt; \
	  sed -n '/^iotcore==/,/[^\\]$$/p' requirements-dev.txt >$(STAMPS)/broker.txt; \
	  $(BIN)/pip install -q --require-hashes -r $(STAMPS)/broker.txt || \
	    echo 'no broker from a wheel for this platform: the demo takes mosquitto, or does without'; \
	  $(BIN)/pip install -q --no-deps -e .; \
	fi
	@touch $@

test: lint types imports wheel $(STAMPS)/anvil
	$(BIN)/pytest -q -n 4 $(PYTEST_ARGS)

# Most of these wait for a clock, so three at once leave two cores busy; sixty simulated node-months take two hours alone.
test-slow: $(STAMPS)/tocsin $(STAMPS)/anvil $(STAMPS)/lab system
	$(BIN)/pytest -q -m slow -n 3 --timeout=3600 -o faulthandler_timeout=0 $(PYTEST_ARGS)

bench: $(STAMPS)/tocsin $(STAMPS)/anvil $(RIVALS_VENV)/dependencies system
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name --json; done

lint: $(STAMPS)/tocsin
	$(BIN)/ruff format --check $(PYTHON_CODE)
	$(BIN)/ruff check $(PYTHON_CODE)

types: $(STAMPS)/tocsin
	$(BIN)/mypy

imports: $(STAMPS)/tocsin
	$(BIN)/lint-imports

format: $(STAMPS)/tocsin
	$(BIN)/ruff check --fix $(PYTHON_CODE)
	$(BIN)/ruff format $(PYTHON_CODE)

# What pip cannot install: the broker, systemd's checkers, venv itself.
system:
	@.ci/system-packages

# Dependencies are pinned with hashes; an index is whatever pip is set up to use.
$(STAMPS)/dependencies: requirements-dev.txt | system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -qq --require-hashes -r requirements-dev.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/tocsin: $(STAMPS)/dependencies pyproject.toml
	$(BIN)/pip install -qq --no-deps --no-build-isolation -e .
	@touch $@

# From npm: the Ethereum node of the tests, a binary, contracts for it, and the reader of AsyncAPI documents. Install scripts are not run.
$(STAMPS)/anvil: package-lock.json $(STAMPS)/dependencies | system
	@if command -v npm >/dev/null; then npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
	else echo 'skipped: npm is not installed, tests with a real node will be skipped'; test -z "$${CI:-}"; fi
	@touch $@

# Protocols of which npm has sources alone, with their compilers, or much: 100 MB and a minute that `make test` does without.
lab: $(STAMPS)/lab

$(STAMPS)/lab: tests/lab/package-lock.json tests/lab/compile.js $(wildcard tests/lab/contracts/*.sol) $(STAMPS)/dependencies | system
	@if command -v npm >/dev/null; then \
	  npm ci --prefix tests/lab --ignore-scripts --no-audit --no-fund --loglevel=error; \
	  node tests/lab/compile.js aave-v3.6 morpho-blue; \
	else echo 'skipped: npm is not installed, tests with compiled protocols will be skipped'; test -z "$${CI:-}"; fi
	@touch $@

# The package as users get it: built, installed beside nothing but its own dependencies, and tried.
wheel: $(STAMPS)/wheel

$(STAMPS)/wheel: $(STAMPS)/tocsin $(WHEEL_VENV)/dependencies $(SOURCES) README.md LICENSE
	@rm -rf build dist
	$(BIN)/python -m build -q --wheel --no-isolation --outdir dist
	$(WHEEL_VENV)/bin/pip install -qq --no-deps --force-reinstall dist/*.whl
	$(WHEEL_VENV)/bin/pip check
	$(WHEEL_VENV)/bin/tocsin version
	$(BIN)/python -m tests.support.wheel $(WHEEL_VENV)
	@touch $@

$(WHEEL_VENV)/dependencies: requirements.txt $(STAMPS)/dependencies
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/pip install -qq --require-hashes -r requirements.txt
	@touch $@

# What a benchmark compares with needs older versions of what Tocsin itself uses.
$(RIVALS_VENV)/dependencies: requirements-rivals.txt $(STAMPS)/dependencies
	$(PYTHON) -m venv $(RIVALS_VENV)
	$(RIVALS_VENV)/bin/pip install -qq --require-hashes -r requirements-rivals.txt
	@touch $@

lock:
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
	  --custom-compile-command 'make lock' $(LOCK_ARGS) pyproject.toml -o requirements.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
	  --custom-compile-command 'make lock' $(LOCK_ARGS) --extra dev --extra demo --extra notify --extra fast pyproject.toml -o requirements-dev.txt
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-annotate --python-version 3.11 \
	  --custom-compile-command 'make lock' $(LOCK_ARGS) --group rivals -o requirements-rivals.txt

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(RIVALS_VENV) build dist node_modules tests/lab/node_modules tests/lab/build .mypy_cache .ruff_cache .pytest_cache .hypothesis
