# Two commands: `make night` (one night from tip to report) and `make test` (everything that is checked).
# HALFTIME_HOME is the data folder (venv, databases, models, logs, reports); HALFTIME_DATA names recorded games.
export HALFTIME_HOME ?= $(CURDIR)/.halftime
HOME_DIR := $(abspath $(HALFTIME_HOME))
VENV := $(HOME_DIR)/venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
CHECKOV := $(HOME_DIR)/checkov
# The first interpreter that is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
ARGS ?=

.PHONY: night up down test drill unit lint types chromium prometheus nginx checkov venv bench clean

night: venv
	@./halftime night $(ARGS)

up: venv
	@./halftime up $(ARGS)

down: venv
	@./halftime down

venv: $(STAMP)

$(STAMP): requirements.lock
	@if [ -z "$(PYTHON)" ]; then echo "Halftime needs Python 3.11, 3.12 or 3.13 with venv; none was found on PATH" >&2; exit 1; fi
	@mkdir -p $(HOME_DIR)
	@echo "setting up $(VENV): about two minutes, once"
	@$(PYTHON) -m venv $(VENV) || { echo "python venv failed: install the venv package (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@# The lock is complete, so nothing is resolved; modules are compiled when they are first imported.
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-compile -r requirements.lock
	@ln -sfn $(VENV) .venv
	@touch $(STAMP)

# The end-to-end tests use all cores by themselves; the others run side by side.
test: venv chromium prometheus checkov lint types
	@$(PY) -m pytest tests/unit tests/integration -n 2 --dist loadfile $(ARGS) || [ $$? -eq 5 ]
	@$(PY) -m pytest tests/e2e $(ARGS) || [ $$? -eq 5 ] # 5: ARGS chose none of these

# A fault for each alert, put into a running stack at its own pace, a night without any, and replicas behind one nginx that
# are killed and rolled: about an hour.
drill: venv prometheus nginx
	@$(PY) -m pytest tests/drills -s $(ARGS)

unit: venv
	@$(PY) -m pytest tests/unit $(ARGS)

lint: venv
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/lint-imports --no-cache

types: venv
	@$(VENV)/bin/mypy models services flows bentos monitoring infra

# The page test drives Chromium; without it that test says skipped.
chromium:
	@command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	  apt-get update -qq >/dev/null 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null 2>&1; } || \
	echo "chromium is not installed and cannot be here: the page test will be skipped"

# Alert rules and dashboards are run on a real Prometheus; without it those tests say skipped. Debian would start both at
# once, on ports of ours: a runlevel of 1 keeps them from it.
prometheus:
	@{ command -v prometheus && command -v prometheus-alertmanager; } >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	  apt-get update -qq >/dev/null 2>&1 && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq --no-install-recommends prometheus prometheus-alertmanager >/dev/null 2>&1; } || \
	echo "prometheus is not installed and cannot be here: the tests that need it will be skipped"

# Only the drill of several forecasters and boards behind one address needs it.
nginx:
	@command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
	  apt-get update -qq >/dev/null 2>&1 && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq --no-install-recommends nginx-light >/dev/null 2>&1; } || \
	echo "nginx is not installed and cannot be here: the drill that needs it will be skipped"

# What reads the manifests, container files and secrets for faults, in an environment of its own: its packages are other
# versions than ours. Without it that test says skipped.
checkov: venv $(CHECKOV)/.installed

$(CHECKOV)/.installed: infra/kubernetes/checkov.lock
	@echo "setting up $(CHECKOV): half a minute, once"
	@$(PYTHON) -m venv $(CHECKOV)
	@$(CHECKOV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-compile -r $<
	@touch $@

bench: venv
	@$(PY) -m benchmarks

# Only what Halftime itself made, whatever folder HALFTIME_HOME names.
clean: down
	rm -rf $(addprefix $(HOME_DIR)/,venv checkov postgres postgres.password redis prefect mlflow bentoml models logs run reports spool archives prometheus evidently) .venv
