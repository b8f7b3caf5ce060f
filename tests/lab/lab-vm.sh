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
  start          boots it, and returns when ssh answers
  ssh [CMD...]   runs a command in it as root, or a shell
  copy SRC... DST  copies files and folders into it
  stop           powers it off
  status         says whether it runs, and where its files are

  --suite NAME   Debian's suite (bookworm)
  --dir DIR      where image, key and logs are ($XDG_CACHE_HOME/kata-containers/lab/SUITE)
  --share DIR    a folder of this machine that it sees, read-only, as /mnt/host (start)
  --memory MIB   (6144), --cpus N (2), --port N for ssh at 127.0.0.1 (2222, trixie 2223), --disk SIZE (12G) (build)
  --cpu MODEL    of an emulated machine (EPYC,+svm,+npt); where kvm works it is the host's
  --packages "A B"  more packages (build)
  --append "WORDS"  more words for the kernel's command line (start)

Environment: LAB_QEMU, the QEMU that runs it (qemu-system-x86_64); LAB_MIRROR, the archive (that of this machine's apt).
EOF
}

suite=bookworm dir='' share='' memory=6144 cpus=2 port='' disk=12G cpu_model=EPYC,+svm,+npt more_packages='' append=''
while [ $# -gt 0 ]; do
  case $1 in
    --suite) suite=$2 ;;
    --dir) dir=$2 ;;
    --share) share=$2 ;;
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

packages=(
  linux-image-amd64 initramfs-tools systemd-sysv systemd-resolved dbus udev kmod openssh-server
  qemu-system-x86 qemu-system-common seabios
  containerd containernetworking-plugins podman docker.io runc crun conmon netavark aardvark-dns
  slirp4netns passt uidmap fuse-overlayfs
  busybox-static python3 procps iproute2 iptables nftables apparmor lvm2 dmsetup e2fsprogs iputils-ping strace jq
  libarchive-tools ca-certificates
)
# What the suites do not have in common. The last line of each is what Kata's executables link.
case $suite in
  bookworm) packages+=(libfmt9 libprotobuf-lite32 libboost-system1.81.0 libnl-3-200 libnl-route-3-200 libmd0 libseccomp2) ;;
  *) packages+=(virtiofsd docker-cli libnl-3-200 libnl-route-3-200 libmd0 libseccomp2) ;;
esac

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
  [ ${#missing[@]} -eq 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

configure() {  # ROOT: what makes a machine of the packages
  local root=$1
  echo lab >"$root/etc/hostname"
  printf '127.0.0.1 localhost lab\n::1 localhost\n' >"$root/etc/hosts"
  cat >"$root/etc/fstab" <<'EOF'
/dev/vda / ext4 defaults,noatime 0 0
host /mnt/host 9p trans=virtio,version=9p2000.L,msize=262144,ro,nofail,x-systemd.device-timeout=1s 0 0
EOF
  mkdir -p "$root/mnt/host" "$root/root/.ssh"
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
  mke2fs -q -t ext4 -L lab -d "$root" "$dir/disk.img" "$disk"
  rm -rf "$root" "$dir/build.log"
  say "built $suite in $((SECONDS - started)) s: $dir/disk.img, $(du -h "$dir/disk.img" | cut -f1) of $disk"
}

# /dev/kvm may open and still run no machine: QEMU itself is asked.
kvm_works() {
  [ -w /dev/kvm ] && echo quit | timeout 20 "$qemu" -machine q35 -accel kvm -cpu host -S -nodefaults -display none \
    -monitor stdio >/dev/null 2>&1
}

start() {
  [ -f "$dir/disk.img" ] || die "no image in $dir: build it first"
  [ -z "$(pid_of_machine)" ] || die "it runs already"
  local accel=(-accel tcg,thread=multi,tb-size=1024 -cpu "$cpu_model") sharing=() started=$SECONDS pid
  if kvm_works 2>/dev/null; then accel=(-accel kvm -cpu host); fi
  [ -z "$share" ] || sharing=(-virtfs "local,path=$share,mount_tag=host,security_model=none,readonly=on,multidevs=remap")
  echo "$(ssh_port)" >"$dir/port"
  rm -f "$dir/ssh.sock"
  # Of mitigations this machine needs none, and each makes an emulated processor slower. Without tsc=reliable the kernel
  # takes the HPET for its clock, and each look at it is an exit to QEMU: a container takes several times as long.
  "$qemu" -name "lab-$suite" -machine q35 "${accel[@]}" -smp "$cpus" -m "$memory" -nodefaults -display none \
    -kernel "$dir/vmlinuz" -initrd "$dir/initrd" \
    -append "root=/dev/vda rw console=ttyS0 mitigations=off nowatchdog tsc=reliable panic=10 $append" \
    -drive "if=none,id=disk,file=$dir/disk.img,format=raw,cache=unsafe,discard=unmap" -device virtio-blk-pci,drive=disk \
    -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$(ssh_port)-:22" -device virtio-net-pci,netdev=net \
    -device virtio-rng-pci -serial "file:$dir/console.log" -monitor "unix:$dir/monitor.sock,server=on,wait=off" \
    "${sharing[@]}" -no-reboot -daemonize -pidfile "$dir/pid" 2>"$dir/qemu.log" || die "QEMU: $(tail -3 "$dir/qemu.log")"
  pid=$(cat "$dir/pid")
  while [ $((SECONDS - started)) -lt 600 ]; do
    if timeout 60 "$0" --suite "$suite" --dir "$dir" ssh true 2>/dev/null; then
      say "ssh answers after $((SECONDS - started)) s"
      return
    fi
    kill -0 "$pid" 2>/dev/null || die "the machine has ended: see $dir/console.log"
    sleep 1
  done
  die "ssh does not answer: see $dir/console.log"
}

ssh_port() {
  if [ -n "$port" ]; then echo "$port"; elif [ "$suite" = bookworm ]; then echo 2222; else echo 2223; fi
}

# One connection carries all commands: an emulated machine takes seconds for each handshake.
ssh_options() {
  printf '%s\n' -i "$dir/key" -o "Port=$(cat "$dir/port")" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o LogLevel=ERROR -o ConnectTimeout=20 -o ControlMaster=auto -o "ControlPath=$dir/ssh.sock" -o ControlPersist=3600
}

in_machine() {
  local options
  mapfile -t options < <(ssh_options)
  exec ssh "${options[@]}" root@127.0.0.1 "$@"
}

copy() {
  local options target=${*: -1} source
  mapfile -t options < <(ssh_options)
  for source in "${@:1:$#-1}"; do
    tar -C "$(dirname "$source")" -cf - "$(basename "$source")" |
      ssh "${options[@]}" root@127.0.0.1 "mkdir -p '$target' && tar -C '$target' --no-same-owner -xf -"
  done
}

stop() {
  local pid
  pid=$(pid_of_machine) || { say "it does not run"; return; }
  timeout 30 "$0" --suite "$suite" --dir "$dir" ssh systemctl poweroff >/dev/null 2>&1 || true
  for _ in $(seq 90); do
    kill -0 "$pid" 2>/dev/null || { say stopped; return; }
    sleep 1
  done
  kill "$pid"
  say "killed: it did not power off"
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
