# Two commands are enough: `make dev` serves a demo store, `make test` proves the project.

# The pinned toolchain under another name is as good: rustup is then told that name.
PINNED := $(shell sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
ifeq ($(RUSTUP_TOOLCHAIN),)
ifneq ($(shell cargo --version >/dev/null 2>&1 && echo ok),ok)
export RUSTUP_TOOLCHAIN := $(shell rustup toolchain list 2>/dev/null | cut -d' ' -f1 | while read name; do rustc "+$$name" --version 2>/dev/null | grep -q "^rustc $(PINNED) " && echo "$$name" && break; done)
endif
endif

COMMERCE := target/debug/commerce

.PHONY: dev test test-kills check bench oracle build clean

dev: build
	$(COMMERCE) dev

build:
	tools/setup dev
	cargo build --locked --bin commerce --bin commerce-kernel

# What `make test` does before it runs a test.
check:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

test:
	tools/setup test
	$(MAKE) check
	cargo build --locked --bin commerce --bin commerce-kernel
	$(COMMERCE) plugin build --all
	cargo test --locked --workspace --no-fail-fast

# A hundred SIGKILLs under checkout load on each engine; `make test` does a few of them.
test-kills:
	tools/setup test
	cargo build --locked --bin commerce
	$(COMMERCE) plugin build --all
	COMMERCE_TEST_KILLS=100 cargo test --locked --test faults -- --nocapture kills

bench:
	tools/setup test
	cargo build --locked --release --bin commerce --bin commerce-load
	target/release/commerce plugin build --all
	target/release/commerce-load

# The oracle of `make test` with five hundred times as many random statements: a matter of hours.
oracle:
	tools/setup test
	COMMERCE_TEST_STATEMENTS=$${COMMERCE_TEST_STATEMENTS:-10000000} cargo test --locked --release --test border -- --nocapture oracle

clean:
	cargo clean
