# SPDX-License-Identifier: Apache-2.0
# sqlite: three writers of one database, in each kind of journal: none loses what another has written.
source "$(dirname "$0")/common.sh"
each=$((15 * amount))

# writer DATABASE NUMBER BYTES: its statements.
writer() {
  echo ".timeout 600000"
  echo ".output /dev/null"
  echo "PRAGMA mmap_size=$3;"
  for ((i = 0; i < each; ++i)); do
    echo "BEGIN IMMEDIATE; INSERT INTO entry (writer, number) VALUES ($2, $i);"
    echo "UPDATE total SET number = number + 1; INSERT INTO text VALUES (hex(randomblob(2000))); COMMIT;"
  done
}
# attempt JOURNAL_MODE BYTES: the latter are what sqlite maps of the database.
attempt() {
  local base=$1-$2 who pid pids=()
  same "journal_mode" "$(sqlite3 "$base" "PRAGMA journal_mode=$1; CREATE TABLE entry (writer, number);
    CREATE TABLE text (text); CREATE INDEX byText ON text (text);
    CREATE TABLE total (number); INSERT INTO total VALUES (0);")" "$1"
  for who in 1 2 3; do
    writer "$base" $who "$2" | sqlite3 -bail "$base" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  same "$base: integrity" "$(sqlite3 "$base" "PRAGMA integrity_check")" ok
  same "$base: rows" "$(sqlite3 "$base" "SELECT count(*), count(DISTINCT writer * 1000000 + number) FROM entry")" \
    "$((3 * each))|$((3 * each))"
  same "$base: total" "$(sqlite3 "$base" "SELECT number FROM total")" $((3 * each))
  sqlite3 "$base" "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)" >/dev/null
  same "$base: integrity after VACUUM" "$(sqlite3 "$base" "PRAGMA integrity_check")" ok
}

attempt delete 0
attempt truncate 8388608
attempt persist 0
attempt wal 0
attempt wal 8388608
remove_all
