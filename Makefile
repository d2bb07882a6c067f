# make up      install, start Airflow, run a first pipeline, show its rows   (PORT=8080)
# make down    stop Airflow
# make kube-up    the same with tasks in pods of a Kubernetes   (PORT=8080 NAMESPACE=meltano)
# make kube-down  stop that Airflow, and remove its state, its namespace and its rows
# make clean   stop both, and remove their state, the warehouse and .venv
# make test    install, lint, type-check, and run the tests that need no cluster
# make test-faults   the long tests: pods, nodes and servers that die, what images hold; needs a cluster
# make lint    the quick part of make test
# make coverage   the lines and branches of dag_factory that its tests without servers reach
# make lock    renew the lock files
# make screenshots   renew the pictures of the docs from the running platform; needs Chromium
# make bench   the cost of reading a project, of building its DAGs, and of reading secrets

.PHONY: up down kube-up kube-down clean test test-faults lint coverage lock screenshots bench install
PORT ?= 8080
# Without bytecode each process would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE
LOCK = .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-emit-package meltano-dag-factory --quiet --upgrade
# Meltano installs plugins with these. The image is built with them, but does not contain them.
INSTALLERS = $(addprefix --no-emit-package ,pip uv virtualenv)

up:
	@deploy/local/install --port "$(PORT)"
	@.venv/bin/python -m local_platform up --port "$(PORT)"

down:
	@if [ -d .local ]; then deploy/local/install && .venv/bin/python -m local_platform down; \
	else echo "Airflow was not running."; fi

kube-up: install
	@.venv/bin/python -m local_platform kube-up --port "$(PORT)" \
		$(if $(NAMESPACE),--namespace $(NAMESPACE))

kube-down:
	@if [ -d .local-kube ]; then deploy/local/install && .venv/bin/python -m local_platform kube-down; \
	else echo "kube-up was not running."; fi

clean:
	@if [ -x .venv/bin/meltano-dags ] && [ -d .local-kube ]; then \
		deploy/local/install && .venv/bin/python -m local_platform kube-down; fi
	@if [ -x .venv/bin/meltano-dags ]; then \
		deploy/local/install && .venv/bin/python -m local_platform clean; fi
	@rm -rf .venv build

test: lint
	@tests/install-servers || true
	@.venv/bin/pytest -n 4

test-faults: install
	@.venv/bin/pytest -n 2 -m "faults or cluster"

lint: install
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/meltano-dags check --project meltano

coverage: install
	@.venv/bin/pytest -n 2 --cov=dag_factory tests/unit tests/problems tests/meltano_parity

lock: install
	@$(LOCK) setup.cfg --extra platform --extra test -o requirements.lock
	@$(LOCK) setup.cfg -c requirements.lock --extra meltano $(INSTALLERS) -o images/meltano/requirements.lock
	@$(LOCK) setup.cfg -c requirements.lock --extra airflow-image -o images/airflow/requirements.lock
	@printf 'setuptools\nuv\n' | $(LOCK) - -c requirements.lock -o images/tools.lock
	@echo playwright | $(LOCK) - -o docs/screenshots.lock
	@printf 'proteus\ntrytond-sale\n' | $(LOCK) - -o tests/connectors/servers/tryton.lock
	@echo tap-spreadsheets | $(LOCK) - -o meltano/extract/tap-spreadsheets.lock
	@echo meltanolabs-tap-postgres | $(LOCK) - -o meltano/extract/tap-postgres.lock
	@echo meltano-map-transform | $(LOCK) - -o meltano/map/meltano-map-transform.lock
	@$(LOCK) meltano/utilities/platform-health/pyproject.toml --extra s3 --extra snowflake \
		-o meltano/utilities/platform-health.lock
	@echo meltanolabs-target-postgres | $(LOCK) - -o meltano/load/target-postgres.lock
	@printf 'meltanolabs-target-snowflake\nsnowflake-connector-python<5\n' | $(LOCK) - \
		-o meltano/load/target-snowflake.lock
	@printf 'fakesnow[server]\nsnowflake-connector-python<5\n' | $(LOCK) - \
		-o tests/connectors/loaders/emulator.lock

screenshots: install
	@.venv/bin/uv pip install --quiet --require-hashes --python .venv/bin/python \
		--target .local/screenshots -r docs/screenshots.lock
	@PYTHONPATH=.local/screenshots .venv/bin/python docs/screenshots.py

bench: install
	@.venv/bin/python -m tests.bench.bench_reading
	@.venv/bin/python -m tests.bench.bench_building
	@.venv/bin/python -m tests.bench.bench_secrets

install:
	@deploy/local/install
