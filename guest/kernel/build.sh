#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the guest kernel from the distribution's kernel source and the fragments beside this file.
# The result is kept in a cache under a hash of everything that goes into it, so a second build of
# the same inputs only copies files.
set -euo pipefail
shopt -s nullglob

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../packaging/steps.sh"
source_tarball=/usr/src/linux-source-6.1.tar.xz
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kata-containers/kernel
output=
flavour=minimal
jobs=$(nproc)
extra_fragments=()
config_only=false

usage() {
    cat <<EOF
usage: build.sh --output DIR [option...]

  --output DIR      where vmlinux, bzImage and kernel-config go
  --flavour NAME    minimal (default), or full: with fragments/full.conf, and -full after the names of the files
  --fragment FILE   one more configuration fragment, after ours; may be repeated
  --cache DIR       where builds are kept (default $cache)
  --source FILE     the kernel source, a .tar.xz (default $source_tarball)
  --jobs N          compilers at a time (default $jobs)
  --config-only     only make and check the configuration, and write kernel-config
EOF
}

say() { printf 'guest kernel: %s\n' "$*"; }

while (($#)); do
    case $1 in
    --config-only) config_only=true && shift && continue ;;
    --help | -h) usage && exit 0 ;;
    --output | --flavour | --fragment | --cache | --source | --jobs) (($# >= 2)) || fail "$1 needs a value" ;;
    *) usage >&2 && fail "unknown option: $1" ;;
    esac
    case $1 in
    --output) output=$2 ;;
    --flavour) flavour=$2 ;;
    --fragment) extra_fragments+=("$2") ;;
    --cache) cache=$2 ;;
    --source) source_tarball=$2 ;;
    --jobs) jobs=$2 ;;
    esac
    shift 2
done
[[ -n $output ]] || fail "--output is missing"
[[ $flavour == minimal || $flavour == full ]] || fail "--flavour: not minimal or full: $flavour"
[[ $jobs =~ ^[1-9][0-9]*$ ]] || fail "--jobs: not a number of jobs: $jobs"

for program in make flex bison bc patch zstd; do
    need "$program" "$program"
done
need "${CC:-gcc}" gcc && need strip binutils && need xz xz-utils && need flock util-linux
need_file /usr/include/gelf.h libelf-dev && need_file "$source_tarball" linux-source-6.1
needs_met

machine=$(uname -m)
[[ -e $here/fragments/$machine.conf ]] || fail "no fragment for $machine: fragments/$machine.conf does not exist"
fragments=()
for theme in base "$machine" virtio filesystems network netfilter containers; do
    fragments+=("$here/fragments/$theme.conf")
done
suffix=
if [[ $flavour == full ]]; then
    suffix=-full
    fragments+=("$here/fragments/full.conf")
fi
for fragment in ${extra_fragments[@]+"${extra_fragments[@]}"}; do
    [[ -r $fragment ]] || fail "fragment cannot be read: $fragment"
    fragments+=("$fragment")
done
patches=("$here"/patches/*.patch)

# The key: every input by content (never by name or date), and the compiler by its version.
key=$({
    sha256sum <"$source_tarball"
    cat "${fragments[@]}" ${patches[@]+"${patches[@]}"} "$here/merge-config.sh" "$here/build.sh" | sha256sum
    "${CC:-gcc}" --version | head -n 1
    ld --version | head -n 1
} | sha256sum | cut -c 1-16)

publish() {
    mkdir -p "$output"
    local file
    for file in vmlinux bzImage kernel-config; do
        # Not rewritten when it is the same, so that what depends on it is not rebuilt.
        cmp -s "$cache/$key/$file" "$output/$file$suffix" && continue
        cp "$cache/$key/$file" "$output/.$file.new" && mv "$output/.$file.new" "$output/$file$suffix"
    done
}

step "taking the lock of the cache $cache" "name another cache: KERNEL_FLAGS='--cache DIR'"
mkdir -p "$cache"
exec {lock}>"$cache/$key.lock"
if ! flock --nonblock "$lock"; then
    say "another build of the same kernel is running; waiting for it"
    flock "$lock"
fi
if [[ -d $cache/$key ]] && ! $config_only; then
    step "copying $cache/$key to $output"
    publish
    say "unchanged, taken from $cache/$key"
    exit 0
fi

# The lock is ours: whatever a killed build left under this name may go.
work=$cache/.build-$key
rm -rf "$work"
trap 'rm -rf "$work"' EXIT
mkdir "$work"

SECONDS=0
clock() { printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); }

step "unpacking $source_tarball" "look whether $cache has 2 GB free; else: apt-get install --reinstall linux-source-6.1"
say "unpacking $(basename "$source_tarball")"
# Left out, to save disk traffic: pages for people, the kernel's tests, other machines, and what our fragments switch off.
unneeded=('Documentation/[a-z]*' tools/testing tools/perf 'lib/test_fortify/*.c' 'arch/[!x]*/*.[chS]')
if ((${#extra_fragments[@]} == 0)); then
    unneeded+=('drivers/gpu/*.[ch]' 'drivers/media/*.[ch]' 'drivers/net/ethernet/*.[ch]' 'drivers/net/wireless/*.[ch]' 'drivers/staging/*.[ch]' 'sound/*.[ch]')
fi
tar -C "$work" -xf "$source_tarball" --strip-components=1 "${unneeded[@]/#/--exclude=*/}"
for patch in "${patches[@]}"; do
    patch -d "$work" -p1 --silent <"$patch" || fail "does not apply: $patch"
done

# Whatever the caller's make or environment says about architectures and flags stays outside, and
# so does everything that would make two builds of the same inputs differ.
unset MAKEFLAGS MFLAGS MAKELEVEL ARCH CROSS_COMPILE KCFLAGS KAFLAGS
export LC_ALL=C KBUILD_BUILD_USER=kata KBUILD_BUILD_HOST=kata KBUILD_BUILD_VERSION=1
KBUILD_BUILD_TIMESTAMP=$(date -u -R -r "$work/Makefile")
export KBUILD_BUILD_TIMESTAMP

step "making the configuration" "the lines above name each symbol; guest/kernel/README.md says how fragments work"
"$here/merge-config.sh" "$work" "${fragments[@]}"
if $config_only; then
    mkdir -p "$output"
    cp "$work/.config" "$output/kernel-config$suffix"
    exit 0
fi

# From one kernel to the next mostly a patch differs: ccache, if it is there, has the objects of all other files.
[[ -n ${CC:-} || ! -d /usr/lib/ccache ]] || PATH=/usr/lib/ccache:$PATH

log=$cache/$key.log
say "compiling with $jobs job(s); log: $log"
step "compiling the kernel" "see the end of $log"
begin=$SECONDS
make -C "$work" -j "$jobs" ${CC:+"CC=$CC"} vmlinux bzImage >"$log" 2>&1 &
compile=$!
trap 'kill "$compile" 2>/dev/null || true; wait "$compile" 2>/dev/null || true; rm -rf "$work"' EXIT

# How many files there are is known from earlier builds; a user's fragment may add some.
expected=2138
[[ $flavour == minimal ]] || expected=2771
compiled() { grep -cE '^  (CC|AS) ' "$log" || true; }
progress() {
    local files percent left=
    files=$(compiled)
    percent=$((100 * files / expected))
    ((percent < 100)) || percent=99
    ((percent < 1)) || left=", about $(clock $(((SECONDS - begin) * (100 - percent) / percent))) left"
    printf 'compiled %d of about %d files: %d %%, %s%s' "$files" "$expected" "$percent" "$(clock "$SECONDS")" "$left"
}
ticks=0
while kill -0 "$compile" 2>/dev/null; do
    sleep 1
    if [[ -t 1 ]]; then
        printf '\rguest kernel: %s\033[K' "$(progress)"
    elif ((++ticks % 10 == 0)); then
        say "$(progress)"
    fi
done
[[ -t 1 ]] && printf '\n'
if ! wait "$compile"; then
    tail -n 30 "$log" >&2
    fail "the build failed; the whole log is $log" "look for its first error; a full disk and memory that is short show there"
fi
files=$(compiled)

step "keeping the result in $cache/$key" "look whether that disk is full"
# Symbols are for debuggers; the PVH note that QEMU looks for is in a segment, and stays.
mkdir "$work/result"
strip --strip-all -o "$work/result/vmlinux" "$work/vmlinux"
cp "$work/arch/x86/boot/bzImage" "$work/result/bzImage"
cp "$work/.config" "$work/result/kernel-config"
mv "$work/result" "$cache/$key"
publish
say "built $(make -s -C "$work" kernelrelease) from $files files in $(clock "$SECONDS")"
