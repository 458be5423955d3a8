# Each target sets up what it needs in .venv, from Python 3.11+ and make alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV := PATH="$$PATH:$(BIN)" VIRTUAL_ENV="$(CURDIR)/$(VENV)" uv --quiet pip

# Children that decode are started all the time: their modules are to be compiled once.
unexport PYTHONDONTWRITEBYTECODE

TESTS := wan_assets_tests
OLDEST := .venv-oldest
OLDEST_DAGSTER := dagster==1.13.21 dagster-webserver==1.13.21 $(foreach each,celery duckdb postgres,dagster-$(each)==0.29.21)
CHAOS := --seed 1 --kills 50 --in-flight 200

.PHONY: demo probe test test-whole test-ui test-cluster test-oldest check docs chaos bench bench-cluster mutants dist format dev lock clean

demo: $(READY)
	$(BIN)/wan-assets demo

probe: $(READY)
	$(BIN)/wan-assets probe $(PROBE)

test: $(READY)
	$(BIN)/pytest

test-whole: $(READY)
	$(BIN)/pytest -m 'slow or whole' $(TESTS)/unit $(TESTS)/integration $(TESTS)/whole

test-ui: $(READY)
	$(BIN)/pytest -n 2 --dist loadfile --ignore-glob='*_of_ten_thousand.py' $(TESTS)/ui
	$(BIN)/pytest -n 0 $(TESTS)/ui/*_of_ten_thousand.py  # these measure how smooth pages are

test-cluster: $(READY)
	$(BIN)/pytest -n 2 -rP wan_assets_tests/cluster/test_cluster.py

# The assets with the oldest Dagster that pyproject.toml allows, in an environment of its own.
test-oldest: $(READY)
	$(BIN)/python -m venv --clear $(OLDEST)
	grep -v '^ *#\|^dagster' requirements.lock > $(OLDEST)/requirements.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -r $(OLDEST)/requirements.txt $(OLDEST_DAGSTER)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(OLDEST)/bin/pytest -m "slow or not slow" $(TESTS)/integration/orchestration

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/sphinx-build -q -E -W --keep-going -n docs build/docs
	@echo "build/docs/index.html"

chaos: $(READY)
	$(BIN)/python wan_assets_tests/support/chaos.py $(CHAOS)

bench: $(READY)
	$(BIN)/python -m benchmarks $(BENCH)

bench-cluster: $(READY)
	$(BIN)/pytest -n 0 -s wan_assets_tests/cluster/test_throughput.py

# Breaks the code in one place at a time, and looks whether a test fails: make mutants MUTANTS='wan_assets.models.pricing*'
mutants: $(READY)
	$(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

dist: $(READY)
	$(BIN)/python -m build --outdir dist

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/python docs/drawings.py
	$(BIN)/python docs/models_reference.py

dev: $(READY)
	mkdir -p wan_assets_data/dagster
	@$(BIN)/wan-assets serve & files=$$!; trap "kill $$files 2>/dev/null" EXIT INT TERM; \
	DAGSTER_HOME="$${DAGSTER_HOME:-$(CURDIR)/wan_assets_data/dagster}" $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1

lock:
	uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header \
	    --group dev --group docs --all-extras pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) $(OLDEST) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis mutants

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@if command -v uv >/dev/null 2>&1; then \
	    uv venv --quiet --clear --seed --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	else \
	    $(PYTHON) -m venv --clear $(VENV) && { $(PIP) uv || echo "uv cannot be installed: pip installs" >&2; }; \
	fi
	@{ $(UV) sync --compile-bytecode requirements.lock && $(UV) install --no-deps --editable .; } || \
	    { $(PIP) -r requirements.lock && $(PIP) --no-deps --editable .; }
	@$(BIN)/python -m compileall -q wan_assets
	@touch $(READY)
