#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a busybox that is a dynamic executable: this machine's, or where busybox-static is installed
# (Debian's two packages exclude each other) that of the package busybox, unpacked into a cache and installed nowhere.
# The static one will not do for a container: it runs its applets without execve(2), and so never as other programs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../packaging/steps.sh"
need ldd libc-bin
needs_met

# Not by a pipe into grep -q: that ends at the first match, and ldd, which writes on, would fail by SIGPIPE at times.
is_dynamic() { [ -x "$1" ] && [[ $(ldd "$1" 2>/dev/null) == *libc.so* ]]; }

# KATA_BUSYBOX in the environment goes first: for a machine without a network.
own=${KATA_BUSYBOX:-/bin/busybox}
if is_dynamic "$own"; then
  echo "$own"
  exit 0
fi
[ -z "${KATA_BUSYBOX:-}" ] || fail "KATA_BUSYBOX is no dynamic executable: $own" "name that of Debian's package busybox"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/kata-containers/busybox
busybox=$cache/bin/busybox
if ! is_dynamic "$busybox"; then
  need apt-get apt && need dpkg-deb dpkg
  needs_met
  help="connect this machine to its mirror and run apt-get update, or name a dynamic busybox with KATA_BUSYBOX=PATH"
  step "downloading the package busybox, since $own is no dynamic executable" "$help"
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  download() { (cd "$work" && apt-get download busybox); }
  if ! said=$(download 2>&1); then
    # A machine that has just been made has no lists of packages, and only root may get them.
    [ "$(id -u)" -ne 0 ] || apt-get update -qq >&2
    said=$(download 2>&1) || fail "$steps_now: $said" "$help"
  fi
  step "unpacking the package busybox into $cache" "remove $cache and try again"
  dpkg-deb --extract "$work"/busybox_*.deb "$work/tree"
  is_dynamic "$work/tree/bin/busybox" || fail "the package busybox has no dynamic /bin/busybox for this machine" "$help"
  mkdir -p "$cache/bin"
  mv "$work/tree/bin/busybox" "$busybox"
fi
echo "$busybox"
