#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# merge-config.sh SOURCE-TREE FRAGMENT...
#
# Writes SOURCE-TREE/.config: nothing but what the fragments ask for, a later fragment winning over
# an earlier one. Kconfig drops in silence a symbol whose dependencies are off; a request that was
# dropped is an error here, and every one of them is named.
set -euo pipefail

fail() {
    printf 'guest kernel: %s\n' "$*" >&2
    exit 1
}

(($# >= 2)) || fail "usage: merge-config.sh SOURCE-TREE FRAGMENT..."
tree=$1
shift

# One line a symbol, as NAME=VALUE; `# CONFIG_X is not set` counts as n.
requests=$(awk '
    function set(name, value) { if (!(name in last)) order[++count] = name; last[name] = value }
    /^CONFIG_[A-Za-z0-9_]+=m$/ {
        printf "%s:%d: %s: modules are not built; ask for =y\n", FILENAME, FNR, $0 > "/dev/stderr"
        bad = 1; next
    }
    /^CONFIG_[A-Za-z0-9_]+=./          { at = index($0, "="); set(substr($0, 1, at - 1), substr($0, at + 1)); next }
    /^# CONFIG_[A-Za-z0-9_]+ is not set$/ { set($2, "n"); next }
    /^[ \t]*(#|$)/                     { next }
    {
        printf "%s:%d: not a line of a kernel configuration: %s\n", FILENAME, FNR, $0 > "/dev/stderr"
        bad = 1
    }
    END { if (bad) exit 1; for (i = 1; i <= count; i++) print order[i] "=" last[order[i]] }
' "$@") || fail "a fragment cannot be used (see above)"

printf '%s\n' "$requests" >"$tree/.requests"
if ! report=$(make -s -C "$tree" KCONFIG_ALLCONFIG=.requests allnoconfig 2>&1); then
    fail "make allnoconfig failed:"$'\n'"$report"
fi

# Compare each request with what Kconfig made of it.
dropped=$(awk '
    NR == FNR {
        if ($0 ~ /^CONFIG_/) { at = index($0, "="); final[substr($0, 1, at - 1)] = substr($0, at + 1) }
        next
    }
    {
        at = index($0, "="); name = substr($0, 1, at - 1); wanted = substr($0, at + 1)
        got = (name in final) ? final[name] : "n"
        if (got != wanted) print name, wanted, got
    }
' "$tree/.config" "$tree/.requests")
[[ -z $dropped ]] && exit 0

while read -r name wanted got; do
    if ! grep -rqE --include='Kconfig*' "^[[:space:]]*(menu)?config ${name#CONFIG_}\$" "$tree"; then
        why="this kernel has no such symbol"
    elif [[ $wanted == n ]]; then
        why="another symbol selects it"
    else
        why="something that it depends on is off"
    fi
    printf 'guest kernel: %s: asked for %s, got %s: %s\n' "$name" "$wanted" "$got" "$why" >&2
done <<<"$dropped"
fail "$(wc -l <<<"$dropped") requested symbol(s) did not reach the final configuration"
