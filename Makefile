# What people do with refguard's source. Everything it needs and this machine lacks is installed by scripts/setup.
#
#   make run      verdicts on a day of example traffic
#   make test     all tests; starts a real Kafka broker
#   make check    formatting, lints, documentation, licences of dependencies
#   make soak     a million events with fifty kills of refguard, and a million over Redis with fifty failovers
#   make simulate histories of simulated faults: HISTORIES of them from SEED on, a million from 0 by default
#   make fuzz     real fuzzing: FUZZ_SECONDS for each target, 60 by default
#   make setup    only the installing, for tests and checks

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
FUZZ_SECONDS ?= 60
HISTORIES ?= 1000000
SEED ?= 0
SHELL := /bin/sh

.DEFAULT_GOAL := help
.PHONY: help run build test soak simulate check fmt clippy doc deny fuzz setup clean

help:
	@sed -n 's/^#   /  /p' Makefile

run: build
	@CARGO_TARGET_DIR='$(CARGO_TARGET_DIR)' sh examples/run.sh

build:
	@sh scripts/setup build
	cargo build --locked --release

test:
	@sh scripts/setup test
	cargo test --locked

soak:
	@sh scripts/setup test
	timeout 3600 cargo test --locked --release --test exactly_once -- --ignored --nocapture soak
	timeout 3600 cargo test --locked --release --test redis_run -- --ignored --nocapture soak

# Debug assertions stay: they are what planted defects and the machine's own promises need.
simulate:
	@sh scripts/setup build
	CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	    REFGUARD_SIM_HISTORIES=$(HISTORIES) REFGUARD_SIM_FROM=$(SEED) \
	    cargo test --locked --release --target-dir '$(CARGO_TARGET_DIR)/simulate' --test sim -- --nocapture whatever_happens

check: fmt clippy doc deny

fmt:
	cargo fmt --all --check

clippy:
	@sh scripts/setup build
	cargo clippy --locked --all-targets -- -D warnings

doc:
	@sh scripts/setup build
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

# Advisories come from a database that is fetched each time; without a network the rest is still checked.
deny:
	@sh scripts/setup check
	'$(CARGO_TARGET_DIR)'/tools/bin/cargo-deny --locked check bans licenses sources
	@if timeout 60 '$(CARGO_TARGET_DIR)'/tools/bin/cargo-deny --locked fetch db >/dev/null 2>&1; then \
	    set -x; '$(CARGO_TARGET_DIR)'/tools/bin/cargo-deny --locked check --disable-fetch advisories; \
	else \
	    echo 'deny: the database of advisories cannot be reached; advisories were NOT checked'; \
	fi

# cargo-fuzz wants flags of a nightly compiler; RUSTC_BOOTSTRAP lets the stable one take them. There is no address sanitizer: this
# crate has no unsafe code, and the C libraries below it, built with one, do not pass librdkafka's configure. New inputs go below
# the target directory; those worth keeping are copied to fuzz/corpus by hand. The lock file is a copy each time: what is fuzzed
# is what ships.
fuzz:
	@sh scripts/setup fuzz
	@cp Cargo.lock fuzz/Cargo.lock
	@set -e; for name in $$(basename -s .rs fuzz/fuzz_targets/*.rs); do \
	    echo "fuzz: $$name for $(FUZZ_SECONDS) s"; \
	    mkdir -p "$$CARGO_TARGET_DIR/fuzz-corpus/$$name" "fuzz/corpus/$$name"; \
	    RUSTC_BOOTSTRAP=1 '$(CARGO_TARGET_DIR)'/tools/bin/cargo-fuzz run --sanitizer none \
	        --target-dir "$$CARGO_TARGET_DIR/fuzz" "$$name" "$$CARGO_TARGET_DIR/fuzz-corpus/$$name" "fuzz/corpus/$$name" \
	        -- -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048; \
	done

setup:
	@sh scripts/setup test
	@sh scripts/setup check

clean:
	cargo clean
