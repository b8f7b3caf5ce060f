# SPDX-License-Identifier: Apache-2.0
# Podman in the container: images by layers on overlay, containers that run, and the files that they make.
source "$(dirname "$0")/common.sh"
mkdir storage run image image/{bin,etc,tmp,proc,sys,dev,run}
cp /bin/busybox image/bin
for name in sh echo cat ls rm mkdir touch stat ln mv seq sha256sum chown id; do ln -s busybox "image/bin/$name"; done
echo root:x:0:0:root:/:/bin/sh >image/etc/passwd
chmod 1777 image/tmp
engine() {
  podman --root "$directory/storage" --runroot "$directory/run" --storage-driver overlay --runtime crun \
    --cgroup-manager cgroupfs --events-backend file "$@"
}
start() { engine run --network none --cgroups disabled --ulimit host "$@"; }

tar -c -C image . | engine import --quiet - base >/dev/null
same "overlay is the kernel's own" "$(engine info --format '{{index .Store.GraphStatus "Native Overlay Diff"}}')" true

# A layer that changes, removes and replaces what is below it.
start --name first base sh -c 'mkdir /data && seq 1000 >/data/numbers && seq 10 >/data/gone && mkdir /data/dir &&
  touch /data/dir/inner && chown 5:6 /data/numbers'
engine commit --quiet first one >/dev/null
start --name second one sh -c 'rm /data/gone && rm -r /data/dir && mkdir /data/dir && echo 1001 >>/data/numbers &&
  mv /data/numbers /data/moved && ln /data/moved /data/linked'
same "changes" "$(engine diff second | sort | tr '\n' ' ')" \
  "A /data/linked A /data/moved C /data D /data/dir D /data/gone D /data/numbers "
engine commit --quiet second two >/dev/null
same "what the layers show" "$(start --rm two sh -c 'ls /data /data/dir; stat -c "%u:%g %h" /data/moved
  sha256sum </data/linked')" \
  "$(printf '/data:\ndir\nlinked\nmoved\n\n/data/dir:\n5:6 2\n%s' "$(seq 1001 | sha256sum)")"

engine rm --all >/dev/null
engine rmi --all --force >/dev/null
same "layers that are left" "$(ls storage/overlay)" l
remove_all
