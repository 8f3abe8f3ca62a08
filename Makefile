# make help lists the targets. PYTHON names the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CSF := $(BIN)/csf

.DEFAULT_GOAL := help
.PHONY: chaos chaos-connectors explore help install dev up test test-services check fmt lock audit fuzz bench bench-compare scale soak docs clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "csf-pulse needs Python 3.11 or newer; $(PYTHON) is older: set PYTHON=python3.12" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m cli.embedded.kafka fetch
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.runtime  ## make .venv with the csf command, and fetch Kafka

dev: $(VENV)/.dev  ## the same with the tools that tests and checks need

up: install  ## start everything with a simulated organisation; prints the address
	$(CSF) up

JOBS ?= 2
test: dev  ## the suite that needs no system Java, Go or Docker (real Kafka included); JOBS=4 where memory allows: much of it is waiting for workers
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not services"

test-services: dev  ## the suite on real InfluxDB, Prometheus, Alertmanager, blackbox exporter, nginx, PostgreSQL and Chromium
	$(BIN)/python -m pytest -m services

check: dev  ## lint, types, import direction, generated docs current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(CSF) catalogue check
	$(CSF) catalogue docs --check
	$(CSF) connector docs --check
	$(CSF) dashboards build --check

fuzz: dev  ## give every parser 100,000 inputs (FUZZ_SEED for others)
	FUZZ_INPUTS=$${FUZZ_INPUTS:-100000} $(BIN)/python -m pytest -n 2 -o timeout=7200 tests/fuzz

audit:  ## ask the package index for known vulnerabilities of all that is locked (needs the internet: no part of the gate)
	test -x $(VENV)-audit/bin/pip-audit || { $(PYTHON) -m venv $(VENV)-audit && $(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	$(VENV)-audit/bin/pip-audit --strict --require-hashes --disable-pip -r requirements.lock
	$(VENV)-audit/bin/pip-audit --strict --require-hashes --disable-pip -r requirements-dev.lock

fmt: dev  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

STORE ?= sqlite influx
explore: dev  ## draw a thousand new histories a property and compare with the oracle (CSF_EXAMPLES for more or fewer; hours)
	CSF_HYPOTHESIS=explore $(BIN)/python -m pytest -n 2 -o timeout=0 tests/properties

chaos: dev  ## every crash point, then a hundred kills on each store, judged by the oracle (prints how to repeat one)
	CSF_CRASH_EVERY=1 $(BIN)/python -m pytest -q -n 2 tests/crashes
	for store in $(STORE); do $(BIN)/python -m tests.chaos.run --store $$store $(ARGS) || exit 1; done

chaos-connectors: dev  ## kill connectors at random for an hour against a changing source (ARGS="--minutes 5 --seed 1")
	$(BIN)/python -m tests.chaos.connectors $(ARGS)

bench: dev  ## measure speed as ratios against plain Faust and a bare loop
	$(BIN)/python -m benchmarks.run

bench-compare: dev  ## the same; tells which ratios fell by more than 15 % against the recorded ones
	$(BIN)/python -m benchmarks.run --compare

scale: dev  ## cost by number of services, memory of 13 months, two workers against one
	for what in services values workers history; do $(BIN)/python -m benchmarks.scale $$what || exit 1; done

soak: dev  ## an hour at half the top rate; prints the slope of the worker's memory
	$(BIN)/python -m benchmarks.soak

docs: dev  ## write the generated references and boards
	$(CSF) catalogue docs
	$(CSF) connector docs
	$(CSF) dashboards build

lock:  ## resolve the lock files anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build --extra report --extra notify --extra aws --extra jwt --extra sql -o requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra build --extra report --extra notify --extra aws --extra jwt --extra sql --extra dev -o requirements-dev.lock pyproject.toml

clean:  ## remove what was built here
	rm -rf $(VENV) $(VENV)-audit build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
