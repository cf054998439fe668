# make run    sets up and finds the novel classes of the embedded table
# make test   sets up and checks everything
# make bench  sets up and times the kernels against their peers, in a few minutes

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test bench clean

run: $(VENV)/ready
	$(BIN)/python launch.py $(ARGS)

test: $(VENV)/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --dist worksteal
	$(BIN)/pytest -n auto --dist worksteal --optimised -m optimised tests/test_every_method.py

bench: $(VENV)/ready-bench
	$(BIN)/python -m benchmarks.sweep --small
	$(BIN)/python -m benchmarks.kmeans --small
	$(BIN)/python -m benchmarks.k_estimation --small
	$(BIN)/python -m benchmarks.spectral --small

clean:
	rm -rf $(VENV)

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

$(VENV)/ready-bench: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@
