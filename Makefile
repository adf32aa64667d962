# The commands that developers and CI share.
.DEFAULT_GOAL := help
CARGO ?= cargo

help:
	@echo "make demo           build Stoker and run a demonstration (a first build takes some minutes)"
	@echo "make test           install what the tests need (Debian packages, as root) and run the tests"
	@echo "make test-later     run the quick tests with the clock a year ahead"
	@echo "make test-fresh     run make demo and make test on a fresh Debian in a folder (as root, half an hour)"
	@echo "make test-all       run all tests, also those with Jaeger, Prometheus and more clients (needs Go)"
	@echo "make test-clients   run the OCI conformance suite, crane, oras and regctl through a peer (needs Go)"
	@echo "make test-matrix    run every cell of the matrix of registry behaviours (an hour)"
	@echo "make check          check format, lints, documentation and dependencies"
	@echo "make bench          run the benchmarks (release build), each next to its reference"
	@echo "make generate       write openapi/stoker.json again"
	@echo "make test-packages  install what the tests need, without running them"

demo:
	$(CARGO) run --locked -p api --bin stoker -- demo

test: test-packages
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --no-fail-fast

test-later:
	./ci/test-later

test-fresh:
	./ci/test-fresh

test-packages:
	./ci/test-packages

test-all: test test-observed test-clients

test-observed:
	./ci/test-all-packages
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked -p api --test observed -- --ignored

test-matrix:
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --test matrix -- --ignored --nocapture --test-threads 1

test-clients: test-packages
	./ci/registry-clients
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --test end_to_end registry_clients -- --ignored

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

.PHONY: help demo test test-later test-fresh test-all test-observed test-clients test-matrix test-packages check generate bench bench-packages
