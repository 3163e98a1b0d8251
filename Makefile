# `make demo` and `make test` need Python 3.11 or newer and nothing else. What they use is
# installed into .venv once; after that, only when pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WHEEL := build/wheel
LIGHT := build/light
# One worker for each core: a test runs on a single thread.
WORKERS ?= auto

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo check lint house test test-slow test-page test-service test-cluster docs site dist executable clean

help:
	@echo "make demo       enlarge a photograph 4 times with the bundled network"
	@echo "make test       all checks and all fast tests"
	@echo "make check      formatting, lint, types and the rules of the house"
	@echo "make test-slow  the tests that take long"
	@echo "make test-page  the page in Chromium, which must be installed"
	@echo "make test-service  the service: its whole API, under load, and with kill -9"
	@echo "make test-cluster  batches on Ray from and to an S3 server, with kill -9"
	@echo "make docs       write the picture and scores of README.md, the model cards and prosr info again"
	@echo "make site       the documentation as a site in build/site"
	@echo "make dist       wheel, source archive and bill of materials in dist/, checked"
	@echo "make executable one file in dist/ that enlarges pictures and needs no Python"
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

# Tests import prosr from the wheel, as users have it. The rules of the house are among them.
test: lint $(WHEEL)/prosr
	PYTHONPATH=$(CURDIR)/$(WHEEL) $(BIN)/pytest -n $(WORKERS)

test-slow: $(WHEEL)/prosr
	PYTHONPATH=$(CURDIR)/$(WHEEL) $(BIN)/pytest -m slow

test-page: $(WHEEL)/prosr
	$(BIN)/pip install -q playwright axe-playwright-python
	PYTHONPATH=$(CURDIR)/$(WHEEL) $(BIN)/pytest -m slow tests/test_page.py

test-service: $(WHEEL)/prosr
	$(BIN)/pip install -q schemathesis
	PYTHONPATH=$(CURDIR)/$(WHEEL) $(BIN)/pytest -m slow tests/test_service.py

# PICTURES=200 is a short run.
PICTURES ?= 2000
test-cluster: $(WHEEL)/prosr
	$(BIN)/pip install -q -c constraints.txt 'moto[s3,server]' -e '.[cluster]'
	PYTHONPATH=$(CURDIR)/$(WHEEL) PROSR_PICTURES=$(PICTURES) $(BIN)/pytest -m cluster

$(WHEEL)/prosr: $(VENV)/installed-dev README.md LICENSE $(shell find src -type f -not -name '*.pyc')
	rm -rf $(WHEEL)
	$(BIN)/hatchling build -t wheel -d $(WHEEL)
	$(BIN)/pip install --quiet --no-deps --target $(WHEEL) $(WHEEL)/*.whl
	@touch $@

# Zensical is the successor of Material for MkDocs, and reads its mkdocs.yml.
site: $(VENV)/installed-site
	$(BIN)/python docs/make_site.py
	$(BIN)/zensical build --strict --clean
	@echo "The site: $(CURDIR)/build/site/index.html"

# The wheel is built from the source archive, which shows that nothing is missing there.
dist: $(VENV)/installed-dist
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(PYTHON) -m venv --clear $(LIGHT)
	$(LIGHT)/bin/pip install --quiet -c constraints.txt dist/*.whl
	$(BIN)/cyclonedx-py environment --output-file dist/prosr.cdx.json $(LIGHT)/bin/python

executable: dist
	$(LIGHT)/bin/pip install --quiet -c constraints.txt pyinstaller
	$(LIGHT)/bin/pyinstaller --onefile --name prosr --distpath dist --workpath build/executable \
	    --specpath build/executable --collect-all openvino --collect-all prosr --collect-all pyvips \
	    --collect-all pyvips_binary --recursive-copy-metadata prosr \
	    --copy-metadata pyvips-binary src/prosr/__main__.py

docs: $(VENV)/installed-dev
	$(BIN)/python docs/make_cards.py
	$(BIN)/python docs/make_clips.py
	$(BIN)/python docs/make_plots.py
	$(BIN)/python docs/make_errors.py
	$(BIN)/python docs/make_figure.py
	$(BIN)/python docs/make_how.py
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

$(VENV)/installed-site: $(VENV)/installed-dev
	$(BIN)/pip install -c constraints.txt -e '.[site]'
	@touch $@

$(VENV)/installed-dist: $(VENV)/installed-dev
	$(BIN)/pip install -c constraints.txt -e '.[dist]'
	@touch $@
