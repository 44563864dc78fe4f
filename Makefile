# All tasks of this package; `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Two builds at once would wait for each other's lock.
.NOTPARALLEL:

# The options of echo-server for `make run`.
ARGS ?= --host 127.0.0.1 --port 8080

# A Swift toolchain has clang, but no cc.
ifeq ($(origin CC),default)
CC := $(if $(shell command -v cc),cc,clang)
endif

swift_sources := $(wildcard Package.swift Sources Tests Examples Benchmarks)
switch_sources := Tests/CSwitchTests/switch_test.c \
    $(wildcard Sources/CSwitch/*.c Sources/CSwitch/*.S Sources/CDiagnostics/*.c Sources/CLinux/*.c)
switch_flags := -g -Wall -Wextra -Werror -ISources/CSwitch/include -ISources/CDiagnostics/include \
    -ISources/CLinux/include

# $(call run_switch_test,compiler and its options,emulator or nothing)
define run_switch_test
@mkdir -p .build; \
for level in -O0 -O2; do \
    program=.build/switch-test-$(notdir $(firstword $(1)))$$level; \
    echo "$$program"; \
    $(1) $$level $(switch_flags) -o "$$program" $(switch_sources) -lpthread; \
    timeout 120 $(2) "$$program"; \
done
endef

patch_sources := $(wildcard Tests/CGreenPatchTests/*.c Tests/CPatchProbes/*.c Sources/CGreenPatch/*.c Sources/CSwitch/*.c Sources/CSwitch/*.S)
patch_flags := -g -Wall -Wextra -Werror -ISources/CSwitch/include -ISources/CGreenPatch/include -ITests/CPatchProbes/include

# $(call run_patch_test,compiler and its options,emulator or nothing,name,options of the test)
define run_patch_test
@mkdir -p .build
$(1) $(patch_flags) -o .build/patch-test-$(3) $(patch_sources) -lpthread
timeout 120 $(2) .build/patch-test-$(3) $(4)
endef

.PHONY: help setup run build test test-switch test-patch test-debug test-release test-redis test-libraries test-operators check-kubernetes check-proxies test-async test-asan test-tsan test-aarch64 \
    format format-check check-units check clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
	while IFS='|' read -r target text; do printf '  make %-13s %s\n' "$$target" "$$text"; done

setup: ## install what the build needs and is missing
	@Scripts/setup.sh

# The loader binds all library functions once, at the start.  With lazy binding each forked child would bind each function again.
build_release := swift build -c release -Xlinker -z -Xlinker now

run: setup ## build for release and run echo-server with the options in ARGS
	$(build_release) --product echo-server
	exec .build/release/echo-server $(ARGS)

build: setup ## build everything for release
	$(build_release)

test: test-switch test-patch test-debug test-release test-redis ## run all tests, in debug and in release

test-switch: setup ## test the switch in C, for this processor
	$(call run_switch_test,$(CC),)

# A static executable finds no call of the C library's; a kernel before 6.4 has no attempt of a read that does not wait.
test-patch: setup ## test the patched calls in C, for this processor
	$(call run_patch_test,$(CC) -O0,,debug)
	$(call run_patch_test,$(CC) -O2,,release)
	timeout 120 .build/patch-test-release --without-nowait
	$(call run_patch_test,$(CC) -O2 -static,,static)

test-debug: setup ## run the Swift tests in debug
	Scripts/swift-test.sh

# A build directory of its own: builds with and without -enable-testing would rebuild each other's files.
testable := -c release -Xswiftc -enable-testing --scratch-path .build/testable

test-libraries test-redis: library_tests = swift test --skip-build --no-parallel --disable-xctest $(testable) --filter LibraryTests

test-redis: ## test hiredis on green threads against a Redis server, in release
	@Scripts/setup.sh redis-server libhiredis0.14
	swift build --build-tests $(testable)
	TEST_LIBRARIES=redis timeout --foreground 300 $(library_tests)

servers := redis-server libhiredis0.14 postgresql libpq5 mariadb-server libmariadb3 openssh-server openssh-client libssh2-1 \
    libcurl4 libsqlite3-0 openssl

test-libraries: ## test C libraries on green threads against the servers of Debian's packages, in release
	@Scripts/setup.sh $(servers)
	swift build --build-tests $(testable)
	TEST_LIBRARIES=all timeout --foreground 600 $(library_tests)

check-kubernetes: ## check the manifests of packaging/kubernetes against Kubernetes' schemas
	swift build --product echo-server
	Scripts/check-kubernetes.sh

check-proxies: ## check the examples for HAProxy, nginx and keepalived
	@Scripts/setup.sh haproxy nginx libnginx-mod-stream keepalived
	Scripts/check-proxies.sh

test-operators: ## test the server behind HAProxy and nginx of Debian's packages
	@Scripts/setup.sh haproxy nginx libnginx-mod-stream
	swift build --build-tests
	TEST_OPERATORS=1 timeout --foreground 600 swift test --skip-build --no-parallel --disable-xctest --filter OperatorTests

test-release: setup ## run the Swift tests in release
	Scripts/swift-test.sh $(testable)

# A package of its own, so that GreenNet resolves none of the packages that it is tested with.
test-async: setup ## test green threads with AsyncHTTPClient, SwiftNIO, swift-async-algorithms, swift-log and swift-distributed-tracing
	timeout --foreground --signal=INT --kill-after=60 1800 \
	    swift test --package-path Tests/WithPackages --scratch-path .build/with-packages --disable-xctest

# What the tests after those in debug are built from.
.PHONY: build-ahead
build-ahead:
	swift build --build-tests $(testable)
	Scripts/build-static.sh Mistakes
	Scripts/build-static.sh AsyncPrograms
	swift build --build-tests --package-path Tests/WithPackages --scratch-path .build/with-packages

test-asan: setup ## run the patched calls in C and the Swift tests under AddressSanitizer
	$(call run_patch_test,$(CC) -O1 -fsanitize=address,,asan)
	Scripts/swift-test.sh --sanitize=address --scratch-path .build/asan

test-tsan: setup ## run the Swift tests under ThreadSanitizer
	Scripts/swift-test.sh --sanitize=thread --scratch-path .build/tsan

test-aarch64: ## test the switch and the patched calls in C for AArch64, under an emulator
	@Scripts/setup.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
	$(call run_switch_test,aarch64-linux-gnu-gcc -static,qemu-aarch64)
	$(call run_patch_test,aarch64-linux-gnu-gcc -O2 -static,qemu-aarch64,aarch64)

format: ## format the Swift sources
	swift format -i -r -p $(swift_sources)

format-check: ## check the format of the Swift sources
	swift format lint --strict -r -p $(swift_sources)

check-units: ## check the systemd units and their sandboxing
	Scripts/check-units.sh

# Seconds for each target.
FUZZ_SECONDS ?= 600

.PHONY: fuzz
fuzz: setup ## fuzz the parsers of bytes from outside, FUZZ_SECONDS each
	Scripts/fuzz.sh $(FUZZ_SECONDS)

# Minutes for each model.  The same seed makes the same mix.
SOAK_MINUTES ?= 10
SOAK_SEED ?= 1

.PHONY: soak
soak: setup ## serve a mix of clients and kill workers, SOAK_MINUTES with each model; report in .build/soak
	Scripts/soak.sh $(SOAK_MINUTES) $(SOAK_SEED)

# Seconds for each model and each kind of flood.
FLOOD_SECONDS ?= 60

.PHONY: flood
flood: ## flood each model with connections for FLOOD_SECONDS, in a network namespace (needs root)
	@((EUID == 0)) || { echo "make flood needs root: it makes a network namespace and sends raw packets" >&2; exit 77; }
	@Scripts/setup.sh iproute2
	swift build --build-tests $(testable)
	FLOOD_SECONDS=$(FLOOD_SECONDS) swift test --skip-build --no-parallel --disable-xctest $(testable) --filter FloodTests

.PHONY: test-scale
test-scale: ## drain and replace a server of three under load, behind HAProxy, nginx, nftables and IPVS (needs root)
	@((EUID == 0)) || { echo "make test-scale needs root: it makes network namespaces" >&2; exit 77; }
	@Scripts/setup.sh iproute2 procps curl jq nftables haproxy nginx libnginx-mod-stream keepalived ipvsadm
	swift build --product echo-server
	swift build --product echo-client
	Scripts/test-scale.sh

.PHONY: docs
docs: setup ## build GreenNet's documentation into .build/docs; warnings are errors
	Scripts/docs.sh

.PHONY: course
course: setup ## run all examples and show what they print
	swift build
	Scripts/course.sh

check: ## run all checks of CI
	Scripts/check.sh

clean: ## remove everything that was built
	rm -rf .build

# The options of echo-client compare for `make bench`.
COMPARE ?= --rounds 3 --duration 1

bench := .build/release/EchoBench

.PHONY: bench
bench: setup ## compare the models, with the options in COMPARE, and write the figures into Documentation/measurements.md
	$(build_release)
	$(bench) figures $(COMPARE)

# The options of `EchoBench models` for `make bench-models`; BENCH=--help lists them, and so with the others.
BENCH ?=

bench_programs := $(patsubst Benchmarks/%.c,.build/bench/%,$(wildcard Benchmarks/*.c))

.PHONY: bench-models
bench-models: setup $(bench_programs) ## compare the models with each other and with C, with the options in BENCH
	$(build_release) --product echo-server
	$(build_release) --product EchoBench
	$(bench) models $(BENCH)

# The options of `EchoBench profile` for `make profile`.
PROFILE ?=

.PHONY: profile
profile: setup $(bench_programs) ## profile the time of a message, with the options in PROFILE
	$(build_release) --product echo-server
	$(build_release) --product EchoBench
	$(bench) profile $(PROFILE)

# The number of green threads, and of connections, for `make bench-million`; further options of `EchoBench million`.
MILLION ?= 1000000
MILLION_OPTIONS ?=

.PHONY: bench-million
bench-million: setup ## park a million green threads, then hold a million connections (MILLION sets the number)
	$(build_release) --product echo-server
	$(build_release) --product echo-client
	$(build_release) --product ParkedThreads
	$(build_release) --product EchoBench
	$(bench) million --count $(MILLION) $(MILLION_OPTIONS)

.PHONY: bench-stacks
bench-stacks: setup ## measure how much of a green thread's stack common calls take
	swift build -c release --product StackDepth  # with lazy binding, as most programs have it
	.build/release/StackDepth

# PYTHON names another python3.
.PHONY: bench-processes
bench-processes: setup ## compare ProcessPool with Python's pools of processes
	$(build_release) --product ProcessBenchmarks
	.build/release/ProcessBenchmarks call $(PYTHON)
	.build/release/ProcessBenchmarks map

# The options of `EchoBench cores` for `make bench-cores`.
CORES ?=

.PHONY: bench-cores
bench-cores: setup .build/bench/echo-load .build/bench/epoll-floor ## compare one worker with two, with two processes and with C, with the options in CORES
	$(build_release) --product echo-server
	$(build_release) --product EchoBench
	$(bench) cores $(CORES)

# The options of `EchoBench start` for `make bench-start`.
START ?=

.PHONY: bench-start
bench-start: setup dist .build/bench/epoll-floor ## measure what a start of the server costs, with the options in START
	$(build_release) --product echo-server
	$(build_release) --product EchoBench
	$(bench) start $(START)

# The options of `EchoBench peers` for `make bench-peers`.
PEERS ?=

.PHONY: bench-peers
bench-peers: setup $(bench_programs) ## compare the models with C, Rust, Go, SwiftNIO, Asio and gevent, with the options in PEERS
	$(build_release) --product echo-server
	$(build_release) --product EchoBench
	$(bench) peers $(PEERS)

.PHONY: test-bench
test-bench: setup $(bench_programs) ## check that the benchmarks' harness measures
	swift build --product echo-server
	swift build --product EchoBench
	.build/debug/EchoBench check --server .build/debug/echo-server

.PHONY: check-counts
check-counts: setup $(bench_programs) ## check that a message and a connection of the green model take no more instructions and cache lines than they may
	@Scripts/setup.sh valgrind binutils
	$(build_release) --product echo-server
	$(build_release) --product EchoBench
	$(bench) check --counts --server .build/release/echo-server

# The options of `EchoBench micro` for `make bench-micro`.
MICRO ?=

.PHONY: bench-micro
bench-micro: setup ## time single steps of the scheduler beside Go, tokio and gevent, with the options in MICRO
	@mkdir -p .build/bench
	$(build_release) --product MicroBenchmarks
	$(build_release) --product EchoBench
	$(bench) micro $(MICRO)

# With gevent, where `PYTHON` names a Python that has it.
PYTHON ?=

.PHONY: bench-executor
bench-executor: setup ## compare OffloadPool with CPython's ThreadPoolExecutor, and RemoteChannel with Rust's channels where rustc is there
	@mkdir -p .build/bench
	swift build -c release --product ExecutorBenchmarks
	if command -v rustc >/dev/null; then rustc -O -o .build/bench/channel Benchmarks/Executor/channel.rs; fi
	.build/release/ExecutorBenchmarks Benchmarks/Executor/executor.py $$([ -x .build/bench/channel ] && echo .build/bench/channel || echo -)

.PHONY: bench-patch
bench-patch: setup ## compare GreenPatch with the C library's calls, OS threads, libcurl's multi interface and gevent (PYTHON names a Python that has it)
	@Scripts/setup.sh libcurl4
	$(build_release) --product PatchBenchmarks
	$(build_release) --product PatchedProgram
	.build/release/PatchBenchmarks gate
	.build/release/PatchBenchmarks ping-pong
	.build/release/PatchBenchmarks curl $(PYTHON)

.PHONY: bench-shared
bench-shared: setup ## compare what passes between processes with multiprocessing.Queue and a socket pair (PYTHON names the Python)
	$(build_release) --product SharedBenchmarks
	.build/release/SharedBenchmarks $(or $(PYTHON),python3) Benchmarks/Shared/python_queue.py

transfer_programs := .build/bench/udp-floor .build/bench/udp-load .build/bench/bulk-load

.PHONY: bench-udp
bench-udp: setup $(transfer_programs) ## compare Datagram with a loop of recvfrom and sendto in C
	swift build -c release --product DatagramEcho
	Benchmarks/transfers/udp.sh

.PHONY: bench-forwarder
bench-forwarder: setup $(transfer_programs) ## compare the PortForwarder example with socat and HAProxy
	@Scripts/setup.sh socat haproxy
	swift build -c release --product PortForwarder
	Benchmarks/transfers/forwarder.sh

.build/bench/%: Benchmarks/transfers/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -O3 -Wall -Wextra -Werror -o $@ $<

# The number of rounds for `make bench-redis`.
ROUNDS ?= 5

.PHONY: bench-redis
bench-redis: setup ## compare the Redis client of the examples with redis-benchmark (ROUNDS sets how often)
	@Scripts/setup.sh redis-server redis-tools
	$(build_release) --product RedisBenchmark
	.build/release/RedisBenchmark $(ROUNDS)

# For `make bench-intake`.
TASKS ?= 50000

.PHONY: bench-intake
bench-intake: setup ## compare the TaskIntake example with a worker on redis-py and gevent (ROUNDS, TASKS; PYTHON names a Python that has them)
	@Scripts/setup.sh redis-server redis-tools libhiredis0.14
	$(build_release) --product TaskIntake
	Benchmarks/Intake/intake.sh $(ROUNDS) $(TASKS) $(or $(PYTHON),python3)

# Options of Benchmarks/tls/bench.sh for `make bench-tls`: rounds, and seconds of each measurement.
TLS ?= 3 3

.PHONY: bench-tls
bench-tls: setup .build/bench/tls-floor ## compare echo-server's TLS with a plain C epoll server on the same OpenSSL
	@Scripts/setup.sh openssl
	$(build_release) --product echo-server
	$(build_release) --product echo-client
	Benchmarks/tls/bench.sh $(TLS)

.build/bench/tls-floor: Benchmarks/tls/tls-floor.c Benchmarks/floor.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -O3 -Wall -Wextra -Werror -pthread -o $@ $< -lssl -lcrypto

.build/bench/%: Benchmarks/%.c Benchmarks/floor.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -O3 -Wall -Wextra -Werror -pthread -o $@ $<

# Directories of `make install`.  Settings are in /etc, wherever the programs are.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/echo-server
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
# If empty, the programs keep their symbols.
STRIP ?= strip
places := DESTDIR PREFIX SYSCONFDIR MANDIR DOCDIR UNITDIR SYSUSERSDIR BASHDIR ZSHDIR FISHDIR STRIP
# The sources of `dist`.
dist_sources := Package.swift Scripts/build-dist.sh Scripts/link-order.txt $(wildcard Scripts/essentials/*.swift) $(shell find Sources -type f)

.PHONY: dist install uninstall deb check-deb test-systemd test-image

dist: .build/dist/built ## build the programs for installing, with the Swift runtime linked statically

.build/dist/built: $(dist_sources)
	Scripts/setup.sh binutils
	Scripts/build-dist.sh
	@touch $@

install: dist ## install programs, units, man pages, completions (PREFIX, DESTDIR)
	@$(foreach place,$(places),$(place)='$($(place))') Scripts/install.sh install

uninstall: ## remove what `make install` installed
	@$(foreach place,$(places),$(place)='$($(place))') Scripts/install.sh uninstall

deb: dist ## build a Debian package into .build/deb
	@Scripts/setup.sh dpkg-dev debhelper lintian
	Scripts/build-deb.sh

check-deb: deb ## install and purge the package in a minimal Debian (needs root)
	@Scripts/setup.sh debootstrap
	Scripts/check-deb.sh .build/deb/echo-server_[0-9]*.deb

test-systemd: deb ## test the package in a booted Debian with systemd (needs root)
	@Scripts/setup.sh debootstrap systemd-container
	Scripts/test-systemd.sh .build/deb/echo-server_[0-9]*.deb $(TESTS)

test-image: ## build the image of the Dockerfile, and run it as a cluster would (needs root)
	@Scripts/setup.sh debootstrap podman runc netavark
	Scripts/test-image.sh
