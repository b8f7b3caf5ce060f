#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the tests of one label: run-ctest.sh PRESET unit|vm. Keeps the result for summary.sh.
set -euo pipefail
preset=$1 label=$2
results=build/test-results
mkdir -p "$results"
jobs=2
[ "$label" = vm ] && jobs=1 # each boots virtual machines; side by side they would only slow each other down
ctest --preset "$preset" -L "^$label\$" -j "$jobs" --no-tests=error 2>&1 | tee "$results/$preset-$label.txt"
