# Everything runs in .venv, made from requirements.lock.
#   PYTHON=python3.12 make setup    another interpreter (3.11 or newer)
#   UV=1 make setup                 the same lock, installed with uv
#   TORCH_FLAGS="--index-url URL"   where torch comes from, if not from pip's own configuration
#   PYTEST_FLAGS="-k verdict"       more options for make test and make test-slow

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/setup.stamp
TORCH := $(shell sed -n 's/^  "\(torch==[^"]*\)",$$/\1/p' pyproject.toml)
BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/setup.stamp
SERVED := serve llamacpp dense openai office pdf
UV_BIN := $(shell command -v uv || echo $(BIN)/uv)

ifdef UV
INSTALL := $(UV_BIN) pip install --quiet --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
endif

.PHONY: help setup demo eshop test test-slow check reference docs lock bench-peers clean

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

setup: $(STAMP) ## makes .venv and installs what requirements.lock names

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
	  { echo "No $(PYTHON) here. Install Python 3.11 or newer, or name one: PYTHON=python3.12 make setup" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tunewise needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V). Name another: PYTHON=python3.12 make setup" >&2; exit 1; }
	@test -z "$(UV)" || test -x "$(UV_BIN)" || { echo "UV=1 needs uv on the PATH. Without UV=1, pip does the same." >&2; exit 1; }
	@echo "[1/4] $(VENV): a virtual environment of $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: apt install python3-venv)." >&2; exit 1; }
	@echo "[2/4] $(TORCH), alone, so that nothing else chooses its build (about a minute)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check $(TORCH_FLAGS) $(TORCH)
	@echo "[3/4] $$(grep -c '^[A-Za-z]' requirements.lock) packages of requirements.lock, hashes checked (one to three minutes)"
	@$(INSTALL) --no-deps --require-hashes -r requirements.lock
	@echo "[4/4] tunewise itself, editable"
	@$(INSTALL) --no-deps -e .
	@touch $@
	@echo "Ready: $(BIN)/tunewise --help"

demo: setup ## runs decide on examples/support_triage
	$(BIN)/tunewise demo

eshop: setup ## decides the projects of examples/eshop, names the winners, opens the desk; QUICK=1 decides nothing
	cd examples/eshop && ../../$(BIN)/python -m eshop start $(if $(QUICK),--quick)

# One thread a worker: two workers whose libraries take both cores wait for each other.
test test-slow: export OMP_NUM_THREADS = 1
# Bytecode is kept: else hundreds of the tests' processes compile the same files again.
test test-slow: export PYTHONDONTWRITEBYTECODE =

test: setup ## the quick tests
	$(BIN)/python -m pytest -n 2 -m "not slow and not gpu" $(PYTEST_FLAGS)

test-slow: setup ## real models, kill storms, simulations at full size
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow and not gpu" $(PYTEST_FLAGS)

check: setup ## ruff, pyright, import layers, reference pages
	$(BIN)/ruff check --no-cache
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/reference.py --check

reference: setup ## writes docs/reference from the code
	$(BIN)/python tools/reference.py

docs: setup ## makes the documentation in build/site, for a browser without a network
	$(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

lock: ## writes requirements.lock, and its part for images; LOCK_FLAGS=--upgrade takes newer versions
	@test -x $(UV_BIN) || { echo "make lock needs uv: run make setup first." >&2; exit 1; }
	$(UV_BIN) pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	  --all-extras --group starter --no-emit-package torch --generate-hashes --no-annotate \
	  --custom-compile-command "make lock" --output-file requirements.lock $(LOCK_FLAGS)
	$(UV_BIN) pip compile pyproject.toml deploy/build.in --quiet --universal --python-version 3.11 \
	  --constraint requirements.lock $(addprefix --extra ,$(SERVED)) --group starter \
	  --no-emit-package torch --generate-hashes --no-annotate \
	  --custom-compile-command "make lock" --output-file deploy/requirements.lock

bench-peers: $(BENCH_STAMP) ## times decide against TRL and generate (over an hour); BENCH_FLAGS="--limit 60"
	$(BENCH)/bin/python benchmarks/peers.py $(BENCH_FLAGS)

$(BENCH_STAMP): requirements.lock benchmarks/requirements.lock pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	@echo '*' > $(BENCH)/.gitignore
	$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check $(TORCH_FLAGS) $(TORCH)
	$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes \
	  -r requirements.lock -r benchmarks/requirements.lock
	$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check --no-deps -e .
	@touch $@

clean: ## removes caches and build output; .venv and runs stay
	rm -rf build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
