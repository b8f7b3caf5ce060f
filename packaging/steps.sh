# SPDX-License-Identifier: Apache-2.0
# For scripts to source: what they need is looked for at their beginning, and every failure names its step and the cure.
#
#   need PROGRAM PACKAGE...  notes what is missing here; `need_file FILE PACKAGE...` the same for a file
#   needs_met                fails when something is missing, and names all of it
#   step WHAT [CURE]         what is done from here on, and what helps when it fails
#   fail WORDS [CURE]        ends the script
#
# shellcheck shell=bash
set -E # the trap below holds in functions and subshells too

steps_name=$(basename "$(dirname "$(realpath "$0")")")/$(basename "$0")
steps_now="its beginning"
steps_cure=
steps_missing=()
steps_packages=()

step() {
  steps_now=$1
  steps_cure=${2:-}
}

fail() {
  trap - ERR
  printf '%s: %s\n' "$steps_name" "$1" >&2
  [ -z "${2:-}" ] || printf '  cure: %s\n' "$2" >&2
  exit 1
}

steps_failed() { # STATUS LINE COMMAND
  trap - ERR
  # A subshell that failed has said this already.
  if [ "$BASH_SUBSHELL" -eq 0 ]; then
    printf '%s: failed at the step: %s (line %d, status %d: %s)\n' "$steps_name" "$steps_now" "$2" "$1" "$3" >&2
    [ -z "$steps_cure" ] || printf '  cure: %s\n' "$steps_cure" >&2
  fi
  exit "$1"
}
trap 'steps_failed $? $LINENO "$BASH_COMMAND"' ERR

need() {
  command -v "$1" >/dev/null || { steps_missing+=("$1") && steps_packages+=("${@:2}"); }
}

need_file() {
  [ -e "$1" ] || { steps_missing+=("$1") && steps_packages+=("${@:2}"); }
}

needs_met() {
  [ ${#steps_missing[@]} -eq 0 ] || fail "missing here: ${steps_missing[*]}" \
    "apt-get install ${steps_packages[*]} (make deps installs all that the project needs)"
}
