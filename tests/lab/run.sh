#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs tests in the lab's machine of a suite of Debian, with what `make` has built; see README.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../packaging/steps.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
  cat <<'END'
run.sh [--suite NAME] [--results DIR] [--keep] [--minutes N] [--all | --smoke | TEST...]

  TEST           a file of tests/integration or tests/lab, or a part of one: exec, test_exec.py, exec.FlagsTest.test_user
  --all          every file of both, but those whose line `# lab:` names other suites, or none
  --smoke        tests/lab/test_smoke.py alone
  --suite NAME   bookworm or trixie (trixie)
  --results DIR  gets results.jsonl and the output of each file (build/lab/SUITE/DATE-TIME)
  --keep         leaves the machine running
  --minutes N    after which a file of tests counts as hanging (60)
END
}

suite=trixie results='' keep='' all='' minutes=60 tests=()
while [ $# -gt 0 ]; do
  case $1 in --suite | --results | --minutes) [ $# -gt 1 ] || { usage >&2 && exit 2; } ;; esac
  case $1 in
    --suite) suite=$2 && shift ;;
    --results) results=$2 && shift ;;
    --minutes) minutes=$2 && shift ;;
    --keep) keep=yes ;;
    --smoke) tests+=(smoke) ;;
    --all) all=yes ;;
    -h | --help) usage && exit ;;
    -*) usage >&2 && exit 2 ;;
    *) tests+=("$1") ;;
  esac
  shift
done
if [ -n "$all" ]; then
  for file in tests/lab/test_*.py tests/integration/test_*.py; do
    wanted=$(sed -n 's/^# lab: //p' "$file")
    [[ " ${wanted:-$suite} " != *" $suite "* ]] || tests+=("$(basename "$file")")
  done
fi
[ ${#tests[@]} -gt 0 ] || { usage >&2 && exit 2; }
results=${results:-build/lab/$suite/$(date +%Y%m%d-%H%M%S)}
lab() { tests/lab/lab-vm.sh --suite "$suite" "$@"; }

step "looking for what make has built" "make all build"
for file in build/bin/kata-runtime build/guest/vmlinux build/tests/files-suite; do need_file "$file"; done
needs_met
[ "$(id -u)" -eq 0 ] || fail "the files that the tests need belong to several users" "run it as root"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kata-containers
image=$cache/lab/$suite/disk.img
[ -f "$image" ] || lab build

step "putting together what the machine gets"
tree=$(mktemp -d "$cache/lab/files.XXXXXX")
end() {
  rm -rf "$tree"
  [ -d "$results" ] && cp "$(dirname "$image")/console.log" "$results/" # the next start begins it anew
  [ -n "$keep" ] || lab stop >/dev/null
}
trap end EXIT
mkdir -p "$tree/kata/build/tests" "$tree/.cache/kata-containers/rootfs"
git ls-files -z -co --exclude-standard | tar -c --null -T - --ignore-failed-read 2>/dev/null | tar -x -C "$tree/kata"
cp -a build/bin build/guest "$tree/kata/build/"
cp -a build/tests/files-* "$tree/kata/build/tests/"
# What the tests make once and keep is made here, where there is an archive and a faster machine.
(cd tests/integration && python=/usr/bin/python3 && PYTHONDONTWRITEBYTECODE=1 $python -c '
import containerd2, debian, rootfs
for name in ("containerd", "docker.io", "docker-cli"):
    debian.package(containerd2.SUITE, name)
debian.tree(containerd2.SUITE, "erofs-utils")
print(*(rootfs.template(name) for name in ("busybox", "debootstrap", "programs")))') >"$tree/templates"
read -ra templates <"$tree/templates"
rm "$tree/templates"
cp -a "${templates[@]}" "$tree/.cache/kata-containers/rootfs/"
cp -a "$cache/busybox" "$cache/debian" "$tree/.cache/kata-containers/"

mkdir -p "$results"
step "starting the machine" "look at console.log and qemu.log in $(dirname "$image")"
lab stop >/dev/null
lab --files "$tree" start
rm -rf "$tree"
# Over what root has already: the tests find everything where they look for it, and may write.
lab ssh "mkdir -p /var/lab/upper /var/lab/work /var/lab/root && cp -a /root/. /var/lab/root/ &&
  mount -t overlay -o lowerdir=/mnt/files:/var/lab/root,upperdir=/var/lab/upper,workdir=/var/lab/work overlay /root &&
  chmod 700 /root && rm -rf /root/lost+found"

step "the tests ${tests[*]}" "their output is in $results"
status=0
lab ssh "cd /root && PYTHONDONTWRITEBYTECODE=1 KATA_TEST_TIMEOUT=900 LAB_FILE_TIMEOUT=$((minutes * 60)) \
  python3 kata/tests/lab/inside.py /var/lab/results ${tests[*]@Q}" || status=$?
# 255 is ssh's own: the machine is gone, or has rebooted, which the tests do not survive.
if [ "$status" -eq 255 ]; then
  trap - ERR
  echo "FAILED   the machine was lost: the end of $results/console.log may say why"
  lab ssh true 2>/dev/null || exit 1
fi
lab ssh "tar -C /var/lab/results -c ." | tar -x -C "$results"
passed=$(grep -c '"result": "passed"' "$results/results.jsonl" || true)
failed=$(grep -cE '"(result|whole)": "FAILED"' "$results/results.jsonl" || true)
skipped=$(grep -c '"result": "skipped"' "$results/results.jsonl" || true)
echo "lab: $suite: $passed passed, $failed failed, $skipped skipped; $results"
[ "$status" -eq 0 ] || { trap - ERR && exit 1; }
