#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A Debian machine to try Kata on: systemd, cgroup v2 only, AppArmor, device-mapper, vhost, and /dev/kvm, also where the
# machine below has none: QEMU's tcg emulates a processor with SVM, in which kvm_amd works (slowly).
set -euo pipefail
arguments=("$@")

usage() {
  cat <<'EOF'
lab-vm.sh [OPTION...] VERB

  build          makes the image: debootstrap, packages, kernel, an ssh key
  start          makes it run, and returns when ssh answers. The first time it boots and is saved; later the saved
                 machine is restored, in which nothing is left of what was done in it since
  ssh [CMD...]   runs a command in it as root, or a shell
  copy SRC... DST  copies files and directories into it
  stop           ends it at once, as a power cut does
  status         says whether it runs, and where its files are

  --suite NAME   Debian's suite: bookworm, trixie (trixie)
  --dir DIR      where image, key and logs are ($XDG_CACHE_HOME/kata-containers/lab/SUITE)
  --files DIR    a directory of this machine, of which it gets a copy, read-only, as /mnt/files (start)
  --memory MIB   (6144), --cpus N (2), --port N for ssh at 127.0.0.1 (2222, trixie 2223), --disk SIZE (12G) (build)
  --cpu MODEL    of an emulated machine (EPYC,+svm,+npt); where kvm works it is the host's
  --packages "A B"  more packages (build)
  --append "WORDS"  more words for the kernel's command line (start)

Environment: LAB_QEMU, the QEMU that runs it (qemu-system-x86_64); LAB_MIRROR, the archive (that of this machine's apt).
EOF
}

suite=trixie dir='' files='' memory=6144 cpus=2 port='' disk=12G cpu_model=EPYC,+svm,+npt more_packages='' append=''
while [ $# -gt 0 ]; do
  case $1 in -h | --help) ;; -*) [ $# -gt 1 ] || { usage >&2; exit 2; } ;; esac
  case $1 in
    --suite) suite=$2 ;;
    --dir) dir=$2 ;;
    --files) files=$2 ;;
    --memory) memory=$2 ;;
    --cpus) cpus=$2 ;;
    --port) port=$2 ;;
    --disk) disk=$2 ;;
    --cpu) cpu_model=$2 ;;
    --packages) more_packages=$2 ;;
    --append) append=$2 ;;
    -h | --help) usage && exit ;;
    -*) usage >&2 && exit 2 ;;
    *) break ;;
  esac
  shift 2
done
[ $# -gt 0 ] || { usage >&2; exit 2; }
verb=$1
shift
dir=${dir:-${XDG_CACHE_HOME:-$HOME/.cache}/kata-containers/lab/$suite}
qemu=${LAB_QEMU:-qemu-system-x86_64}
files_size=4G  # the same for every copy: a saved machine remembers the size of its disks

packages=(
  linux-image-amd64 initramfs-tools systemd-sysv systemd-resolved dbus udev kmod openssh-server
  qemu-system-x86 qemu-system-common seabios
  containerd containernetworking-plugins podman docker.io runc crun conmon netavark aardvark-dns
  slirp4netns passt uidmap fuse-overlayfs
  busybox-static python3 procps iproute2 iptables nftables apparmor lvm2 dmsetup e2fsprogs iputils-ping strace jq
  libarchive-tools ca-certificates
  # What the tests of tests/integration call: packaging/debian-packages.txt has the reasons.
  python3-grpcio python3-protobuf python3-websocket protobuf-compiler gcc libc6-dev xfsprogs btrfs-progs debootstrap
  iperf3 attr acl ipset ipvsadm
  # What Kata's executables link.
  libnl-3-200 libnl-route-3-200 libmd0 libseccomp2
)
# What the suites do not have in common.
[ "$suite" = bookworm ] || packages+=(virtiofsd docker-cli)

say() { echo "lab: $*"; }
die() { echo "lab: $*" >&2; exit 1; }

pid_of_machine() {
  local pid
  pid=$(cat "$dir/pid" 2>/dev/null) && grep -qzx -- "$dir/pid" "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
}

# The archive that this machine's apt uses, whatever it is called here.
mirror() {
  [ -z "${LAB_MIRROR:-}" ] || { echo "$LAB_MIRROR"; return; }
  apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(CODENAME)' |
    awk '$2 == "Debian" && $3 !~ /-/ {sub("/$", "", $1); print $1; found = 1; exit} END {exit !found}' ||
    die "this machine's apt names no Debian archive: set LAB_MIRROR"
}

install_tools() {
  local missing=()
  command -v debootstrap >/dev/null || missing+=(debootstrap)
  command -v mke2fs >/dev/null || missing+=(e2fsprogs)
  command -v ssh >/dev/null || missing+=(openssh-client)
  command -v "$qemu" >/dev/null || missing+=(qemu-system-x86)
  command -v qemu-img >/dev/null || missing+=(qemu-utils)
  [ ${#missing[@]} -eq 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

configure() {  # ROOT: what makes a machine of the packages
  local root=$1
  echo lab >"$root/etc/hostname"
  printf '127.0.0.1 localhost lab\n::1 localhost\n' >"$root/etc/hosts"
  echo '/dev/vda / ext4 defaults,noatime 0 0' >"$root/etc/fstab"
  mkdir -p "$root/mnt/files" "$root/root/.ssh"
  cp "$dir/key.pub" "$root/root/.ssh/authorized_keys"
  chmod 700 "$root/root/.ssh"
  cat >"$root/etc/systemd/network/10-lab.network" <<'EOF'
[Match]
Name=en*
[Network]
DHCP=ipv4
EOF
  printf '%s\n' kvm_amd vhost_vsock vhost_net dm_mod loop overlay >"$root/etc/modules-load.d/lab.conf"
  chroot "$root" systemctl enable -q systemd-networkd ssh
  # A test starts the daemons that it wants: each takes seconds of an emulated machine's boot.
  chroot "$root" systemctl disable -q docker.service docker.socket containerd.service podman.service podman.socket \
    podman-auto-update.timer podman-restart.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
    fstrim.timer dpkg-db-backup.timer 2>/dev/null || true
  # The archive's name is nobody's business in the image.
  rm -rf "$root"/etc/apt/sources.list* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root/usr/sbin/policy-rc.d" \
    "$root"/var/log/{bootstrap.log,apt,dpkg.log}
  ln -sf /run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"
}

build() {
  [ "$(id -u)" -eq 0 ] || die "build needs root"
  [ -z "$(pid_of_machine)" ] || die "it runs: stop it first"
  # Its mounts are nobody else's, and go with it.
  [ -n "${LAB_PRIVATE:-}" ] || LAB_PRIVATE=1 exec unshare --mount "$0" "${arguments[@]}"
  install_tools
  mkdir -p "$dir"
  rm -f "$dir"/key "$dir"/key.pub
  ssh-keygen -q -t ed25519 -N '' -C lab -f "$dir/key"
  local root=$dir/root archive started=$SECONDS
  archive=$(mirror)
  rm -rf "$root"
  debootstrap --variant=minbase "$suite" "$root" "$archive" >"$dir/build.log" 2>&1 || die "debootstrap: see $dir/build.log"
  say "debootstrap took $((SECONDS - started)) s"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  printf 'path-exclude=/usr/share/%s/*\n' doc man locale >"$root/etc/dpkg/dpkg.cfg.d/lab"
  # The drivers of this machine and no others: the initrd is loaded in a fraction of the time.
  mkdir -p "$root/etc/initramfs-tools/conf.d"
  echo MODULES=list >"$root/etc/initramfs-tools/conf.d/lab"
  printf '%s\n' virtio_pci virtio_blk ext4 crc32c_generic >"$root/etc/initramfs-tools/modules.lab"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
  mount -t proc proc "$root/proc"
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive chroot "$root" sh -ec '
    apt-get update
    apt-get install -y --no-install-recommends initramfs-tools
    cat /etc/initramfs-tools/modules.lab >>/etc/initramfs-tools/modules
    apt-get install -y --no-install-recommends "$@"
    apt-get clean' sh "${packages[@]}" $more_packages >>"$dir/build.log" 2>&1 || die "the packages: see $dir/build.log"
  configure "$root"
  umount "$root/proc"
  cp "$root"/boot/vmlinuz-* "$dir/vmlinuz"
  cp "$root"/boot/initrd.img-* "$dir/initrd"
  rm -f "$dir/disk.img"
  mke2fs -q -t ext4 -L lab -d "$root" "$dir/disk.img" "$disk" >/dev/null
  rm -rf "$root" "$dir/build.log"
  say "built $suite in $((SECONDS - started)) s: $dir/disk.img, $(du -h "$dir/disk.img" | cut -f1) of $disk"
}

# /dev/kvm may open and still run no machine: QEMU itself is asked.
kvm_works() {
  [ -w /dev/kvm ] && echo quit | timeout 20 "$qemu" -machine q35 -accel kvm -cpu host -S -nodefaults -display none \
    -monitor stdio
}

machine_words() {  # QEMU's, one a line
  local accel=(-accel tcg,thread=multi,tb-size=1024 -cpu "$cpu_model")
  if (kvm_works) >/dev/null 2>&1; then accel=(-accel kvm -cpu host); fi
  # Of mitigations this machine needs none, and each makes an emulated processor slower. Without tsc=reliable the kernel
  # takes the HPET for its clock, and each look at it is an exit to QEMU: a container takes several times as long.
  # With nested page tables tcg corrupts the memory of the host above it, sooner or later; shadow ones are as fast here.
  printf '%s\n' -name "lab-$suite" -machine q35 "${accel[@]}" -smp "$cpus" -m "$memory" -nodefaults -display none \
    -kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
    -append "root=/dev/vda rw console=ttyS0 mitigations=off nowatchdog tsc=reliable kvm_amd.npt=0 panic=10 $append" \
    -drive "if=none,id=disk,file=$dir/machine.qcow2,cache=unsafe,discard=unmap" -device virtio-blk-pci,drive=disk \
    -drive "if=none,id=files,file=$dir/files.img,format=raw,readonly=on" -device virtio-blk-pci,drive=files \
    -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$(ssh_port)-:22" -device virtio-net-pci,netdev=net \
    -device virtio-rng-pci -serial "file:$dir/console.log" -monitor "unix:$dir/monitor.sock,server=on,wait=off" \
    -daemonize -pidfile "$dir/pid" -no-reboot
}

# The saved machine is one of these words, of this image and this QEMU, and was prepared in this way.
identity() {  # WORDS...
  { printf '%s\n' "$@" && declare -f boot_and_save && "$qemu" --version && stat -c '%Y %s' "$dir/disk.img"; } | sha256sum
}

monitor() {  # COMMAND of QEMU's monitor: returns when it has been done
  python3 - "$dir/monitor.sock" "$1" <<'EOF'
import socket
import sys

monitor = socket.socket(socket.AF_UNIX)
monitor.connect(sys.argv[1])


def until_prompt():
    text = b""
    while not text.endswith(b"(qemu) ") and (more := monitor.recv(65536)):
        text += more
    return text.decode(errors="replace")


until_prompt()
monitor.sendall(sys.argv[2].encode() + b"\n")
said = until_prompt()
sys.exit(said if "Error" in said else 0)
EOF
}

await_ssh() {
  local pid started=$SECONDS
  pid=$(cat "$dir/pid")
  while [ $((SECONDS - started)) -lt 900 ]; do
    if timeout 60 "$0" --suite "$suite" --dir "$dir" ssh true 2>/dev/null; then return; fi
    kill -0 "$pid" 2>/dev/null || die "the machine has ended: see $dir/console.log"
    sleep 0.5
  done
  die "ssh does not answer: see $dir/console.log"
}

boot_and_save() {  # WORDS...
  rm -f "$dir/machine.qcow2" "$dir/saved"
  qemu-img create -q -f qcow2 -b "$dir/disk.img" -F raw "$dir/machine.qcow2"
  "$qemu" "$@" 2>"$dir/qemu.log" || die "QEMU: $(tail -3 "$dir/qemu.log")"
  await_ssh
  # The first VM turns a hook of the scheduler on, and the last one turns it off, by patching the kernel's code; so does
  # in KVM's own code a vCPU without an interrupt controller, and one whose controller is off. An emulated processor may
  # run the breakpoint of the patch when it is gone already: the kernel panics. So two such VMs stay.
  in_machine "systemd-run --quiet --unit lab-kvm python3 -c '
import fcntl, signal
kvm = open(\"/dev/kvm\", \"rb+\", buffering=0)
vms = [fcntl.ioctl(kvm, 0xAE01, 0) for _ in range(2)]  # KVM_CREATE_VM
fcntl.ioctl(vms[1], 0xAE60, 0)  # KVM_CREATE_IRQCHIP
vcpus = [fcntl.ioctl(vm, 0xAE41, 0) for vm in vms]  # KVM_CREATE_VCPU
signal.pause()'"
  # What the page cache holds would be saved, too.
  in_machine "systemctl is-system-running --wait; sync; echo 3 >/proc/sys/vm/drop_caches" >/dev/null
  end_connection
  monitor "savevm ready"
  identity "$@" >"$dir/saved"
}

start() {
  [ -f "$dir/disk.img" ] || die "no image in $dir: build it first"
  [ -z "$(pid_of_machine)" ] || die "it runs already"
  local words started=$SECONDS how=restored
  rm -f "$dir/ssh.sock" "$dir/files.img"
  ssh_port >"$dir/port"
  truncate -s "$files_size" "$dir/files.img"
  [ -z "$files" ] || mke2fs -q -t ext4 -O ^has_journal -d "$files" "$dir/files.img" >/dev/null
  mapfile -t words < <(machine_words)
  if [ "$(cat "$dir/saved" 2>/dev/null)" = "$(identity "${words[@]}")" ]; then
    "$qemu" "${words[@]}" -loadvm ready 2>"$dir/qemu.log" || die "QEMU: $(tail -3 "$dir/qemu.log")"
    await_ssh
  else
    how="booted and saved"
    boot_and_save "${words[@]}"
  fi
  # Its clock has stood still, and what the kernel has read of that disk at its boot is no longer there.
  in_machine "date -s @$(date +%s) >/dev/null; blockdev --flushbufs /dev/vdb"
  [ -z "$files" ] || in_machine "mount -o ro /dev/vdb /mnt/files"
  say "$suite: $how in $((SECONDS - started)) s"
}

ssh_port() {
  if [ -n "$port" ]; then echo "$port"; elif [ "$suite" = bookworm ]; then echo 2222; else echo 2223; fi
}

# One connection carries all commands: an emulated machine takes seconds for each handshake.
ssh_options() {
  printf '%s\n' -i "$dir/key" -o "Port=$(cat "$dir/port")" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o LogLevel=ERROR -o ConnectTimeout=20 -o ControlMaster=auto -o "ControlPath=$dir/ssh.sock" -o ControlPersist=3600 \
    -o ServerAliveInterval=60 -o ServerAliveCountMax=10
}

in_machine() {
  local options
  mapfile -t options < <(ssh_options)
  ssh "${options[@]}" root@127.0.0.1 "$@"
}

end_connection() {
  local options
  mapfile -t options < <(ssh_options)
  ssh "${options[@]}" -O exit root@127.0.0.1 2>/dev/null || true
}

copy() {
  local target=${*: -1} source
  for source in "${@:1:$#-1}"; do
    tar -C "$(dirname "$source")" -cf - "$(basename "$source")" |
      in_machine "mkdir -p '$target' && tar -C '$target' --no-same-owner -xf -"
  done
}

stop() {
  local pid
  pid=$(pid_of_machine) || { say "it does not run"; return; }
  end_connection
  monitor quit || true
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || { say stopped; return; }
    sleep 0.1
  done
  kill -KILL "$pid"
  say "killed: it did not end"
}

case $verb in
  build) build ;;
  start) start ;;
  ssh) in_machine "$@" ;;
  copy) copy "$@" ;;
  stop) stop ;;
  status)
    if pid=$(pid_of_machine); then say "runs as $pid, ssh at port $(cat "$dir/port")"; else say "does not run"; fi
    say "files: $dir"
    ;;
  *) usage >&2; exit 2 ;;
esac
