#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a small root file system from this machine's own busybox: busybox.sh DIRECTORY
# Debian's dynamic busybox, since the static one runs its applets without execve(2), and so never as other programs.
set -euo pipefail
root=$1
mkdir -p "$root"/{bin,sbin,dev,etc,lib,lib64,proc,root,run,sys,tmp,usr/bin,usr/sbin,var/log,home/user}
chmod 1777 "$root/tmp"
cp /bin/busybox "$root/bin/busybox"
ldd /bin/busybox | grep -o '/[^ ]*' | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
busybox --list-full | while read -r applet; do
  mkdir -p "$root/$(dirname "$applet")"
  [ -e "$root/$applet" ] || ln -s /bin/busybox "$root/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n' >"$root/etc/group"
echo container >"$root/etc/hostname"
