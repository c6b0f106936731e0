# Two commands for a fresh machine: `make demo` and `make test`. Each does its own set-up through `install`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# one more than there are cores: tests wait for programs
TESTERS := $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 1 )))

# as ssosd itself has it; what is run here may import numpy before it
export OPENBLAS_NUM_THREADS := 1

# compiled modules are kept, whatever the shell says: each daemon of the tests would compile all anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install binaries demo test explore lint bench bench-compare soak docs clean

install: binaries $(VENV)/.installed

binaries:
	@SUDO="$(SUDO)" sh tools/install-binaries.sh

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: install
	rm -rf demo-night
	$(BIN)/ssosd demo demo-night

test: install lint
	@SUDO="$(SUDO)" sh tools/install-binaries.sh tests
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile

# the property tests once more, on examples of chance; what it finds becomes an @example
explore: install
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --hypothesis-profile exploring $$(grep -l hypothesis tests/test_*.py)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/linker.py

bench-compare: install
	$(BIN)/python benchmarks/run.py --compare

soak: install
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python benchmarks/kill9.py
	$(BIN)/python benchmarks/archive.py

docs: install
	$(BIN)/python -m ssosd.config
	$(BIN)/python tools/commands.py

clean:
	rm -rf $(VENV) demo-night dist build
