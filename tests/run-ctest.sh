#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests of one label: run-ctest.sh PRESET unit|vm. Keeps the result for check.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
source packaging/steps.sh
[ $# -eq 2 ] || fail "usage: run-ctest.sh PRESET unit|vm"
need ctest cmake
needs_met
[ "$(id -u)" -eq 0 ] || fail "the tests mount, make namespaces and start processes of other users" "run them as root"
preset=$1 label=$2
results=build/test-results
mkdir -p "$results"
step "tests $label, preset $preset" "one alone, with its output: ctest --preset $preset -R '^NAME\$' --verbose"
ctest --preset "$preset" -L "^$label\$" -j 2 --no-tests=error 2>&1 |
  tee "$results/${KATA_STAGE:-$preset-$label}.txt"
