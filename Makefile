# The few commands that people and CI share.
.DEFAULT_GOAL := help
CARGO ?= cargo

help:
	@echo "make demo           build and run the whole story in about a minute"
	@echo "make test           install what the tests need (Debian packages, as root) and run all tests"
	@echo "make test-later     the quick tests again, with the clock a year ahead"
	@echo "make test-fresh     make demo and make test on a fresh Debian in a folder (as root, half an hour)"
	@echo "make test-all       all tests, and traces in a real Jaeger and metrics in a real Prometheus (wants Go)"
	@echo "make check          format, lints, docs, generated files, dependency rules"
	@echo "make bench          benchmarks, release build, each beside its reference"
	@echo "make generate       write openapi/stoker.json anew"
	@echo "make test-packages  only install what the tests need"

demo:
	$(CARGO) run --locked --release -p api --bin stoker -- demo

test: test-packages
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --no-fail-fast

test-later:
	./ci/test-later

test-fresh:
	./ci/test-fresh

test-packages:
	./ci/test-packages

test-all: test test-observed

test-observed:
	./ci/test-all-packages
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked -p api --test observed -- --ignored

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items
	./ci/dependencies

generate:
	$(CARGO) run --locked -p api --bin stoker -- openapi > openapi/stoker.json.new
	mv openapi/stoker.json.new openapi/stoker.json

bench: bench-packages
	$(CARGO) build --locked --release --workspace --bins
	$(CARGO) run --locked --release -p bench

bench-packages: test-packages
	./ci/bench-packages

.PHONY: help demo test test-later test-fresh test-all test-observed test-packages check generate bench bench-packages
