# Every target sets up what it needs: .venv from requirements.lock, and the tools that are Go programs under .tools.
# A fresh clone needs Python 3.11 or 3.12; Go and the emulators of the Google Cloud CLI are used where they are there.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
INSTALLED := .venv/.installed

# Prism is of one version with Beam. The Bigtable emulator is used where the Google Cloud CLI has none.
BEAM := $(shell sed -n 's/.*"apache-beam\[gcp\]==\([0-9.]*\)".*/\1/p' pyproject.toml)
BIGTABLE := 1.58.0
CYCLONEDX := 7.5.0
PRISM := .tools/prism-$(BEAM)
EMULATOR := .tools/bigtable-emulator-$(BIGTABLE)
FLINK := .tools/flink-$(shell sed -n 's/.*<flink.version>\(.*\)<.*/\1/p' templates/flink/pom.xml)-beam-$(shell \
  sed -n 's/.*<beam.version>\(.*\)<.*/\1/p' templates/flink/pom.xml)

# Tests start hundreds of processes, and each would compile everything anew.
test: export PYTHONDONTWRITEBYTECODE :=

# Two a core: tests of live jobs and emulators wait for half of their time.
WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

SDKS := .tools/sdks/.installed
PROMTOOL := .tools/promtool/.installed

.PHONY: help demo serve test test-long mutants lint format bench docs reference schema templates image lock wheel sbom cloud-smoke \
  setup prism emulator sdks promtool flink flink-jars clean

help: ## Say what the targets do
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

demo: setup ## The whole pipeline on real recorded orders; writes under out/demo
	@$(BIN)/todoke demo --out out/demo

serve: setup prism ## The demo's shop live on this machine, with its recorded orders coming in, under out/serve; SPEED=600x
	@$(BIN)/todoke serve todoke/demo/shop.yaml --data out/serve --feed $(or $(SPEED),60x) $(ARGS)

test: setup prism emulator sdks promtool ## All tests; ARGS="tests/events -k gzip" runs some
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-long: setup ## Core and columns against the oracle on 20,000 and 2,000 random histories, and a million events of one user; for an hour or more
	@$(BIN)/pytest -n auto --dist worksteal --hypothesis-profile=long --timeout=0 tests/users/test_oracle_agrees.py tests/users/test_columns_agree.py tests/segments/test_leaf_bounds.py

mutants: setup ## Change the code of leaves in small ways, and count the changes that no test in tests/segments notices; for hours
	@$(PIP) install --target .tools/mutmut mutmut==3.8.1
	@PYTHONPATH=$(CURDIR)/$$(echo .venv/lib/python3.*/site-packages):$(CURDIR)/.tools/mutmut $(BIN)/python -m mutmut run $(ARGS)

lint: setup ## Style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## Put imports and lines in order
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: setup prism emulator ## Measure on this machine
	@for name in run store queue serve collect startup state_cache live columns segments freshness delivery scale; do $(BIN)/python -m "bench.$$name"; done

docs: setup ## The site, from docs/, into out/site; open out/site/index.html
	@$(BIN)/zensical build --clean --strict

reference: setup ## Write docs/reference/command-line.md anew from the code
	@$(BIN)/python -m tools.command_line > docs/reference/command-line.md

schema: setup ## Write docs/todoke.schema.json anew from the code
	@$(BIN)/todoke schema > docs/todoke.schema.json

templates: setup ## Write what stands under templates/ and comes from the code
	@$(BIN)/python -m tools.templates

image: BUILT = --build-arg TODOKE_COMMIT=$(shell git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null) \
  --build-arg SOURCE_DATE_EPOCH=$(shell git log -1 --format=%ct 2>/dev/null)
image: ## Build the image of launcher and workers, with docker or buildah; ARGS="--tag IMAGE --build-arg PYTHON_DIGEST=@sha256:…"
	@case "$$(templates/builder.sh)" in \
	docker) docker build --platform=linux/amd64 --file templates/Dockerfile $(BUILT) $(or $(ARGS),--tag todoke) . ;; \
	buildah) buildah build --platform=linux/amd64 --file templates/Dockerfile \
	  --ignorefile templates/Dockerfile.dockerignore $(BUILT) $(or $(ARGS),--tag todoke) . ;; \
	*) exit 1 ;; esac

lock: setup ## Write requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --upgrade --extra dev --extra docs --no-emit-index-url -o requirements.lock pyproject.toml

wheel: setup ## The package, built twice to see that both are the same bytes, into out/wheel
	@rm -rf out/wheel; mkdir -p out/wheel
	@for n in 1 2; do rm -rf build; $(PIP) wheel --no-deps --no-build-isolation --wheel-dir out/wheel/$$n .; done; rm -rf build
	@cmp out/wheel/1/*.whl out/wheel/2/*.whl
	@mv out/wheel/1/*.whl out/wheel/ && rm -r out/wheel/1 out/wheel/2
	@sha256sum out/wheel/*.whl

sbom: setup ## What the package brings along, by the lock, as CycloneDX, into out/sbom.json
	@mkdir -p out
	@$(BIN)/uv pip compile --quiet --universal --constraint requirements.lock --no-annotate --no-header -o out/runtime.txt pyproject.toml
	@$(BIN)/uvx --quiet --from cyclonedx-bom==$(CYCLONEDX) cyclonedx-py requirements --pyproject pyproject.toml \
	  --output-reproducible --output-format JSON --output-file out/sbom.json out/runtime.txt
	@echo out/sbom.json

cloud-smoke: setup ## On Google Cloud, at your cost: launch, send 1,000 calls, compare, drain, clean up; PROJECT=… REGION=…
	@$(BIN)/python -m tools.cloud_smoke --project "$(PROJECT)" --region "$(or $(REGION),europe-west1)" $(ARGS)

setup: $(INSTALLED) ## The virtual environment in .venv

prism: $(PRISM) ## Beam's local runner for live streams, where there is Go

emulator: $(EMULATOR) ## The Bigtable emulator, where there is Go and no emulator of the Google Cloud CLI

sdks: $(SDKS) ## The SDKs for Node and browsers that tests send with, where there is npm

promtool: $(PROMTOOL) ## The tool of Prometheus that tests rules, where there is apt

flink: setup flink-jars ## A Flink cluster on this machine, and in it a shell, or ARGS="todoke run … --flink localhost:8099"
	@PATH="$(CURDIR)/$(BIN):$$PATH" python -m tools.flink $(ARGS)

flink-jars: $(FLINK) ## The class path of such a cluster (150 MB), where there are Java and Maven

clean: ## Remove what the targets made, but not .venv and .tools
	@rm -rf out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' || { \
	  echo "Python 3.11 or 3.12 is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1). Try: make PYTHON=python3.11" >&2; \
	  exit 1; }
	@echo "Setting up .venv (a few minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(PIP) install -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(PRISM):
	@mkdir -p .tools
	@if command -v go >/dev/null; then \
	  echo "Building Prism $(BEAM) into .tools/bin"; \
	  GOBIN=$(CURDIR)/.tools/bin go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM); \
	  touch $@; \
	else echo "No Go here, so no Prism: live streams cannot run on this machine" >&2; fi

$(EMULATOR):
	@mkdir -p .tools
	@root=$$(gcloud info --format='value(installation.sdk_root)' 2>/dev/null || true); \
	if [ -x "$$root/platform/bigtable-emulator/cbtemulator" ]; then touch $@; \
	elif command -v go >/dev/null; then \
	  echo "Building the Bigtable emulator $(BIGTABLE) into .tools/bin"; \
	  GOBIN=$(CURDIR)/.tools/bin go install cloud.google.com/go/bigtable/cmd/emulator@v$(BIGTABLE); \
	  touch $@; \
	else echo "No Bigtable emulator, and no Go to build one: Bigtable cannot be tested on this machine" >&2; fi

$(SDKS): tests/services/collect/node/package-lock.json
	@mkdir -p .tools/sdks
	@if command -v npm >/dev/null; then \
	  echo "Installing the SDKs of $< into .tools/sdks"; \
	  cp $(<D)/package.json $(<D)/package-lock.json .tools/sdks/; \
	  (cd .tools/sdks && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) && touch $@ \
	    || echo "They could not be installed, and are not tested" >&2; \
	else echo "No npm here: SDKs for Node and browsers are not tested on this machine" >&2; fi

# apt-get download needs no root; what it fetches is taken apart here, and nothing is installed.
$(PROMTOOL):
	@mkdir -p $(@D)
	@if command -v promtool >/dev/null; then touch $@; \
	elif command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then \
	  echo "Fetching promtool into .tools/promtool (20 MB), out of Debian's package prometheus"; \
	  (cd $(@D) && rm -f *.deb && apt-get download -qq prometheus 2>/dev/null && \
	    dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool && rm -f *.deb) && touch $@ \
	    || echo "It could not be fetched (apt-get update may help): rules are not tested on this machine" >&2; \
	else echo "No promtool here, and no apt to fetch it: rules of Prometheus are not tested on this machine" >&2; fi

$(FLINK):
	@mkdir -p .tools
	@if command -v mvn >/dev/null && command -v java >/dev/null; then \
	  echo "Copying Flink and Beam's job server into $@ (150 MB)"; \
	  rm -rf $@.part; \
	  mvn -q -B -f templates/flink/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
	    -DoutputDirectory=$(CURDIR)/$@.part; \
	  mv $@.part $@; \
	else echo "No Java or no Maven here: Flink cannot be tested on this machine" >&2; fi
