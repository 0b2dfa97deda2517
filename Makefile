# Every command that people and CI use. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
LOCAL := PYTHONPATH=tests/local-aws PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/python -m holdfast_local
FUNCTIONS := open-job snapshot-volumes poll-completion copy-region apply-retention close-job manage-plan restore-instance

# Where the local stack looks for what was built.
export CARGO_TARGET_DIR := $(CURDIR)/target

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---------------------------------------------------------------- tools

.PHONY: doctor
doctor: ## say what this machine lacks
	@command -v $(PYTHON) >/dev/null || { echo "MISSING  python3 3.10 or newer - sudo apt install python3 python3-venv, or: sudo dnf install python3"; exit 1; }
	@$(PYTHON) tests/local-aws/holdfast_local/doctor.py

.PHONY: venv
venv: $(VENV)/.installed ## make .venv with the pinned Python tools

$(VENV)/.installed: tests/local-aws/requirements.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

# ---------------------------------------------------------------- build

.PHONY: functions
functions: ## build everything (dev profile) and put the functions where the template looks for them
	cargo build --workspace --locked
	@for name in $(FUNCTIONS); do \
	  from=target/debug/$$name; to=target/lambda/$$name/bootstrap; \
	  if [ ! -e $$to ] || [ $$from -nt $$to ]; then \
	    mkdir -p target/lambda/$$name && strip -o $$to.new $$from && mv $$to.new $$to && echo "  $$to" || exit 1; \
	  fi; \
	done

# ---------------------------------------------------------------- the local stack

.PHONY: local
local: venv functions ## start the whole AWS stack on this machine and deploy into it
	@$(LOCAL) up
	@$(LOCAL) deploy

.PHONY: local-status
local-status: venv ## say where the local stack answers
	@$(LOCAL) status

.PHONY: local-down
local-down: venv ## end the local stack
	@$(LOCAL) down

# ---------------------------------------------------------------- demo

.PHONY: demo
demo: doctor venv functions ## back an application up, copy it, retire a year of it, give it back in every way, and prove it
	@tests/demo/run

# ---------------------------------------------------------------- test, check

.PHONY: test
test: doctor venv functions ## run every test against a local stack of its own
	@command -v cargo-nextest >/dev/null || { echo "MISSING  cargo-nextest - cargo install --locked cargo-nextest"; exit 1; }
	@tests/run

.PHONY: test-long
test-long: ## hold the retention decision against its oracle in 1,000,000 cases
	HOLDFAST_RETENTION_CASES=1000000 cargo test --release --locked -p holdfast-core --lib retention:: -- --nocapture

.PHONY: check
check: venv ## lint everything
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(VENV)/bin/typos
	$(VENV)/bin/taplo fmt --check --diff
	$(VENV)/bin/ruff check tests
	$(VENV)/bin/ruff format --check tests
	$(VENV)/bin/cfn-lint infra/template.yaml infra/vault-account.yaml
	@for template in template.yaml vault-account.yaml; do \
	  (cd infra && AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 ../$(VENV)/bin/sam validate --lint --template-file $$template) || exit 1; \
	done

.PHONY: schema
schema: ## write docs/plan.schema.json from the plan's types
	UPDATE_SCHEMA=1 cargo test --quiet --locked -p holdfast-core the_published_schema_is_the_schema

# ---------------------------------------------------------------- bench

.PHONY: bench
bench: doctor venv functions ## measure calls, transitions, virtual time and memory up to 10,000 instances
	@tests/bench
