#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the stages of `make check` one after the other: check.sh STAGE... Closes with what each took and how it ended,
# and one line for all tests: N passed, N failed. After a stage that fails the others still run, except for those that
# test what could not be built.
set -euo pipefail
cd "$(dirname "$0")/.."
source packaging/steps.sh
need "${MAKE:-make}" make
needs_met
results=build/test-results
step "clearing $results" "make clean, as the user who built it"
rm -rf "$results"
mkdir -p "$results"

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# ctest's own closing line: "97% tests passed, 3 tests failed out of 117"
counts() { sed -n 's/.* tests passed, \([0-9]*\) tests failed out of \([0-9]*\)/\1 \2/p' "$1"; }

step "running the stages"
passed=0 failed=0 rows=() not_built=
for stage in "$@"; do
  if [ "$stage" = "$not_built" ]; then
    rows+=("$(printf '%-16s %8s  %s' "$stage" - "not run: it was not built")")
    continue
  fi
  echo "== $stage"
  start=$SECONDS
  status=0
  KATA_STAGE=$stage "${MAKE:-make}" --no-print-directory "$stage" || status=$?
  bad=0 all=0
  [ ! -e "$results/$stage.txt" ] || read -r bad all < <(counts "$results/$stage.txt") || true
  passed=$((passed + all - bad)) failed=$((failed + bad))
  # What failed without a test that did: a build, a finding, a program that is missing.
  [ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || failed=$((failed + 1))
  result=passed tests=
  [ "$status" -eq 0 ] || result=FAILED
  [ "$all" -eq 0 ] || tests="$((all - bad)) of $all tests"
  rows+=("$(printf '%-16s %8s  %-8s%s' "$stage" "$(clock $((SECONDS - start)))" $result "$tests")")
  [ "$status" -ne 0 ] || continue
  case $stage in
    all | build) break ;;  # what all others need
    build-*) not_built=${stage#build-} ;;
  esac
done

echo
printf '%-16s %8s  %s\n' stage minutes result
printf '%s\n' "${rows[@]}"
printf '%-16s %8s\n' together "$(clock $SECONDS)"
echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] || { trap - ERR && exit 1; }
