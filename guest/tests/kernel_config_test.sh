#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# kernel_config_test.sh: no request of a fragment is lost in silence. Configures, compiles nothing.
set -euo pipefail

guest=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$guest/../packaging/steps.sh"
need make make && need gcc gcc && need flex flex && need bison bison && need xz xz-utils
need_file /usr/src/linux-source-6.1.tar.xz linux-source-6.1
needs_met
build=$guest/kernel/build.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

step "unpacking what configuring the kernel reads" "look whether $work has room"
# Of the kernel's source, only what configuring it reads.
mkdir "$work/tree"
tar -C "$work/tree" -xf /usr/src/linux-source-6.1.tar.xz --strip-components=1 --wildcards \
    '*/Kconfig*' '*/Makefile*' '*/Kbuild*' '*/scripts/*' '*/arch/x86/*.sh' '*/arch/x86/entry/syscalls/*'
# The list of themes is build.sh's; its words name only $machine.
themes=$(sed -n 's/^for theme in \(.*\); do$/\1/p' "$build" | sed "s/\"\$machine\"/$(uname -m)/")
[[ -n $themes && $themes != *\$* ]] || { echo "FAIL: build.sh has no list of themes" && exit 1; }
ours=()
for theme in $themes; do
    ours+=("$guest/kernel/fragments/$theme.conf")
done

fragment() { printf '%s\n' "$@" >"$work/user.conf"; }
configure() { "$guest/kernel/merge-config.sh" "$work/tree" "${ours[@]}" "$work/user.conf" >"$work/said" 2>&1; }

says() { # NAME WORDS...: the last configuration failed and named what it should
    local name=$1 words
    shift
    for words in "$@"; do
        if ! grep -qF -- "$words" "$work/said"; then
            printf 'FAIL: %s: nothing about "%s" in:\n' "$name" "$words"
            sed 's/^/    /' "$work/said"
            failures=$((failures + 1))
            return
        fi
    done
    printf 'ok: %s\n' "$name"
}

expect_failure() {
    configure || return 0
    printf 'FAIL: a configuration was accepted:\n'
    sed 's/^/    /' "$work/user.conf"
    failures=$((failures + 1))
}

# Both flavours: every request is met, each by a kernel that says so in its name.
fragment
if configure && cp "$work/tree/.config" "$work/minimal"; then
    echo 'ok: the flavour minimal'
else
    echo 'FAIL: the flavour minimal' && sed 's/^/    /' "$work/said"
    failures=$((failures + 1))
fi
cp "$guest/kernel/fragments/full.conf" "$work/user.conf"
if configure && grep -qx 'CONFIG_LOCALVERSION="-kata-full"' "$work/tree/.config"; then
    echo 'ok: the flavour full'
else
    echo 'FAIL: the flavour full' && sed 's/^/    /' "$work/said"
    failures=$((failures + 1))
fi
# What stands in both would be taken from minimal unnoticed.
if twice=$(grep -Fxf <(grep '=y$' "$work/minimal") "$guest/kernel/fragments/full.conf"); then
    printf 'FAIL: full.conf asks for what minimal has:\n%s\n' "$twice"
    failures=$((failures + 1))
fi

# One run shows every kind of loss.
fragment 'CONFIG_NO_SUCH_THING=y' 'CONFIG_NFSD_V4=y' '# CONFIG_CRYPTO is not set'
expect_failure
says "a symbol that the kernel does not have" 'CONFIG_NO_SUCH_THING: asked for y, got n: this kernel has no such symbol'
says "a symbol whose dependency is off" 'CONFIG_NFSD_V4: asked for y, got n: something that it depends on is off'
says "a symbol that another one selects" 'CONFIG_CRYPTO: asked for n, got y'

fragment 'CONFIG_BTRFS_FS=m' 'CONFIG BTRFS'
expect_failure
says "a module" "$work/user.conf:1" 'modules are not built'
says "a line that is none" "$work/user.conf:2" 'not a line of a kernel configuration'

fragment 'CONFIG_BLK_DEV_NVME=y' '# CONFIG_VXLAN is not set' 'CONFIG_NR_CPUS=64'
if configure && grep -qx 'CONFIG_BLK_DEV_NVME=y' "$work/tree/.config" &&
    grep -qx 'CONFIG_NR_CPUS=64' "$work/tree/.config" &&
    ! grep -q '^CONFIG_VXLAN=' "$work/tree/.config"; then
    echo 'ok: a user fragment adds, takes away and overrides'
else
    echo 'FAIL: a user fragment adds, takes away and overrides'
    sed 's/^/    /' "$work/said"
    failures=$((failures + 1))
fi

if "$build" --output "$work/out" --fragment "$work/none" >"$work/said" 2>&1; then
    failures=$((failures + 1))
fi
says "a fragment that does not exist" "fragment cannot be read: $work/none"

if "$build" --output "$work/out" --flavour large >"$work/said" 2>&1; then
    failures=$((failures + 1))
fi
says "a flavour that does not exist" 'not minimal or full: large'

if "$build" --output "$work/out" --source "$work/none" >"$work/said" 2>&1; then
    failures=$((failures + 1))
fi
says "a kernel source that is missing" 'apt-get install linux-source-6.1'

exit $((failures > 0))
