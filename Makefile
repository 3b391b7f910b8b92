# `make gateway`: a mail gateway in a container, and a table of conversations with it.
# `make test`: everything.  Both begin on a bare Debian machine; see tests/bed for what they make.

PYTHON ?= python3
GATEWAY ?= mailgate-gateway
MAILGATE_VENV ?=
SOURCE ?=
export MAILGATE_VENV MAILGATE_GATEWAY := $(GATEWAY)
export MAILGATE_SOURCE := $(SOURCE)

BED := $(PYTHON) tests/bed
VENV := $(if $(MAILGATE_VENV),$(MAILGATE_VENV),$(CURDIR)/.venv)
BIN := $(VENV)/bin
RUN := PATH="$(BIN):$$PATH" VIRTUAL_ENV="$(VENV)"
PYTEST := $(RUN) $(BIN)/python -m pytest
# Added to the command of a part: make unit ALSO="-k greylist"
ALSO ?=
PART := $(BED) part --also="$(ALSO)"
SCENARIOS ?= default debian13 systemd mta

.DEFAULT_GOAL := help
.PHONY: help prepare venv link gateway test test-full fast lint lint-python lint-ansible unit screen c module differential sanity archive \
	upgrade fleet molecule e2e verify-real fuzz clean bench bench-converge bench-services bench-scan bench-greylist bench-blacklist \
	bench-recipients bench-trace bench-rules

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

gateway: ## a gateway from nothing and a table of conversations with it; SOURCE=1 builds the scanners, too
	@$(BED) gateway $(GATEWAY)

# What a part runs, and what it may take, stands in tests/bed/parts.py; tests/README.md tells of it.

fast: ## what needs no Docker, in about a minute; in two when C has changed
	@$(BED) test fast

test: ## lint, unit, module, differential, sanity, archive, molecule and end-to-end tests
	@$(BED) test test

test-full: ## that, and what takes too long for every day; dated in docs/generated/VERIFIED-full.md
	@$(BED) test full

venv: ## .venv from requirements-test.txt
	@$(BED) venv

link:
	@$(BED) link

prepare: ## venv, packages, Docker engine, base image, choice of sources
	@$(BED) prepare

lint: lint-python lint-ansible ## ruff, mypy, import-linter, yamllint, changelog, web pages, ansible-lint

lint-python:
	@$(PART) ruff mypy imports

lint-ansible:
	@$(PART) yamllint changelog docs ansible-lint

unit: ## pure logic: the package, roles, plugins, pages, the bed
	@$(PART) unit

screen: ## the operators' screen, without a terminal and in one
	@$(PART) screen

upgrade: ## a gateway of an older version becomes one of this tree while mail flows
	@$(PART) upgrade

fleet: ## three gateways that share what they learned, and the promises that they keep
	@$(PART) fleet

c: ## all C of ours: warnings as errors with gcc and clang, its tests under ASan and UBSan, seconds of each fuzzer
	@$(PART) c

module: ## every module through the contract
	@$(PART) module

differential: ## our readers and writers against the real programs
	@$(PART) differential

sanity: ## ansible-test sanity
	@$(PART) sanity

archive: ## the collection's archive, built, installed and used from there
	@$(PART) archive

molecule: ## every scenario, or SCENARIOS="default ..."
	@$(PART) $(SCENARIOS)

e2e: ## every end-to-end test against the gateway that `make gateway` left
	$(PYTEST) tests/e2e --ignore=tests/e2e/test_archive.py --gateway $(GATEWAY)

PROGRAMS ?=
verify-real: ## tests/e2e with the real netqmail and simscan (or PROGRAMS=simscan), those of patches without them, too
	@$(PYTHON) tests/verify_real.py $(PROGRAMS)

SECONDS ?= 60
TARGETS ?=
fuzz: ## each fuzz target (or TARGETS="dnsask settings") for SECONDS=60, under libFuzzer where clang is
	@$(PYTHON) tests/fuzz --directory .bed/fuzz --seconds $(SECONDS) $(TARGETS)

bench: prepare ## the gateway beside Postfix, postgrey and amavisd-new, into docs/generated/BENCHMARKS.md; BENCH=--small tries it
	$(RUN) $(BIN)/python tests/bench front $(BENCH)

bench-converge: prepare ## the playbooks over ssh on a fresh and a second host, into docs/generated/BENCHMARKS.md
	$(RUN) $(BIN)/python tests/bench converge $(BENCH)

bench-services: prepare ## blacklist, stats, trace, rules and recipients, into docs/generated/BENCHMARKS.md
	$(RUN) $(BIN)/python tests/bench services $(BENCH)

bench-scan: venv ## the whole chain beside spamc and clamdscan alone, on the gateway that `make gateway` left
	$(RUN) $(BIN)/python tests/bench scan --gateway $(GATEWAY)

bench-greylist: venv ## cqgreylist beside plain tcpserver and qmail-smtpd, on the gateway that `make gateway` left
	$(RUN) $(BIN)/python tests/bench greylist

bench-blacklist: venv link ## lines of log a second, and memory
	$(RUN) $(BIN)/python tests/bench blacklist

bench-recipients: venv ## an export of 100,000 entries beside ldapsearch
	$(RUN) $(BIN)/python tests/bench recipients

bench-rules: venv ## CPU seconds and memory that 100,000 rules take to compile
	$(RUN) $(BIN)/python tests/bench rules

bench-trace: venv link ## a journey through a day of 300,000 sessions beside grep
	$(RUN) $(BIN)/python tests/bench trace

clean: ## remove containers, .bed and caches of tools (not .venv)
	@$(BED) clean
