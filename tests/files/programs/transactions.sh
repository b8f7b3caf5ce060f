# SPDX-License-Identifier: Apache-2.0
# Commits transactions until something ends it, and prints the number of each: transactions.sh DATABASE JOURNAL_MODE
set -euo pipefail
statements() {
  echo ".bail on"
  echo ".timeout 60000"
  echo ".output /dev/null"
  echo "PRAGMA journal_mode=$1; PRAGMA synchronous=FULL; CREATE TABLE entry (number, text);"
  echo ".output stdout"
  for ((i = 1;; ++i)); do
    echo "INSERT INTO entry VALUES ($i, hex(zeroblob(1000)));"
    echo "SELECT $i;"
  done
}
# By lines: a number that is printed late says nothing.
statements "$2" | stdbuf -oL sqlite3 "$1"
