#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fails when a source file is not formatted as .clang-format says. --fix formats it.
set -euo pipefail
cd "$(dirname "$0")/../.."
source packaging/steps.sh
need clang-format-16 clang-format-16
needs_met
mode=(--dry-run --Werror)
[ "${1:-}" = --fix ] && mode=(-i)
step "comparing the sources with .clang-format" "tests/lint/format.sh --fix"
# Not what git lists: an unpacked release has no repository.
find bench guest src tests \( -name '*.cpp' -o -name '*.h' \) -print0 | xargs -0 clang-format-16 "${mode[@]}"
