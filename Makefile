# SPDX-License-Identifier: BSD-3-Clause
# The front door. Each target sets up what it needs; the work is done by scripts/ and meson.
#
#   BUILD=DIR  where everything is built (default: build)

BUILD ?= build
PREFIX ?= /usr/local
export VIOFS_BUILD := $(abspath $(BUILD))

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak stress fuzz bench lint format dist deb sign install clean

help: ## this list
	@echo "viofs: share a directory of a Linux host with virtual machines"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the Debian packages that all targets need
	@scripts/setup

demo: ## share a directory with Windows programs and a Linux guest, and show it (SHARE=DIR: your directory)
	@scripts/setup build demo
	@tests/wine/chain/build
	@scripts/demo-windows

test: ## build all variants and run all tests, a quarter of an hour
	@scripts/setup build demo test
	@tests/run $(STAGES)

soak: ## the tests with their long lists, an hour or two; their figures go to docs/operations.md
	@scripts/setup build demo test
	@tests/run --soak $(STAGES); status=$$?; tests/soak-figures && exit $$status

stress: ## the Windows chain under load for SECONDS (default 600), its daemon killed every ten seconds, a supervised one's worker each second
	@scripts/setup build test
	@tests/wine/chain/build
	@tests/wine/stress/run $(or $(SECONDS),600)
	@tests/wine/stress/run --supervised $(or $(SECONDS),600)

fuzz: ## ten million executions of each fuzzer
	@scripts/setup build test
	@scripts/fuzz

bench: ## measure virtiofsd against its peers, write docs/performance.md
	@scripts/setup build test bench
	@scripts/build release
	@bench/run

lint: ## formatting, static analysis, scripts, spelling: must be clean
	@scripts/setup build test lint
	@scripts/lint

format: ## lay out the C sources
	@git ls-files '*.[ch]' | xargs clang-format -i

dist: ## build what ships into dist/
	@scripts/setup build dist
	@scripts/dist dist

deb: ## build the Debian package of the host's half into dist/host, checked by lintian
	@scripts/setup build deb
	@scripts/deb dist/host

sign: ## sign dist/guest with your key and pack it anew: CERT=FILE KEY=FILE, more in docs/signing.md
	@scripts/setup sign dist
	@scripts/sign dist/guest
	@scripts/guest-archive dist/guest dist
	@scripts/guest-archive dist/guest dist

install: ## install the host's half under PREFIX (default /usr/local), DESTDIR is honoured
	@scripts/setup build
	@scripts/install $(PREFIX)

clean: ## remove what was built
	rm -rf $(VIOFS_BUILD) dist
