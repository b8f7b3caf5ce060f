#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The agent's promises about its file: static, stripped, and at most 2.7 MB.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../../packaging/steps.sh"
need readelf binutils
needs_met
agent=$1
limit=$((2700 * 1000))

step "reading the ELF file $agent" "build it: make"
headers=$(readelf --program-headers --dynamic --wide "$agent")
! grep -Eq 'INTERP|\(NEEDED\)' <<<"$headers" || fail "$agent asks for a dynamic loader or a library"
sections=$(readelf --section-headers --wide "$agent")
! grep -Eq '\.symtab|\.debug_' <<<"$sections" || fail "$agent is not stripped"
size=$(stat -c %s "$agent")
((size <= limit)) || fail "$agent has $size bytes, and $limit is the limit"
printf '%s: static, stripped, %d bytes\n' "$agent" "$size"
