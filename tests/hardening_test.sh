#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Reads back from the executables what cmake/KataBuild.cmake asks the compiler for: hardening_test.sh FILE...
set -euo pipefail

failed=0
complain() {
  echo "$1: $2" >&2
  failed=1
}

for file in "$@"; do
  [ -x "$file" ] || { complain "$file" "is missing; build it first (make)" && continue; }
  name=$(basename "$file")
  headers=$(readelf --wide --file-header --program-headers "$file")
  dynamic=$(readelf --wide --dynamic "$file")
  symbols=$(readelf --wide --dyn-syms "$file")
  code=$(objdump --disassemble --no-show-raw-insn "$file")
  grep -q 'Type: *DYN' <<<"$headers" || complain "$file" "is not position-independent (PIE)"
  grep -q GNU_RELRO <<<"$headers" || complain "$file" "has no RELRO segment"
  grep -Eq 'BIND_NOW|FLAGS_1.*NOW' <<<"$dynamic" || complain "$file" "does not bind at its start, so RELRO is partial"
  grep -q 'GNU_STACK.* RW ' <<<"$headers" || complain "$file" "has an executable stack"
  # The places where our code may be jumped to; libraries of Debian 12 have none, so the file's own note is not set.
  (($(grep -c endbr64 <<<"$code" || true) > 10)) || complain "$file" "has no endbr64 (-fcf-protection)"
  # What is only called when a check fails, by the text that it then prints.
  grep -aq 'stack smashing detected' "$file" || grep -q __stack_chk_fail <<<"$code" ||
    complain "$file" "has no stack protector"
  grep -aq 'buffer overflow detected' "$file" || grep -Eq '__[a-z]+_chk@' <<<"$symbols" ||
    complain "$file" "has no FORTIFY"
  # The stand-in is C with classes: it has no containers to assert, and no frame larger than a page.
  [ "$name" != kata-standin ] || continue
  grep -aq "__n < this->size()" "$file" || complain "$file" "has no _GLIBCXX_ASSERTIONS"
  grep -Eq 'orq? +\$0x0,\(%rsp\)' <<<"$code" || complain "$file" "does not probe large frames (-fstack-clash-protection)"
done
exit "$failed"
