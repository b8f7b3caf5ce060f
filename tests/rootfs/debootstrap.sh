#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a minimal Debian root file system with debootstrap: debootstrap.sh DIRECTORY [MIRROR]
# The mirror and the suite are this machine's own, unless MIRROR says otherwise.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../packaging/steps.sh"
source "$(dirname "${BASH_SOURCE[0]}")/mirror.sh"
[ $# -ge 1 ] || fail "usage: debootstrap.sh DIRECTORY [MIRROR]"
need debootstrap debootstrap && need apt-get apt && need awk mawk
needs_met
[ "$(id -u)" -eq 0 ] || fail "debootstrap makes device nodes and files of other users" "run it as root"
root=$1

find_mirror "${2:-}"
step "debootstrap of $suite from $mirror" "look at $root/debootstrap/debootstrap.log, and whether $mirror can be reached"
debootstrap --variant=minbase "$suite" "$root" "$mirror" >&2
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
