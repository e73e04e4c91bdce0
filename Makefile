# The front door: every target is one line of help and one command.

.DEFAULT_GOAL := help
.PHONY: help docs abi abi-release build audit install uninstall deb wheel header errors fuzz interop demo demo-tpm test test-cpp test-python loom bench bench-proxy soak clean prerequisites test-clients test-dotnet dist fips sanitize

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '  make %-14s %s\n' "$$target" "$$text"; done

# No toolchain is pinned, and a newer one has new lints: a warning breaks CI, and nobody's fresh clone.
DENY := $(if $(filter true,$(CI)),--deny warnings)

build: ## build libmtlspop.so and libmtlspop.a for release, into target/release
	cargo build --release --package mtlspop

install: ## build and install command, library, headers, pkg-config and CMake files (PREFIX, LIBDIR, DESTDIR, STRIP=1, TPM=1, DEVCLOUD=1; CLI=0: no command)
	@scripts/install.sh

uninstall: ## remove what `make install` put there, with the same PREFIX, LIBDIR and DESTDIR
	@scripts/install.sh --remove

deb: ## make Debian packages of command, library, development files and TPM plugin, into target/deb
	@scripts/deb.sh

dist: ## make what a release consists of, into target/dist-archives: archives, wheels, SBOMs, SHA-256 sums, provenance
	@scripts/dist.sh

audit: ## packages by deny.toml, other compilers, and whether two builds are the same byte by byte (20 minutes)
	@scripts/audit.sh

header: ## write what is made of src/ffi: include/mtlspop.h, docs/man, docs/symbols-in-versions, abi/symbols.txt, prototypes of Python and .NET
	MTLSPOP_UPDATE=1 cargo test --test abi -- is_current are_current symbols_are_those_of_the_header

abi: ## compare the interface with that of the last release, and say which bump of the ABI is due
	@cargo test --quiet --test abi -- --exact --nocapture abi_version_has_grown_with_the_interface

abi-release: ## write down today's interface as that of a release, into abi/released.txt
	MTLSPOP_RELEASE=1 cargo test --test abi -- --exact abi_version_has_grown_with_the_interface

errors: ## write docs/ERRORS.md from the tables in tests/errors
	MTLSPOP_UPDATE=1 cargo test --test errors -- errors_document_is_current

docs: ## make the reference in HTML, for C and Rust: target/doc/index.html
	@scripts/prerequisites.sh docs
	@scripts/docs.sh

fuzz: ## run one fuzzer of fuzz/fuzz_targets for a while (TARGET=pem SECONDS=60); needs cargo-fuzz
	@scripts/fuzz.sh $(or $(TARGET),pem) $(or $(SECONDS),60)

interop: ## write docs/MSAL_PYTHON.md from the table in tests/interop
	MTLSPOP_UPDATE=1 cargo test --test interop -- document_is_current

demo: ## run every example against devcloud
	@scripts/prerequisites.sh demo
	cargo build --package mtlspop --package devcloud --package mtlspop-examples --package mtlspop-cli
	scripts/demo.sh

demo-tpm: ## run the examples with keys in a (software) TPM
	@scripts/prerequisites.sh demo-tpm
	cargo build --package mtlspop --package mtlspop-tpm --package devcloud
	scripts/demo-tpm.sh

test: prerequisites ## what CI runs: format, lints, every test
	cargo fmt --all --check || { echo 'cargo fmt --all writes the format'; exit 1; }
	cargo clippy --workspace --all-targets -- $(DENY)
	@failed=; scripts/audit.sh packages || failed=1; \
	cargo test --workspace --lib --bins --tests --no-fail-fast || failed=1; \
	scripts/test-python.sh || failed=1; [ -z "$$failed" ]

loom: ## try the orders in which threads can meet in the cache, in flights and claims; part of `make test`
	cargo test --package mtlspop-loom

test-python: prerequisites ## test the Python package (PYTHON: which interpreter)
	scripts/test-python.sh

wheel: ## build wheels of the Python package, with the library inside, and of the command, into target/wheels
	scripts/wheel.sh

test-cpp: prerequisites ## the tests of the C++ binding alone
	cargo build --package mtlspop-tpm
	cargo test --test cpp

test-dotnet: prerequisites ## test the .NET assembly under Mono, and on .NET where it is
	cargo test --test dotnet

test-clients: prerequisites ## clients that nobody wrote here, from PyPI, npm, NuGet and crates.io: in devcloud, and under mtlspop exec; minutes
	cargo test --package devcloud --test clients -- --include-ignored --nocapture --test-threads 1
	cargo test --test interop -- --ignored --test-threads 1
	cargo test --test docs -- --ignored --exact contrib::judged_by_others

fips: ## test a build with AWS-LC's FIPS module, which takes Go and CMake
	@command -v go >/dev/null && command -v cmake >/dev/null || { echo 'make fips takes Go and CMake (Debian, Ubuntu: apt-get install golang-go cmake)'; exit 1; }
	CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target}/fips cargo test --no-default-features --features fips --lib -- fips:: http::tests::offered
	CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target}/fips cargo test --no-default-features --features fips --test flows -- cold_and_warm sni_pop fic_matrix ec_certificate

sanitize: prerequisites ## look into the library with sanitizers and valgrind, in tests of C, C++, Python and in examples; an hour
	@scripts/sanitize.sh

bench: ## measure what calls cost, and write docs/performance.md; PEERS=1: other libraries, too. What is not installed is left out
	@scripts/prerequisites.sh demo
	@if pkg-config --exists tss2-esys; then cargo build --release --package mtlspop-tpm; fi
	cargo bench --bench bench

bench-proxy: ## 1,000 clients of mtlspop proxy for a minute, beside nginx; takes wrk (SECONDS_EACH, CLIENTS)
	@scripts/bench-proxy.sh

soak: ## 200 threads and 10 apps on a day when everything fails now and then, for MINUTES=10 (SEED=: the same day again)
	@scripts/prerequisites.sh demo
	MINUTES=$${MINUTES:-10} cargo test --release --test soak -- --nocapture --exact soak

clean: ## remove everything that was built
	cargo clean

prerequisites: ## install what the tests need and is missing (Debian, Ubuntu)
	@scripts/prerequisites.sh
