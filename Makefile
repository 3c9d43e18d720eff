# The few commands a person types: `make app` to use segviz, `make test` and `make check` to work on it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q
PYTEST := $(BIN)/python -m pytest
WORKERS = --dist loadfile --no-loadscope-reorder -n
ARGS ?=
PORT ?=

.PHONY: app test test-slow check format notebook clean

app: $(VENV)/app.stamp ## Start the app and print its address; PORT=8600 chooses the port
	$(BIN)/python -m segviz app $(if $(PORT),--port $(PORT)) $(ARGS)

test: $(VENV)/dev.stamp ## Run the quick tests
	$(PYTEST) $(WORKERS) 2 -m "not slow" $(ARGS)

# Slow tests wait more than they compute, so there is one worker more than cores; those that measure come last, alone.
test-slow: $(VENV)/dev.stamp ## Run the slow tests: load, fuzzing, faults, kills and full evaluations
	$(PYTEST) $(WORKERS) 3 -m "slow and not alone" $(ARGS)
	$(PYTEST) -m "slow and alone" $(ARGS)

check: $(VENV)/dev.stamp ## Lint, formatting, types and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/dev.stamp ## Fix and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebook: $(VENV)/dev.stamp ## Run the example notebook and store what it shows
	$(BIN)/python examples/run_notebook.py

$(VENV)/app.stamp: requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'segviz needs Python 3.11 or newer: make PYTHON=python3.12 ...')"
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) -r requirements.txt -c constraints.txt
	$(PIP) --no-deps -e .
	touch $@

$(VENV)/dev.stamp: $(VENV)/app.stamp requirements-dev.txt
	$(PIP) -r requirements-dev.txt -c constraints.txt
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
