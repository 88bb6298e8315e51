# Lethe, from a fresh machine with Python, pip and make: every target does its own set-up, and a second run is quick.
# PYTHON may name another interpreter (3.11 to 3.13) for the virtual environment.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/bin/uv
BIN := .venv/bin

# One of the two places where include/ comes onto the path; the other is pytest's setting in pyproject.toml.
export PYTHONPATH := include

.PHONY: help venv lock system lint test soak demo up down bench clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

venv: .venv/installed  ## Create .venv with exactly the locked packages

$(UV):
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("Lethe needs Python 3.11 to 3.13, found " + sys.version.split()[0] + ": make PYTHON=python3.13 …")'
	@$(PYTHON) -m venv .tools || { echo "python3 -m venv failed: on Debian, apt install python3-venv" >&2; rm -rf .tools; exit 1; }
	@.tools/bin/python -m pip install --quiet uv==$(UV_VERSION)

# Compiled bytecode makes each Airflow process start in a third of the time.
.venv/installed: requirements.txt | $(UV)
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.txt
	@touch $@

lock: | $(UV)  ## Turn requirements.in into requirements.txt, with the newest versions that fit
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --custom-compile-command "make lock" requirements.in --output-file requirements.txt

# Programs that tests need and no wheel brings, with Debian's packages where these are called otherwise. Without them those
# tests say loudly that they do not run. No service is started or enabled: tests start their own.
SYSTEM := curl openssl dovecot
dovecot := dovecot-imapd dovecot-pgsql dovecot-lmtpd dovecot-sieve

system:  ## Install the programs that some tests need, where that is possible (root, apt)
	@missing=; packages=; \
	$(foreach each,$(SYSTEM),PATH="$$PATH:/usr/sbin" command -v $(each) >/dev/null || \
	    { missing="$$missing $(each)"; packages="$$packages $(or $($(each)),$(each))"; };) \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	    echo "missing, and cannot be installed here (that takes root and apt):$$missing; their tests are skipped" >&2; exit 0; \
	fi; \
	policy=/usr/sbin/policy-rc.d; \
	if [ ! -e $$policy ]; then printf '#!/bin/sh\nexit 101\n' > $$policy; chmod +x $$policy; trap "rm -f $$policy" EXIT; fi; \
	apt-get update -qq && apt-get install -y -qq --no-install-recommends $$packages >/dev/null; \
	case "$$missing" in *dovecot*) if [ -d /run/systemd/system ]; then systemctl disable -q dovecot || true; fi;; esac

lint: venv  ## Check style, layers and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Tests wait more than they compute. Each worker has servers of its own; PYTEST_ARGS=-n0 makes do without (for --pdb).
WORKERS := 2

test: lint system  ## Run lint and the tests; the long suites as a sample
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

soak: venv system  ## Run the long suites in full
	$(BIN)/python -m pytest -m soak $(PYTEST_ARGS)

demo: venv  ## Sweep the invented estate through a real Airflow, start to end
	$(BIN)/python -m demo run

up: venv  ## Start the same environment and leave it running, with its pages
	$(BIN)/python -m demo up

down:  ## End what `make up` started
	@if test -x $(BIN)/python; then $(BIN)/python -m demo down; fi

bench: venv  ## Measure, as ratios within one run; figures into .lethe/bench.json
	$(BIN)/python -m bench

clean: down  ## Remove everything that make made
	rm -rf .venv .tools .lethe .mypy_cache .ruff_cache .pytest_cache .hypothesis
