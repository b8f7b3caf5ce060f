#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs one container in a virtual machine and shows it: its output, both kernels, and how long each phase took.
# --check looks only whether this machine has what that needs beside the build, which takes minutes.
set -euo pipefail
source "$(dirname "$0")/../packaging/steps.sh"
cd "$(dirname "$0")/.."
need python3 python3 && need qemu-system-x86_64 qemu-system-x86
needs_met
[ "$(id -u)" -eq 0 ] || fail "a container needs mounts, namespaces and cgroups" "run it as root"
step "finding a dynamic busybox for the root file system"
tests/rootfs/dynamic-busybox.sh >/dev/null
[ "${1:-}" != --check ] || exit 0

runtime=$PWD/build/bin/kata-runtime
for file in "$runtime" build/bin/kata-standin build/guest/vmlinux build/guest/kata-containers-initrd.img; do
  [ -e "$file" ] || fail "is not built: $file" "make"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bundle"
step "making the root file system"
tests/rootfs/busybox.sh "$work/bundle/rootfs"
cat >"$work/bundle/rootfs/bin/hello" <<'SCRIPT'
#!/bin/sh
echo "hello from a container: $(cat /etc/hostname), uid $(id -u), process $$"
echo "$(uname -r)" >/kernel
SCRIPT
chmod +x "$work/bundle/rootfs/bin/hello"
step "writing the bundle's config.json"
(cd "$work/bundle" && "$runtime" spec)
python3 - "$work/bundle/config.json" <<'SCRIPT'
import json, sys
path = sys.argv[1]
spec = json.load(open(path))
spec["process"]["args"] = ["/bin/hello"]
spec["process"]["terminal"] = False
spec["root"]["readonly"] = False
json.dump(spec, open(path, "w"))
SCRIPT

echo "-- the container prints:"
step "running the container" "build/bin/kata-runtime check says whether and how this machine can run guests"
"$runtime" --root "$work/state" run --keep --bundle "$work/bundle" demo
step "showing what ran"
echo "-- kernels:"
printf '   host  %s\n   guest %s\n' "$(uname -r)" "$(cat "$work/bundle/rootfs/kernel")"
echo "-- phases of the start (ms):"
python3 - "$work/state/demo/state.json" <<'SCRIPT'
import json, sys
for phase, microseconds in json.load(open(sys.argv[1])).get("timing", {}).items():
    print(f"   {phase:24} {microseconds / 1000:10.1f}")
SCRIPT
step "deleting the container"
"$runtime" --root "$work/state" delete demo
