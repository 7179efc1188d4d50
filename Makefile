# make demo and make test do all the set-up; a fresh machine needs Python 3.11 or newer, git and make.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
PIP := $(BIN)/python -m pip --quiet
HASHED := --require-hashes

# no: install the newest versions that pyproject.toml permits, where no locked build fits this platform.
LOCKED ?= yes

.PHONY: demo test test-all check format lock audit clean

.venv/installed: pyproject.toml $(wildcard requirements/*.lock)
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
ifeq ($(LOCKED),yes)
	$(PIP) install $(HASHED) -r requirements/build.lock
# Two attempts: the CPU build of torch needs no 3 GB of CUDA libraries, but pip must be configured to find it.
	if $(PIP) install --dry-run $(HASHED) -r requirements/torch-cpu.lock >/dev/null 2>&1; then torch=torch-cpu; else torch=torch; fi; \
	echo "installing requirements/packages.lock and requirements/$$torch.lock"; \
	$(PIP) install $(HASHED) --no-build-isolation -r requirements/packages.lock -r requirements/$$torch.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
else
	$(PIP) install --upgrade "pip>=25.1"
	$(PIP) install --editable ".[demo,train,yolox,faster-rcnn]" --group dev
endif
	touch $@

# Tools that write and check the locks; apart from .venv, so that they decide no version in it.
.venv-tools/installed: pyproject.toml
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-tools/bin/python -m pip install --quiet --group locks
	touch $@

demo: .venv/installed
	$(BIN)/wenlan-data demo --out demo-out --workers $(WORKERS)

test: .venv/installed
	$(BIN)/pytest --numprocesses=$(WORKERS) --dist=worksteal -m "not slow"

test-all: .venv/installed
	$(BIN)/pytest --numprocesses=$(WORKERS) --dist=worksteal

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pins stay as they are where they still fit; `make lock UPGRADE=--upgrade` takes the newest versions.
COMPILE = .venv-tools/bin/uv pip compile --quiet $(UPGRADE) --generate-hashes --no-annotate --custom-compile-command "make lock"
UNIVERSAL := --universal --python-version 3.11

lock: .venv-tools/installed
	$(COMPILE) $(UNIVERSAL) requirements/build.in --output-file requirements/build.lock
	$(COMPILE) $(UNIVERSAL) pyproject.toml --extra demo --extra train --extra yolox --extra faster-rcnn --group dev \
	  --constraints requirements/build.lock --override requirements/no-torch.txt --output-file requirements/packages.lock
	$(COMPILE) $(UNIVERSAL) requirements/torch.in --constraints requirements/packages.lock --constraints requirements/build.lock \
	  --output-file requirements/torch.lock
	if [ -n "$(PIP_FIND_LINKS)" ]; then \
	  $(COMPILE) --python-version 3.11 --find-links "$(PIP_FIND_LINKS)" requirements/torch-cpu.in \
	    --constraints requirements/packages.lock --constraints requirements/build.lock --output-file requirements/torch-cpu.lock; \
	else \
	  echo "requirements/torch-cpu.lock is left as it is: set PIP_FIND_LINKS to a folder or page with the CPU builds of torch"; \
	fi

# --strict: a package that the service does not know fails, rather than being left out.
audit: .venv-tools/installed
	for lock in build packages torch; do \
	  .venv-tools/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements/$$lock.lock || exit 1; \
	done

clean:
	rm -rf .venv .venv-tools demo-out bench-out .pytest_cache .mypy_cache .ruff_cache
