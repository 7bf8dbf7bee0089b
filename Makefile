# The commands of this repository. `make demo` and `make test` are the only two that
# a newcomer needs: each installs what it lacks, says what it does, and cleans up.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

# Hosts need root, cargo does not: it stays with who typed, and only what boots hosts runs as root.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=FLOE_BIN)
WITH_HOSTS := $(if $(AS_ROOT),--config 'target."cfg(unix)".runner = "$(AS_ROOT)"')

FUZZ_SECONDS ?= 600

.PHONY: help demo test bench chaos format lint guards catalogue pages fuzz release world build

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: world build ## A control plane and three hosts, a good push and a bad one, from nothing
	@cargo run --quiet $(WITH_HOSTS) -p floe-tests --bin demo

test: build ## Every unit, property and end-to-end test
	@# Hosts need root, cgroups and namespaces. Where those cannot be had, the rest still runs.
	if ! { $(AS_ROOT) tests/world/prepare >/dev/null && $(AS_ROOT) tests/world/machine available >&2; }; then
	  echo "stories skipped: hosts cannot run here; the line above says why"
	  cargo test --workspace --exclude floe-tests
	elif [ -z "$(AS_ROOT)" ]; then
	  cargo test --workspace
	else
	  cargo test --workspace --exclude floe-tests
	  cargo test $(WITH_HOSTS) -p floe-tests
	fi

bench: world ## Sizes and times, into target/bench.json
	@cargo build --release -p floe-agent -p floe
	FLOE_BIN=$${CARGO_TARGET_DIR:-target}/release/floe cargo run --quiet $(WITH_HOSTS) -p floe-tests --bin bench

chaos: world build ## Kill agents, guards and switches and cut the power; KILLS=200 SEED=n
	@cargo run --quiet $(WITH_HOSTS) -p floe-tests --bin chaos -- --kills $(or $(KILLS),200) $(if $(SEED),--seed $(SEED))

format: ## Lay out Rust and Nix
	@cargo fmt --all
	cargo run --quiet -p floe-tests --bin format_nix

lint: ## Format and clippy, warnings denied
	@cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- --deny warnings

guards: ## Take each guard out in turn and see its test fail; ONLY=t013 for some
	@cargo run --quiet -p floe-tests --bin guards -- $(foreach word,$(ONLY),--only $(word))

catalogue: ## Write the names of the tests into docs/catalogue.md
	@cargo run --quiet -p floe-tests --bin catalogue

pages: ## Manual pages and completions of both programs, into target/pages
	@for program in floe floe-agent; do
	  cargo run --quiet -p $$program --example $$program-pages -- $${CARGO_TARGET_DIR:-target}/pages
	done

fuzz: ## Ten minutes for each fuzz target (fuzz/README.md); ONLY=root for some
	@cd fuzz
	for target in $(or $(ONLY),envelope manifest root unpack session pkcs7); do
	  mkdir -p corpus/$$target
	  TMPDIR=$$([ -w /dev/shm ] && echo /dev/shm || echo /tmp) cargo +nightly fuzz run $$target corpus/$$target seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -dict=documents.dict -print_final_stats=1
	done

release: ## The agent for both systems, static, and the modules, into dist/; BASE_URL=https://…
	@for system in x86_64-linux aarch64-linux; do nixos/release $$system dist $(BASE_URL); done
	nixos/release --modules dist $(BASE_URL)

world:
	@$(AS_ROOT) tests/world/prepare >/dev/null
	$(AS_ROOT) tests/world/machine available >&2

# The agent is tested as it ships; the rest is quicker to build unoptimised.
build:
	@cargo build --release -p floe-agent
	cargo build --workspace
