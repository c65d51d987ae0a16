# Everything a person or a machine does here is one of these. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help run setup test test-long lint audit format bench screenshots clean

# 3.11 is what was tested; `make PYTHON=… run` takes another one.
PYTHON = $(shell for p in python3.11 python3; do $$p -c "" 2>/dev/null && echo $$p && break; done)
VENV_PYTHON := .venv/bin/python
PREPARE = $(or $(PYTHON),$(error Python 3.11 or newer is needed: apt-get install python3 python3-venv)) scripts/prepare.py

# One torch thread in each test process is faster than two in one; of three on two cores one mostly waits for an app.
# The compiled files of this package serve the many processes that the tests start. Two busy processors can keep a process
# or a browser waiting for longer than a test has patience: one that fails runs once more, and the summary names it.
TEST_ENV := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 GRADIO_ANALYTICS_ENABLED=False HF_HUB_DISABLE_TELEMETRY=1
PYTEST := $(TEST_ENV) $(VENV_PYTHON) -m pytest -n 3 --dist loadfile --no-loadscope-reorder --reruns 1

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: setup ## Serve the app at http://localhost:7860 (ARGS="--port 7861" goes to app.py)
	@exec $(VENV_PYTHON) app.py $(ARGS)

setup: ## Make .venv with the tested versions; nothing to do when they are there
	@$(PREPARE)

test: ready lint ## Lint and test, browser tests included (ARGS="-k journal" goes to pytest)
	$(PYTEST) $(ARGS)

test-long: ready ## The tests that take minutes
	$(PYTEST) -m "long and not gpu" --timeout 1800 $(ARGS)

lint: dev ## ruff and mypy
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

audit: dev ## Ask the advisory database about every pinned version; needs the network
	@$(VENV_PYTHON) -m scripts.audit $(ARGS)

format: dev ## Let ruff format the code and mend what it can
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

bench: setup ## Measure (ARGS go to python -m bench)
	@$(VENV_PYTHON) -m bench $(ARGS)

screenshots: ready ## Take the README's pictures from the real app
	@$(VENV_PYTHON) -m scripts.screenshots $(ARGS)

clean: ## Remove .venv and caches; pictures and settings stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: dev ready
dev: # .venv and the tools
	@$(PREPARE) --dev

ready: # .venv, the tools and a Chromium
	@$(PREPARE) --dev --browser
