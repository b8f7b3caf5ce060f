# SPDX-License-Identifier: Apache-2.0
# A tree with everything that a file system keeps of a file, for rsync.sh and tar.sh to source: make_tree DIRECTORY.
#
# shellcheck shell=bash

make_tree() {
  mkdir "$1"
  (
    cd "$1"
    mkdir -p d{0..4}/e{0..2}
    for i in {1..40}; do printf "$i %.0s" $(eval "echo {1..$((i * 30))}") >"d$((i % 5))/e$((i % 3))/f$i"; done
    touch -d @1000000000.123456789 d0/*/*
    touch -d @-1000000.5 d1/*/*
    ln d1/e1/f1 d2/hard
    ln d1/e1/f1 d3/hard
    ln -s ../d1/e1/f1 d4/soft
    ln -s nowhere dangling
    touch -h -d @1100000000 dangling
    mkfifo fifo
    mknod null c 1 3
    truncate -s 20M sparse
    echo middle | dd of=sparse bs=1 seek=9000000 conv=notrunc status=none
    head -c 300000 /dev/urandom >random
    chown -h 1000:2000 d1/e1/f1 dangling d2
    chmod 4755 d1/e1/f16
    chmod 2770 d2
    chmod 1777 d3
    setfattr -n user.text -v "some text" random
    setfattr -n user.large -v "$(head -c 2000 /dev/zero | tr '\0' x)" d1
    setfacl -m u:1001:rw,g:2001:r,m::rw random
    setfacl -m d:u:1001:rwx,d:g::r-x d2
    touch d2/inherits
    setcap cap_net_raw=ep d1/e1/f31
    printf 'odd' >$'a name with \n and \xff and  blanks'
    touch -d @1200000000 d1 d2 d3 d4 d0
  )
}
