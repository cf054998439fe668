# make run    sets up and finds the novel classes of the embedded table
# make test   sets up and checks everything

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test clean

run: $(VENV)/ready
	$(BIN)/python launch.py $(ARGS)

test: $(VENV)/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --dist worksteal
	$(BIN)/pytest -n auto --dist worksteal --optimised -m optimised tests/test_every_method.py

clean:
	rm -rf $(VENV)

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@
