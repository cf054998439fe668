# make run    sets up and finds the novel classes of the embedded table
# make test   sets up and checks everything
# make lint   style and types alone, which make test checks too
# make strict the same in further cases, and every method compiled as users compile it
# make faults kills, starves and disturbs every command, a thousand times; an hour or two of one core.
#             What it counts lies in benchmarks/results/faults.json
# make fuzz   100,000 tables, flags and folders that nobody would write; what fails lies in runs/fuzz
# make bench  sets up and times the program and its kernels against their peers; what it finds
#             lies in runs/bench, and a part that fails does not keep the others from running
# On Windows from Git Bash: make run PYTHON=python

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && \
  $(BIN)/pyrefly check --python-interpreter-path=$(BIN)/python

# Byte code is kept, whatever the machine says: a test starts dozens of processes, and each would
# compile the whole package.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test lint strict faults fuzz bench clean

run: $(VENV)/ready
	$(BIN)/python launch.py $(ARGS)

test: $(VENV)/ready-test
	@{ $(LINT); } & lint=$$!; \
	$(BIN)/pytest -n auto --dist worksteal; tests=$$?; \
	wait $$lint && exit $$tests

lint: $(VENV)/ready-test
	$(LINT)

strict: $(VENV)/ready-test
	$(BIN)/pytest -n auto --dist worksteal --thorough -m 'not optimised'
	$(BIN)/pytest -n auto --dist worksteal --thorough --optimised -m optimised tests/test_every_method.py

fuzz: $(VENV)/ready-test
	$(BIN)/python tests/fuzz/fuzz.py --processes=2 $(ARGS)

faults: $(VENV)/ready-test
	$(BIN)/pytest --faults tests/faults tests/tuning/test_workers.py

bench: $(VENV)/ready-bench
	@failed=; \
	for part in whole_program sweep kmeans k_estimation spectral; do \
	  echo "benchmarks.$$part"; \
	  NCD_JAX_RESULTS=runs/bench $(BIN)/python -m benchmarks.$$part --small \
	    || failed="$$failed benchmarks.$$part"; \
	done; \
	test -z "$$failed" || { echo "make bench: these failed:$$failed" >&2; exit 1; }

clean:
	rm -rf $(VENV)

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[app]'
	touch $@

$(VENV)/ready-test: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

$(VENV)/ready-bench: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@
