# SPDX-License-Identifier: Apache-2.0
# make        the executables in build/bin and the guest's files in build/guest
# make run    everything that is needed, then a container in a virtual machine of its own
# make check  every test but those of tests/suites, and what each stage took
# make bench  the figures of docs/SPECIFICATION.md
# make lab-smoke, lab-check   a few tests, or all of them, in a Debian host in QEMU, with systemd and kvm: tests/lab
# make install [DESTDIR=] [PREFIX=/usr]
# make kernel-full   the guest's kernel of the other flavour, build/guest/vmlinux-full; `make install` takes it along
#
# Parts: make build (the executables and the tests), unit (unit tests), sanitized (unit tests with sanitizers), vm-tests
# (tests that boot virtual machines), format (what reads the sources alone: clang-format, the layers, the names in the
# documents), tidy (clang-tidy), clean. docs/development.md has a table.

SHELL := /bin/bash
PREFIX ?= /usr
# Another compiler cache or more jobs: make CMAKE_FLAGS=... NINJA_FLAGS=...
CMAKE_FLAGS ?=
NINJA_FLAGS ?=
# Options of guest/kernel/build.sh: make KERNEL_FLAGS="--fragment my.conf"
KERNEL_FLAGS ?=

.NOTPARALLEL:
.PHONY: all kernel-full deps build run demo-needs check unit build-sanitized sanitized vm-tests format tidy bench lab-smoke
.PHONY: lab-check install clean

BUILD := cmake/build.py --ninja-flags="$(NINJA_FLAGS)"

all: deps build/build.ninja
	@$(BUILD) release --target executables --kernel build/guest --kernel-flags="$(KERNEL_FLAGS)"
	@guest/initrd/build.sh --agent build/bin/kata-agent --output build/guest/kata-containers-initrd.img

kernel-full: deps
	@guest/kernel/build.sh --flavour full --output build/guest $(KERNEL_FLAGS)

deps:
	@packaging/install-packages.sh packaging/debian-packages.txt

build/build.ninja: | deps
	cmake --preset release $(CMAKE_FLAGS)

build: deps build/build.ninja
	@$(BUILD) release

# What the demonstration needs is looked for before the build, which takes minutes.
run: demo-needs all
	@bench/demo.sh

demo-needs: deps
	@bench/demo.sh --check

check:
	@MAKE="$(MAKE)" tests/check.sh format all build unit tidy build-sanitized sanitized vm-tests

unit: all build
	@tests/run-ctest.sh release unit

build-sanitized: deps
	@cmake --preset asan-ubsan $(CMAKE_FLAGS)
	@$(BUILD) asan-ubsan

sanitized: build-sanitized
	@tests/run-ctest.sh asan-ubsan unit

vm-tests: all build
	@tests/run-ctest.sh release vm

format: deps
	@tests/lint/format.sh
	@tests/lint/layers.py --self-test
	@tests/lint/layers.py
	@tests/lint/promises.py

tidy: build
	@tests/lint/tidy.py build

bench: all
	@bench/run.py
	@bench/through_containerd.py
	@bench/files.py

lab-smoke: all build
	@tests/lab/run.sh --smoke

lab-check: all build
	@tests/lab/run.sh --suite bookworm --all; bookworm=$$?; tests/lab/run.sh --suite trixie --all && exit $$bookworm

install: all
	DESTDIR="$(DESTDIR)" cmake --install build --prefix "$(PREFIX)"

clean:
	rm -rf build
