# SPDX-License-Identifier: Apache-2.0
# redis: its append-only file, rewritten while clients write; killed, and read again.
source "$(dirname "$0")/common.sh"
keys=$((1000 * amount))
cli() { redis-cli -s "$directory/socket" "$@"; }
start() {
  redis-server --port 0 --unixsocket "$directory/socket" --dir "$directory" --appendonly yes --appendfsync "$1" \
    --save '' --daemonize yes --logfile "$directory/log" --pidfile "$directory/pid" --enable-debug-command yes >/dev/null
  until [ "$(cli ping 2>/dev/null)" = PONG ]; do :; done
}
load() {
  for ((i = 0; i < keys; ++i)); do
    printf 'SET key:%d %d\r\nAPPEND log %d,\r\nLPUSH list %d\r\nINCR count\r\n' $i $((i * $1)) $i $i
  done | cli --pipe >/dev/null
}
# In which files its manifest says that the data are.
check() { redis-check-aof appendonlydir/appendonly.aof.manifest >check 2>&1 || fail "redis-check-aof: $(cat check)"; }

for policy in everysec always; do
  start $policy
  load 1 &
  cli bgrewriteaof >/dev/null
  wait $!
  until cli info persistence | grep -q 'aof_rewrite_in_progress:0'; do :; done
  cli bgrewriteaof >/dev/null
  load 2
  until cli info persistence | grep -q 'aof_rewrite_in_progress:0'; do :; done
  cli bgsave >/dev/null
  until cli info persistence | grep -q 'rdb_bgsave_in_progress:0'; do :; done
  cli info persistence | grep -q 'rdb_last_bgsave_status:ok' || fail "bgsave: $(cat log)"
  redis-check-rdb dump.rdb >check || fail "redis-check-rdb: $(cat check)"
  digest=$(cli debug digest)
  # The kernel has what was written, with either policy.
  kill -KILL "$(cat pid)"
  until ! [ -e "/proc/$(cat pid)" ] || grep -q 'State:.Z' "/proc/$(cat pid)/status"; do :; done
  check
  start $policy
  same "$policy: data after SIGKILL" "$(cli debug digest)" "$digest"
  same "$policy: count" "$(cli get count)" $((2 * keys))
  cli flushall >/dev/null
  cli shutdown
  check
done
remove_all
