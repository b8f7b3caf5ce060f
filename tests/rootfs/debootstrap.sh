#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a minimal Debian root file system with debootstrap: debootstrap.sh DIRECTORY [MIRROR]
# The mirror and the suite are this machine's own, unless MIRROR says otherwise.
set -euo pipefail
root=$1
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=${2:-$(apt-get indextargets --format '$(SITE) $(CODENAME)' "Created-By: Packages" |
  awk -v suite="$suite" '$2 == suite {print $1; exit}')}
mirror=${mirror:-http://deb.debian.org/debian}
debootstrap --variant=minbase "$suite" "$root" "$mirror" >&2
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
