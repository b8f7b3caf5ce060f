#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The agent's promises about its file: static, stripped, and at most 2.7 MB.
set -euo pipefail

agent=$1
limit=$((2700 * 1000))

fail() {
    printf '%s: %s\n' "$agent" "$*" >&2
    exit 1
}

headers=$(readelf --program-headers --dynamic --wide "$agent")
! grep -Eq 'INTERP|\(NEEDED\)' <<<"$headers" || fail "asks for a dynamic loader or a library"
sections=$(readelf --section-headers --wide "$agent")
! grep -Eq '\.symtab|\.debug_' <<<"$sections" || fail "is not stripped"
size=$(stat -c %s "$agent")
((size <= limit)) || fail "has $size bytes, and $limit is the limit"
printf '%s: static, stripped, %d bytes\n' "$agent" "$size"
