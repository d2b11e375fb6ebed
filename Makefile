# make demo             every phase on phantom images, on the CPU, then the coarse / refined / delta table
# make demo DATA=DIR    the same on a BUSI download (the folder Dataset_BUSI_with_GT)
# make test             the tests
# make lint             style, spelling and types
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev,export,optional,tests,web
INSTALLED := $(VENV)/installed
WORK ?= work_dirs/demo
DATA ?=

.PHONY: install demo test lint clean

install: $(INSTALLED)

# The marker is older than these files where they changed, and the install runs again.
$(INSTALLED): $(wildcard requirements/*.txt) setup.py
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed; make PYTHON=python3.11 ...')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -q -U pip -c requirements/constraints.txt
	$(BIN)/pip install --disable-pip-version-check -c requirements/constraints.txt -e '.[$(EXTRAS)]'
	touch $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/python tools/demo/all_phases.py --work-dir $(WORK) $(if $(DATA),--data "$(DATA)")

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy

clean:
	rm -rf $(VENV) work_dirs/demo
