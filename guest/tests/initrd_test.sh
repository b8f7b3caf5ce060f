#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# initrd_test.sh: what guest/initrd/build.sh promises. Needs no root and no kernel.
# shellcheck disable=SC2317 # the functions are called by name, through check
set -euo pipefail

guest=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$guest/../packaging/steps.sh"
need cc gcc && need cpio cpio && need gzip gzip && need zstd zstd
needs_met
build=$guest/initrd/build.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        printf 'ok: %s\n' "$name"
    else
        printf 'FAIL: %s\n' "$name"
        sed 's/^/    /' "$work/said"
        failures=$((failures + 1))
    fi
}

# The command fails, and what it says has the words.
refuses() { # WORDS COMMAND...
    local words=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo "succeeded, and should not have: $*"
        return 1
    fi
    printf '%s\n' "$said"
    grep -qF -- "$words" <<<"$said"
}

lists() { # ARCHIVE LINE-PATTERN
    local listing
    listing=$(cpio -itv --quiet <"$1")
    printf '%s\n' "$listing"
    grep -qE -- "$2" <<<"$listing"
}

printf 'int main(void) { return 0; }\n' >"$work/agent.c"
cc -static -s -o "$work/agent" "$work/agent.c"
cc -o "$work/dynamic" "$work/agent.c"

"$build" --agent "$work/agent" --output "$work/1" --compress none >/dev/null
sleep 1.1 # so that times differ, were they written
cp "$work/agent" "$work/agent2"
(umask 077 && "$build" --agent "$work/agent2" --output "$work/2" --compress none >/dev/null)
check "two builds are the same bytes" cmp "$work/1" "$work/2"
for method in gzip zstd; do
    "$build" --agent "$work/agent" --output "$work/a.$method" --compress "$method" >/dev/null
    "$build" --agent "$work/agent" --output "$work/b.$method" --compress "$method" >/dev/null
    check "two builds are the same bytes ($method)" cmp "$work/a.$method" "$work/b.$method"
done

check "the agent is /init, owned by root" lists "$work/1" '^-rwxr-xr-x +1 root +root .* init$'
check "/dev/console is there" lists "$work/1" '^crw------- .* 5, +1 .* dev/console$'
check "/proc is there" lists "$work/1" '^dr-xr-xr-x .* proc$'
check "no shell by default" refuses '' lists "$work/1" 'bin/'

mkdir -p "$work/tree/inner"
echo one >"$work/tree/inner/file"
chmod 0640 "$work/tree/inner/file"
ln -s inner/file "$work/tree/link"
"$build" --agent "$work/agent" --output "$work/3" --compress none \
    --add "$work/tree:/opt/tree" --add "$work/agent:/usr/bin/tool" >/dev/null
check "--add: a file in a directory keeps its mode" lists "$work/3" '^-rw-r----- .* opt/tree/inner/file$'
check "--add: a link stays a link" lists "$work/3" '^l.* opt/tree/link -> inner/file$'
check "--add: directories above are made" lists "$work/3" '^drwxr-xr-x .* usr/bin$'
check "--add: without a source" refuses "cannot read $work/none" \
    "$build" --agent "$work/agent" --output "$work/4" --add "$work/none:/x"
check "--add: without a destination" refuses 'not SRC:DEST' \
    "$build" --agent "$work/agent" --output "$work/4" --add "$work/tree"
check "--add: over something else" refuses '/init is there twice' \
    "$build" --agent "$work/agent" --output "$work/4" --add "$work/agent:/init"

check "a missing agent" refuses "the agent does not exist: $work/none" \
    "$build" --agent "$work/none" --output "$work/4"
check "a dynamic agent" refuses 'the agent is not static' \
    "$build" --agent "$work/dynamic" --output "$work/4"
head -c 3000000 /dev/urandom >"$work/big"
chmod 0755 "$work/big"
check "an agent that is too large" refuses 'too large' \
    "$build" --agent "$work/big" --output "$work/4"
check "nothing is left by a failure" test -z "$(compgen -G "$work/4"; compgen -G "$work/.initrd.*")"
check "an unknown option" refuses 'unknown option: --nonsense' "$build" --nonsense

exit $((failures > 0))
