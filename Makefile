# SPDX-License-Identifier: Apache-2.0
# make        the executables in build/bin and the guest's files in build/guest
# make run    everything that is needed, then a container in a virtual machine of its own
# make check  every test: format, unit, tidy, sanitized, vm-tests
# make bench  the figures of docs/SPECIFICATION.md
# make install [DESTDIR=] [PREFIX=/usr]
#
# Parts: make build (the executables and the tests), unit (unit tests), sanitized (unit tests with sanitizers), vm-tests
# (tests that boot virtual machines), format and tidy (clang-format, clang-tidy), clean.

SHELL := /bin/bash
PREFIX ?= /usr
# Another compiler cache or more jobs: make CMAKE_FLAGS=... NINJA_FLAGS=...
CMAKE_FLAGS ?=
NINJA_FLAGS ?=
# Options of guest/kernel/build.sh: make KERNEL_FLAGS="--fragment my.conf"
KERNEL_FLAGS ?=

.NOTPARALLEL:
.PHONY: all deps build run check unit sanitized vm-tests format tidy bench install clean

# The kernel is built meanwhile: each of the two leaves a processor idle at times.
all: deps build/build.ninja
	@guest/kernel/build.sh --output build/guest $(KERNEL_FLAGS) & kernel=$$!; \
	cmake --build --preset release --target executables -- $(NINJA_FLAGS) || { kill $$kernel; exit 1; }; \
	wait $$kernel
	@guest/initrd/build.sh --agent build/bin/kata-agent --output build/guest/kata-containers-initrd.img

deps:
	@packaging/install-packages.sh packaging/debian-packages.txt

build/build.ninja: | deps
	cmake --preset release $(CMAKE_FLAGS)

build: deps build/build.ninja
	cmake --build --preset release -- $(NINJA_FLAGS)

run: all
	@bench/demo.sh

check: format unit tidy sanitized vm-tests
	@tests/summary.sh build/test-results

unit: all build
	@tests/run-ctest.sh release unit

sanitized: deps
	cmake --preset asan-ubsan $(CMAKE_FLAGS)
	cmake --build --preset asan-ubsan -- $(NINJA_FLAGS)
	@tests/run-ctest.sh asan-ubsan unit

vm-tests: all build
	@tests/run-ctest.sh release vm

format: deps
	@tests/lint/format.sh
	@tests/lint/layers.py --self-test
	@tests/lint/layers.py

tidy: build
	@tests/lint/tidy.py build

bench: all
	@bench/run.py
	@bench/through_containerd.py

install: all
	DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"

clean:
	rm -rf build
