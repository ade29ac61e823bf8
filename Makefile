SANDBOX := .venv/bin/python -m sandbox
CONTEXT ?=
REGISTRY ?=
STRATEGY ?= canary
APP ?= storefront

.DEFAULT_GOAL := help
.PHONY: help demo release up down status test auth long coverage bench lint ready python

help: ## Say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done

demo: ready ## Start everything and release three versions [STRATEGY=canary|blue_green|rolling] [CONTEXT=kubectl context] [REGISTRY=host:port]
	@$(SANDBOX) demo --strategy "$(STRATEGY)" --context "$(CONTEXT)" --registry "$(REGISTRY)"

release: ready ## Release one version: APP=storefront VERSION=1.1.0
	@test -n "$(VERSION)" || { echo "Say which version: make release APP=storefront VERSION=1.1.0"; exit 2; }
	@$(SANDBOX) release "$(APP)" "$(VERSION)"

up: ready ## Start everything, release nothing
	@$(SANDBOX) up

down: ## Stop everything that was started, and remove what it left
	@test ! -x .venv/bin/python || $(SANDBOX) down

status: python ## Say what runs
	@$(SANDBOX) status

test: ready ## Run all tests that this machine can run
	@.venv/bin/python -m tests

auth: python ## Run the tests of approvals and pages with the FAB auth manager, in an environment of their own
	@.venv/bin/python -m tests.auth_managers

long: ready ## Run the property tests with ten times more examples
	@HYPOTHESIS_PROFILE=long .venv/bin/python -m tests unit airflow

coverage: ready ## Run tests and say which lines each tier runs; TIERS="unit airflow" measures only these
	@.venv/bin/python -m tests --coverage $(TIERS)

bench: ready ## Measure; PARTS="abort switch" measures only these
	@.venv/bin/python -m benchmarks $(PARTS)

lint: python ## Style, types and layers
	@.venv/bin/python -m tests lint

ready:
	@sandbox/bootstrap

python:
	@sandbox/bootstrap python
