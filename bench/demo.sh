#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs one container in a virtual machine and shows it: its output, both kernels, and how long each phase took.
set -euo pipefail
cd "$(dirname "$0")/.."
runtime=$PWD/build/bin/kata-runtime

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bundle"
tests/rootfs/busybox.sh "$work/bundle/rootfs"
cat >"$work/bundle/rootfs/bin/hello" <<'SCRIPT'
#!/bin/sh
echo "hello from a container: $(cat /etc/hostname), uid $(id -u), process $$"
echo "$(uname -r)" >/kernel
SCRIPT
chmod +x "$work/bundle/rootfs/bin/hello"
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
"$runtime" --root "$work/state" run --keep --bundle "$work/bundle" demo
echo "-- kernels:"
printf '   host  %s\n   guest %s\n' "$(uname -r)" "$(cat "$work/bundle/rootfs/kernel")"
echo "-- phases of the start (ms):"
python3 - "$work/state/demo/state.json" <<'SCRIPT'
import json, sys
for phase, microseconds in json.load(open(sys.argv[1])).get("timing", {}).items():
    print(f"   {phase:24} {microseconds / 1000:10.1f}")
SCRIPT
"$runtime" --root "$work/state" delete demo
