#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a small root file system from a dynamic busybox of this machine (dynamic-busybox.sh): busybox.sh DIRECTORY
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../packaging/steps.sh"
[ $# -eq 1 ] || fail "usage: busybox.sh DIRECTORY"
need ldd libc-bin
needs_met
root=$1

step "finding a dynamic busybox"
busybox=$("$(dirname "${BASH_SOURCE[0]}")/dynamic-busybox.sh")
step "making the root file system $root from $busybox" "remove $root and try again; it must be on a disk with 5 MB free"
mkdir -p "$root"/{bin,sbin,dev,etc,lib,lib64,proc,root,run,sys,tmp,usr/bin,usr/sbin,var/log,home/user}
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
ldd "$busybox" | grep -o '/[^ ]*' | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
"$busybox" --list-full | while read -r applet; do
  mkdir -p "$root/$(dirname "$applet")"
  [ -e "$root/$applet" ] || ln -s /bin/busybox "$root/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n' >"$root/etc/group"
echo container >"$root/etc/hostname"
