# SPDX-License-Identifier: Apache-2.0
# For the scripts of this directory to source: each works in the empty directory that it makes of its first argument,
# which it removes at its end, and fails with a word about what was not as it should be.
#
# shellcheck shell=bash
set -euo pipefail
trap 'echo "$(basename "$0"), line $LINENO: $BASH_COMMAND failed" >&2' ERR
set -E
amount=${AMOUNT:-1}
directory=$1
mkdir "$directory"
cd "$directory"

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# same WHAT A B: two texts have to be one.
same() {
  [ "$2" = "$3" ] || fail "$1: '$2' is not '$3'"
}

# A file of random bytes: random FILE KIBIBYTES.
random() {
  head -c "$(($2 * 1024))" /dev/urandom >"$1"
}

# Every name below a directory with all that a file system keeps of it, in an order of its own.
inventory() {
  (
    cd "$1"
    find . -printf '%p %y %m %U:%G %n %l %T@ ' \( -type f -printf '%s' -o -printf '-' \) -printf '\n' | sort
    find . ! -type l -print0 | sort -z | xargs -0 getfacl --numeric --absolute-names
    find . -type f -print0 | sort -z | xargs -0 getfattr --no-dereference --dump --match=- --absolute-names
    find . -type f -print0 | sort -z | xargs -0 sha256sum
  )
}

# At the end, when all was well.
remove_all() {
  cd /
  rm -rf "$directory"
  [ ! -e "$directory" ] || fail "$directory cannot be removed"
}
