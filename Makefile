# The two commands that a fresh machine needs, with nothing but Python and make on it:
#   make train    install the project if it is missing, then train Gymnasium's ant, Ant-v5, to run, for two minutes
#   make test     install also what tests need if it is missing, then run them in both precisions
# The others: make install, install-dev, lint, quick, test-slow, learn-test, adapters-test, browser-test, export-test, bench, docs, clean. ARGS="..." adds arguments to train, test and bench.

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
# Training needs the project alone; tests, lint and documentation need all extras and their tools, too.
TRAINS := $(VENV)/.installed
DEVELOPS := $(VENV)/.installed-dev
ADAPTERS := .venv-adapters
EXPORT := .venv-export
ARGS ?=
# Rules of the source text, and what is fast to try without a scene: `make quick`.
QUICK := tests/test_architecture.py tests/test_arrays.py tests/test_options.py tests/grad/test_creation.py

# The interpreter that makes the environment: the first of these that runs and is new, but not too new. Override: make PYTHON=...
PYTHONS := python3 python3.13 python3.12 python3.11 python3.10 python
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON ?=

.PHONY: help install install-dev train test quick test-slow learn-test adapters-test browser-test export-test lint bench docs clean
.DEFAULT_GOAL := help

help:
	@sed -n '2,4p' Makefile | sed 's/^# *//'

install: $(TRAINS)
install-dev: $(DEVELOPS)

$(TRAINS): pyproject.toml
	@set -e; \
	python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
	  for candidate in $(PYTHONS); do \
	    if "$$candidate" -c '$(SUPPORTED)' >/dev/null 2>&1; then python="$$candidate"; break; fi; \
	  done; \
	fi; \
	if [ -z "$$python" ] || ! "$$python" -c '$(SUPPORTED)'; then \
	  echo "error: Python must be 3.10 to 3.13, got $$("$${python:-python3}" --version 2>&1 || true). Install one, or name it: make PYTHON=/path/to/python3.12 train" >&2; \
	  exit 1; \
	fi; \
	if [ "$$(uname -s)" = Linux ] && ! "$$python" -c 'import ctypes; ctypes.CDLL("libX11.so.6")' 2>/dev/null; then \
	  echo "error: the library libX11 must be present, because Taichi loads it. Install it: apt-get install libx11-6" >&2; \
	  exit 1; \
	fi; \
	if [ ! -x $(PY) ] || ! $(PY) -c '$(SUPPORTED)' >/dev/null 2>&1; then \
	  echo "[1/2] making the environment $(VENV) with $$("$$python" --version) ($$(command -v "$$python"))"; \
	  "$$python" -m venv --clear $(VENV) || { \
	    echo "error: the module venv must work. On Debian and Ubuntu install it: apt-get install python3-venv" >&2; exit 1; }; \
	else \
	  echo "[1/2] using the environment $(VENV) ($$($(PY) --version))"; \
	fi; \
	echo "[2/2] installing the project and its dependencies (PyTorch is the largest; minutes the first time, much of it silent)"; \
	$(PY) -m pip install --disable-pip-version-check -e .; \
	touch $@; \
	echo "installed; later trainings start at once until pyproject.toml changes"

$(DEVELOPS): $(TRAINS)
	@set -e; \
	echo "installing what tests, lint and documentation need, with all extras (MuJoCo, viser, ONNX, Matplotlib; a minute or more)"; \
	$(PY) -m pip install --disable-pip-version-check -e ".[dev]"; \
	touch $@; \
	echo "installed; later commands start at once until pyproject.toml changes"

train: $(TRAINS)
	$(PY) -m scripts.train --max-minutes 2 $(ARGS)

# One interpreter holds one precision, so the tests are two runs, side by side: each keeps one core busy, mostly compiling.
test: $(DEVELOPS)
	@status=0; log=$$(mktemp); \
	GENESIS_TEST_PRECISION=32 $(PY) -m pytest $(ARGS) >"$$log" 2>&1 & other=$$!; \
	trap 'kill $$other 2>/dev/null; rm -f "$$log"; exit 130' INT TERM; \
	echo "== tests, precision 64 (those of precision 32 run beside them; what they say follows)"; \
	GENESIS_TEST_PRECISION=64 $(PY) -m pytest $(ARGS) || status=1; \
	echo "== tests, precision 32"; \
	wait $$other || status=1; \
	cat "$$log"; rm -f "$$log"; \
	exit $$status

test-slow: $(DEVELOPS)
	@status=0; \
	for precision in 64 32; do \
	  echo "== slow tests, precision $$precision"; \
	  GENESIS_TEST_PRECISION=$$precision $(PY) -m pytest -m "slow or soak" --timeout 1800 $(ARGS); \
	  code=$$?; [ $$code -eq 0 ] || [ $$code -eq 5 ] || status=1; \
	done; \
	exit $$status

learn-test: $(DEVELOPS)
	GENESIS_TEST_PRECISION=32 $(PY) -m pytest -m learning --timeout 3600 $(ARGS)

# The other training libraries have an environment of their own: they are large, and none of them is a dependency.
adapters-test: $(ADAPTERS)/.installed
	@status=0; \
	for precision in 64 32; do \
	  echo "== adapters, precision $$precision"; \
	  GENESIS_TEST_PRECISION=$$precision $(ADAPTERS)/bin/python -m pytest -m adapters --timeout 1800 \
	    tests/envs/adapters tests/test_pages.py $(ARGS) || status=1; \
	done; \
	exit $$status

$(ADAPTERS)/.installed: pyproject.toml | $(TRAINS)
	[ -x $(ADAPTERS)/bin/python ] || $(PY) -m venv $(ADAPTERS)
	$(ADAPTERS)/bin/python -m pip install --disable-pip-version-check \
	  -e ".[sb3,rsl-rl,torchrl,skrl]" "pytest>=8" pytest-timeout
	touch $@

# Chromium is the distribution's: apt-get install chromium chromium-driver. Without it the tests are skipped, with the reason.
browser-test: $(DEVELOPS)
	$(PY) -c "import selenium" 2>/dev/null || $(PY) -m pip install --disable-pip-version-check -e ".[browser]"
	GENESIS_TEST_PRECISION=32 $(PY) -m pytest -m browser $(ARGS)

# pyvista and VTK have an environment of their own: they are large, and only exports need them.
export-test: $(EXPORT)/.installed
	@status=0; \
	for precision in 64 32; do \
	  echo "== exports, precision $$precision"; \
	  GENESIS_TEST_PRECISION=$$precision $(EXPORT)/bin/python -m pytest -m export \
	    tests/render tests/test_pages.py $(ARGS) || status=1; \
	done; \
	exit $$status

$(EXPORT)/.installed: pyproject.toml | $(TRAINS)
	[ -x $(EXPORT)/bin/python ] || $(PY) -m venv $(EXPORT)
	$(EXPORT)/bin/python -m pip install --disable-pip-version-check -e ".[pyvista]" "pytest>=8" pytest-timeout
	touch $@

lint: $(DEVELOPS)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright

# Before a commit: lint and whatever needs no long compilation, in one precision. Types and tests at the same time.
quick: $(DEVELOPS)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@status=0; \
	$(PY) -m pyright & types=$$!; \
	GENESIS_TEST_PRECISION=32 $(PY) -m pytest $(QUICK) $(ARGS) || status=1; \
	wait $$types || status=1; \
	exit $$status

bench: $(TRAINS)
	$(PY) -m scripts.benchmark mpm $(ARGS)

# The site goes to site/.
docs: $(DEVELOPS)
	$(PY) -m mkdocs build --strict $(ARGS)

clean:
	rm -rf $(VENV) $(ADAPTERS) $(EXPORT) site build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
