# What people and the continuous build call. All of it works without a sound card, a Raspberry Pi or an account.
#
#   make demo ARGS="--music ~/Music"     options of `tonearm demo`
#   YES=1 make test                      answers the questions of the set-up with yes

# A toolchain that the set-up installed is found at once, without a new login.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

CARGO_FLAGS := --locked
# The firmware is built without the simulator, so both ways must be clean.
CLIPPY := cargo clippy $(CARGO_FLAGS) --all-targets

.DEFAULT_GOAL := help
.PHONY: help setup setup-test setup-bench setup-net demo test net-test lint bench bench-audio fuzz sweep sim mutants-sim hour lead kill-test fleet format

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## check what a build needs; install what is missing (asks first unless root)
	@scripts/setup.sh

setup-test:
	@scripts/setup.sh test

setup-bench:
	@scripts/setup.sh bench

setup-net:
	@scripts/setup.sh net

demo: setup ## build and play: the speaker and a local playback service in one program
	cargo build $(CARGO_FLAGS) --release
	target/release/tonearm demo $(ARGS)

lint: setup-test ## formatting, clippy with and without the simulator, documentation
	cargo fmt --check
	$(CLIPPY) -- -D warnings
	$(CLIPPY) --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --no-deps --quiet

# The tests come last, so that their summary is the last thing to be read.
test: lint ## everything that must pass: lint, documentation tests, all tests
	cargo test $(CARGO_FLAGS) --doc --quiet
	@scripts/net-test.sh short
	@if cargo nextest --version >/dev/null 2>&1; then \
		echo "cargo nextest run $(CARGO_FLAGS) --all-targets"; \
		cargo nextest run $(CARGO_FLAGS) --all-targets; \
	else \
		echo "cargo test $(CARGO_FLAGS) --all-targets"; \
		cargo test $(CARGO_FLAGS) --all-targets; \
	fi

net-test: setup-test setup-net ## the program over a real network that fails: cables, lost packets, names (needs root or user namespaces)
	scripts/net-test.sh

bench: setup ## what a playing speaker costs: memory, wake-ups, disk, time from press to sound
	cargo bench $(CARGO_FLAGS) --bench footprint

# PARTS="frames instructions skips table" names what is to be measured again; the rest stays as it was.
bench-audio: setup-bench ## every format and skips beside MPD, mpv, mpg123, into docs/audio.md; QUICK=1 measures less
	cargo build $(CARGO_FLAGS) --release
	QUICK=$(QUICK) python3 -B benches/peers/bench.py $(PARTS)

# Seconds that each target of `make fuzz` goes on; FUZZ_SEED=n replays one run, FUZZ_TARGET=name takes one target.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS := answers manifest mp4 cenc decoders
FUZZ_TARGET ?= $(FUZZ_TARGETS)
# Where a target's tests are.
FUZZ_answers := service::fuzz
FUZZ_manifest := media::dash::fuzz
FUZZ_mp4 := audio::fuzz::mp4
FUZZ_cenc := audio::fuzz::cenc
FUZZ_decoders := audio::fuzz::decoders

fuzz: setup-test ## what comes from outside and went wrong in every way, each target for FUZZ_SECONDS (600)
	$(if $(filter-out $(FUZZ_TARGETS),$(FUZZ_TARGET)),$(error FUZZ_TARGET is one of: $(FUZZ_TARGETS)))
	set -e; for tests in $(foreach target,$(FUZZ_TARGET),$(FUZZ_$(target))); do \
		FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test $(CARGO_FLAGS) --bin tonearm $$tests -- --ignored --nocapture; done

# Optimised, because it plays some 200,000 times 20 minutes.
sweep: setup-test ## what the constants of the choice among representations come from: all of them over many links
	cargo test $(CARGO_FLAGS) --release --bin tonearm media::dash::choice::links -- --ignored --nocapture

# Worlds of `make sim`, from seed FIRST on, and their days; SEED=n lives through one again, DAYS= makes short ones.
SEEDS ?= 1000
FIRST ?= 1
DAYS ?= 30

# Optimised, and with the checks of a debug build; the crates it needs are those of the tests.
sim: export CARGO_PROFILE_DEV_OPT_LEVEL := 3
sim: setup-test ## DAYS=30 SEEDS=1000: virtual days of listening on a virtual disk with every fault, and a report
	cargo run $(CARGO_FLAGS) --example sim -- --seeds $(SEEDS) --first $(FIRST) \
		$(if $(DAYS),--days $(DAYS)) $(if $(SEED),--seed $(SEED))

mutants-sim: setup-test ## mistakes put into the core and the journal on purpose, each of which the simulation must find
	scripts/mutants-sim.sh $(MUTANTS)

hour: setup-test ## HOURS=24 SEED=1: hours of simulated listening per tier with every fault in turn, and a report
	TONEARM_HOURS=$(or $(HOURS),1) TONEARM_HOUR_SEED=$(or $(SEED),1) \
		cargo test $(CARGO_FLAGS) --bin tonearm contract::hour -- --nocapture

lead: setup-test ## licences a second before and after the end of the usual 30 s in the clear, in real time
	cargo test $(CARGO_FLAGS) --test binary dash:: -- --ignored

kill-test: setup-test ## KILLS=10000 SEED=1: the program is killed at random under load; no event is lost, reordered or doubled
	TONEARM_KILLS=$(or $(KILLS),10000) TONEARM_KILL_SEED=$(or $(SEED),1) \
		cargo test $(CARGO_FLAGS) --test binary kills:: -- --nocapture

# Optimised; an example, so that nothing but the library is built. A million speakers take some minutes.
fleet: setup-test ## SPEAKERS=1000000 and an outage of the service, in virtual time; writes docs/fleet.svg and numbers into docs/fleet.md
	cargo run $(CARGO_FLAGS) --release --example fleet -- $(or $(SPEAKERS),1000000) --write

format: setup-test ## format the code
	cargo fmt
