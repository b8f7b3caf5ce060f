# SPDX-License-Identifier: Apache-2.0
# PostgreSQL: transactions of several clients, a crash among them, and its own checks of pages, tables and indexes.
source "$(dirname "$0")/common.sh"
transactions=$((20 * amount))
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
chown postgres: .
as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
sql() { as psql -h "$PWD" -XAtqc "$1" "${2:-postgres}"; }
start() { as pg_ctl -s -D data -l log -o "-k $PWD -c listen_addresses= -c shared_buffers=16MB" -w -t 600 start; }
bench() { as pgbench -h "$PWD" -n -c 3 "$@" postgres; }
# All sums of pgbench's tables are one, whatever was committed.
totals() {
  sql "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)
       AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)
       AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)"
}

as initdb -D data -A trust --data-checksums --locale=C --no-sync >/dev/null
start
as mkdir space
sql "CREATE EXTENSION amcheck"
sql "CREATE TABLESPACE other LOCATION '$PWD/space'"
as pgbench -h "$PWD" -i -I dtGvpf --tablespace=other postgres >/dev/null 2>&1
bench -t "$transactions" >log-of-bench 2>&1 || fail "pgbench: $(cat log-of-bench)"
same "transactions" "$(sql "SELECT count(*) FROM pgbench_history")" $((3 * transactions))
same "totals" "$(totals)" t

exec 3< <(bench -T 600 --progress=1 2>&1)
while read -ru 3 line && [[ $line != progress:*tps* ]]; do :; done
[[ $line == progress:* ]] || fail "pgbench: $line"
as pg_ctl -s -D data -m immediate stop
exec 3<&-
start
same "transactions before a crash" "$(sql "SELECT count(*) >= 3 * $transactions FROM pgbench_history")" t
same "totals after a crash" "$(totals)" t
sql "VACUUM FULL"
as pg_amcheck -h "$PWD" --database postgres --heapallindexed --parent-check --install-missing || fail "pg_amcheck"
as pg_ctl -s -D data -m fast stop
as pg_checksums --check -D data >/dev/null
remove_all
