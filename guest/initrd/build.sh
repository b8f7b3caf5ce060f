#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the guest's initramfs: the agent as /init, and the few directories that it mounts things on.
# The same inputs give the same bytes, and no root is needed: the archive is written, not copied
# from a tree with device nodes in it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../packaging/steps.sh"
agent=
output=
# Measured: under tcg a guest is up sooner when it has nothing to unpack.
compress=none
add=()
# The promise of docs/SPECIFICATION.md. What a user adds is the user's affair.
limit=$((2700 * 1000))

usage() {
    cat <<EOF
usage: build.sh --agent PATH --output FILE [option...]

  --agent PATH          the static kata-agent, which becomes /init
  --output FILE         the initramfs
  --add SRC:DEST        one more file, link or directory (with what is in it), at DEST in the guest;
                        modes are kept, owners become root; a dynamic program needs its libraries
                        added too; may be repeated
  --compress METHOD     none, gzip or zstd (default $compress)
EOF
}

while (($#)); do
    case $1 in
    --help | -h) usage && exit 0 ;;
    --agent | --output | --add | --compress) (($# >= 2)) || fail "$1 needs a value" ;;
    *) usage >&2 && fail "unknown option: $1" ;;
    esac
    case $1 in
    --agent) agent=$2 ;;
    --output) output=$2 ;;
    --add) add+=("$2") ;;
    --compress) compress=$2 ;;
    esac
    shift 2
done
[[ -n $agent ]] || fail "--agent is missing"
[[ -n $output ]] || fail "--output is missing"
case $compress in
none) compressor=(cat) ;;
gzip) compressor=(gzip --best --no-name) ;;
zstd) compressor=(zstd -19 --quiet --no-progress) ;;
*) fail "--compress: none, gzip or zstd, not $compress" ;;
esac
need python3 python3 && need readelf binutils && need "${compressor[0]}" "${compressor[0]}"
needs_met
[[ -f $agent ]] || fail "the agent does not exist: $agent" "build it: make"
[[ -x $agent ]] || fail "the agent is not executable: $agent" "chmod +x $agent"
# A dynamic agent would only say "no init found", and that in the guest.
if [[ $(readelf --program-headers "$agent" 2>/dev/null) == *INTERP* ]]; then
    fail "the agent is not static: $agent asks for a dynamic loader, and the guest has none"
fi

step "writing $output" "look whether the directory can be written to, and whether the disk is full"
mkdir -p "$(dirname "$output")"
new=$(mktemp "$(dirname "$output")/.initrd.XXXXXX")
trap 'rm -f "$new"' EXIT
python3 "$here/cpio.py" "$agent:/init" ${add[@]+"${add[@]}"} | "${compressor[@]}" >"$new"

size=$(stat -c %s "$new")
if ((${#add[@]} == 0 && size > limit)); then
    fail "too large: $size bytes, and $limit is the limit; is the agent stripped? ($agent; --compress zstd makes the file smaller)"
fi
chmod 0644 "$new"
mv "$new" "$output"
printf 'guest initrd: %s, %d bytes\n' "$output" "$size"
