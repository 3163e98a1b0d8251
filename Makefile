# `make demo` and `make test` need Python 3.11 or newer and nothing else. What they use is
# installed into .venv once; after that, only when pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One worker for each core: a test runs on a single thread.
WORKERS ?= auto

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo check lint house test test-slow docs clean

help:
	@echo "make demo       enlarge a photograph 4 times with the bundled network"
	@echo "make test       all checks and all fast tests"
	@echo "make check      formatting, lint, types and the rules of the house"
	@echo "make test-slow  the tests that take long"
	@echo "make docs       write the picture and scores of README.md, the model cards and prosr info again"
	@echo "make clean      delete what the above made, .venv included"

demo: $(VENV)/installed
	@rm -rf build/demo
	@$(BIN)/prosr upscale docs/sample.png --scale 4 --output build/demo/enlarged.png
	@echo "The photograph docs/sample.png, 4 times larger: $(CURDIR)/build/demo/enlarged.png"

check: lint house

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

house: $(VENV)/installed-dev
	$(BIN)/pytest tests/test_house.py

# The rules of the house are among the tests.
test: lint
	$(BIN)/pytest -n $(WORKERS)

test-slow: $(VENV)/installed-dev
	$(BIN)/pytest -m slow

docs: $(VENV)/installed-dev
	$(BIN)/python docs/make_cards.py
	$(BIN)/python docs/make_engines.py
	$(BIN)/python docs/make_figure.py
	$(BIN)/python docs/make_tables.py

clean:
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("prosr needs Python 3.11 or newer, and this is " + sys.version.split()[0] + "; name another one: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(BIN)/pip install -c constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(BIN)/pip install -c constraints.txt -e '.[dev]'
	@touch $(VENV)/installed $@
