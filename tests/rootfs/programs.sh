#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a Debian root file system with programs that ask much of a file system, for tests/integration/test_file_*.py:
# programs.sh DIRECTORY [MIRROR]. It has 600 MB, for which 150 MB are downloaded.
# The mirror and the suite are this machine's own, unless MIRROR says otherwise.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../packaging/steps.sh"
source "$(dirname "${BASH_SOURCE[0]}")/mirror.sh"
[ $# -ge 1 ] || fail "usage: programs.sh DIRECTORY [MIRROR]"
need debootstrap debootstrap && need apt-get apt && need awk mawk
needs_met
[ "$(id -u)" -eq 0 ] || fail "debootstrap makes device nodes and files of other users" "run it as root"
root=$1
# debootstrap takes what these depend on, and not what they recommend; of alternatives it takes the first.
packages=(
  git sqlite3 postgresql-15 redis-server nginx-light rsync acl attr stress-ng
  podman crun containernetworking-plugins # containers in the container
  busybox-static                          # what these contain
  curl                                    # asks nginx
  file                                    # a test removes and installs it
)

find_mirror "${2:-}"
step "debootstrap of $suite with ${packages[*]} from $mirror" \
  "look at $root/debootstrap/debootstrap.log, and whether $mirror can be reached"
included=$(IFS=, && echo "${packages[*]}")
debootstrap --variant=minbase --include="$included" "$suite" "$root" "$mirror" >&2

step "making $root smaller" "remove $root and try again"
# The archives of what a test installs stay: a package with scripts of its own, and one of more than a thousand files.
find "$root/var/cache/apt/archives" -name '*.deb' ! -name 'file_*' ! -name 'libmagic*' ! -name 'perl-modules-*' -delete
rm -rf "$root"/var/lib/apt/lists/*
# PostgreSQL goes without its compiler, and without the database that its package has made.
rm -rf "$root"/usr/lib/x86_64-linux-gnu/libLLVM* "$root"/usr/lib/postgresql/*/lib/{llvmjit*,bitcode}
rm -rf "$root"/var/lib/postgresql/* "$root"/etc/postgresql/*
