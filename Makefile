# Needs Python 3.11 and make, nothing else. `make help` lists what there is.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CHECKED := shared services cli tests bench docs

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench proof simulate chaos fuzz clean lock

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11, or name it: make PYTHON=/path/to/python3.11 setup" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(STAMP)  ## make .venv from the hash-pinned requirements.lock

demo: setup  ## play one synthetic session on real processes, then say what happened
	$(BIN)/execution demo

test: setup  ## run every test
	$(BIN)/python -m pytest

check: setup  ## lint, types and import rules
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/unit/test_architecture.py

bench: setup  ## measure; prints figures and keeps them in bench/results
	$(BIN)/python -m bench

proof: setup  ## every recorded session: columns, bar by bar and over processes, one digest
	$(BIN)/python -m bench.proof

HOURS ?= 1
simulate: setup  ## fresh seeds of the simulation for HOURS=1
	$(BIN)/execution simulate --seeds 1000000 --seconds $$(( $(HOURS) * 1800 ))
	$(BIN)/execution simulate --free --seeds 1000000 --seconds $$(( $(HOURS) * 1800 ))

KILLS ?= 200
chaos: setup  ## disturb days over real processes, KILLS=200
	$(BIN)/python -m tests.chaos --kills $(KILLS)

MESSAGES ?= 100000
fuzz: setup  ## damaged messages through the decoder, MESSAGES=100000
	$(BIN)/python -m tests.fuzz --messages $(MESSAGES)

clean:  ## remove what setup and runs left behind (never a data folder)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock:  ## remake requirements.lock (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate requirements.in -o requirements.lock
