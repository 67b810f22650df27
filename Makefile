# Every command of the project. Works with GNU make 3.81 (macOS) and later, and in a folder whose path has spaces.
PYTHON ?=
LAB_ARGS ?=
PYTEST_ARGS ?=
CH ?=
SEED ?= 0
STUDY ?=
BENCH ?=

# Waiting threads that spin slow every other process down, up to tenfold on two cores.
export OMP_WAIT_POLICY = passive

# The set-up compiles nothing; without this, where the variable is set, every process would compile all that it imports.
export PYTHONDONTWRITEBYTECODE =

python = .venv/bin/python

.PHONY: help setup lab reset test check notebooks claims studies bench clean
.NOTPARALLEL:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv, unless it is up to date [PYTHON=python3.12]
	@PYTHON="$(PYTHON)" sh tools/setup.sh

lab: setup ## Open your copies of the chapters in JupyterLab [LAB_ARGS=...]
	@$(python) -m tools.copies
	@exec $(python) -m jupyterlab --allow-root --ServerApp.root_dir="$$(pwd)" $(LAB_ARGS) my/00_start_here.ipynb

reset: setup ## Save your copy of a chapter and get a fresh one [CH=01]
	@$(python) -m tools.copies --reset "$(CH)"

# Nothing personal may change a result, nor a test anything personal: data, caches and IPython's settings are temporary.
test: setup ## Run all tests, doctests and notebooks [PYTEST_ARGS="-k eps"]
	@personal=$$(mktemp -d) && trap 'rm -rf "$$personal"' EXIT && trap 'exit 130' HUP INT TERM && \
	BNLAB_DATA_DIR="$$personal/data" BNLAB_CACHE_DIR="$$personal/cache" IPYTHONDIR="$$personal/ipython" \
	BNLAB_NUM_THREADS=1 \
	$(python) -m pytest --nbval --nbval-current-env --nbval-cell-timeout=120 \
	--no-loadscope-reorder -n auto --dist loadscope $(PYTEST_ARGS)

check: setup ## Check format, style and types
	@$(python) -m ruff format --check
	@$(python) -m ruff check
	@$(python) -m mypy

notebooks: setup ## Execute the notebooks' pairs and store the outputs [CH=01]
	@$(python) -m tools.notebooks $(CH)

claims: setup ## Run every claim anew, and fail if a verdict differs [SEED=7]
	@$(python) -m bnlab claims run --seed "$(SEED)"

studies: setup ## Recompute studies that changed, and the ledger [STUDY=--all]
	@$(python) -m tools.studies $(STUDY)

bench: setup ## Time batch norm, and write the README's table [BENCH=FILE]
	@$(python) -m tools.benchmark $(BENCH)

clean: ## Remove .venv and all caches; your copies in my/ stay
	@rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	@find bnlab notebooks tests tools -name __pycache__ -prune -exec rm -rf {} +
	@find notebooks -name .ipynb_checkpoints -prune -exec rm -rf {} +
