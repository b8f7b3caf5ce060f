# SPDX-License-Identifier: Apache-2.0
# nginx: bodies by sendfile(2), by O_DIRECT with threads, and by plain reads, whole and in parts.
source "$(dirname "$0")/common.sh"
mkdir root logs body
sizes=(0 1 4095 4096 4097 65536 1048577 5000000)
for size in "${sizes[@]}"; do head -c "$size" /dev/urandom >"root/f$size"; done
chmod -R a+rX .
cat >nginx.conf <<END
user www-data;
worker_processes 2;
pid $directory/pid;
error_log $directory/logs/error;
events {}
http {
  access_log off;
  client_body_temp_path $directory/body;
  open_file_cache max=100;
  open_file_cache_valid 1s;
  server { listen unix:$directory/sendfile; root $directory/root; sendfile on; tcp_nopush on; }
  server { listen unix:$directory/directio; root $directory/root; directio 4k; aio threads; output_buffers 2 64k; }
  server { listen unix:$directory/read; root $directory/root; sendfile off; }
}
END
nginx -c "$directory/nginx.conf"
trap 'cat $directory/logs/error >&2' ERR
get() { curl --silent --show-error --fail --unix-socket "$directory/$1" "${@:2}"; }
# Every file by one way, into got/WAY.
get_all() {
  local way=$1 words=() size
  for size in "${sizes[@]}"; do words+=(--output "got/$way/f$size" "http://localhost/f$size"); done
  get "$way" --create-dirs "${words[@]}" --next --silent --unix-socket "$directory/$way" --range 4090-1048600 \
    --output "got/$way/part" http://localhost/f5000000
}
head -c 1048601 root/f5000000 | tail -c +4091 >root/part
pids=()
for way in sendfile directio read; do
  get_all $way &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
for way in sendfile directio read; do diff -r root got/$way || fail "$way: bodies differ"; done
# A file that is replaced, as by a deployment: the cache of open files asks again after a second.
for round in 1 2; do
  head -c 300000 /dev/urandom >"root/new-$round"
  chmod a+r "root/new-$round"
  mv "root/new-$round" root/replaced
  for way in sendfile directio; do
    until get $way http://localhost/replaced | cmp -s - root/replaced; do :; done
  done
done
kill "$(cat pid)"
until ! [ -e pid ]; do :; done
remove_all
