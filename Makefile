# Every target makes .venv first where it is missing; a second call installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STUDY ?= weight-ensembles

.PHONY: setup run test test-notebooks lab demo bench clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --editable .
	@touch $@

run: $(READY)
	$(BIN)/studies run --all

test: $(READY)
	./tests/run.sh

test-notebooks: $(READY)
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider notebooks
	$(BIN)/python -m pytest -m quick_size tests/notebooks

lab: $(READY)
	$(BIN)/studies lab

demo: $(READY)
	$(BIN)/studies demo $(STUDY)

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) build *.egg-info
