# `make demo` and `make test` need nothing but Python 3.11 or later; they build .venv themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# As many participants side by side as there are processors, up to eight.
NPROCS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n > 8 ? 8 : n)))
TEST_NPROCS ?= $(shell n=$(NPROCS); echo $$((n > 4 ? 4 : n)))
# One thread for each process of tests.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_NPROCS)
DEMO_DIR ?= demo

.PHONY: demo test test-all coverage docs mutants release-check lint format clean

demo: $(VENV)/.installed
	$(BIN)/musenc demo --output-dir $(DEMO_DIR) --nprocs $(NPROCS)

test: $(VENV)/.installed-dev
	$(PYTEST) $(PYTEST_ARGS)

test-all: $(VENV)/.installed-dev
	$(PYTEST) -m "" $(PYTEST_ARGS)

# Fails below 90 % of the lines.
coverage: $(VENV)/.installed-dev
	$(PYTEST) --cov --cov-report=term --cov-report=html:build/coverage $(PYTEST_ARGS)

# The site, in build/docs; what is broken in it is an error.
docs: $(VENV)/.installed-dev
	MPLBACKEND=Agg OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going docs build/docs

# Wrong signs, borders, folds: a test must fail for each.
mutants: $(VENV)/.installed-dev
	$(BIN)/python tests/mutants.py

# Before a release: what needs musicnn's trained networks, none of which may skip, and the wheel.
release-check: $(VENV)/.installed-dev
	$(PYTEST) -m trained --no-skips $(PYTEST_ARGS)
	tests/release.sh $(abspath $(BIN))/python

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	# As installed: workflows/ is bids_app.workflows.
	rm -rf build/lint && mkdir -p build/lint
	cp -r bids_app build/lint && cp -r workflows build/lint/bids_app
	cd build/lint && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml
	cd build/lint && $(abspath $(BIN))/lint-imports --no-cache --no-logo $(CURDIR)/pyproject.toml

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist *.egg-info
