#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# boot_test.sh KERNEL-DIR: boots vmlinux and bzImage in QEMU, without hardware virtualization, with
# an init (probe.c) that looks for everything the guest must have.
set -euo pipefail

(($# == 1)) || { echo "usage: boot_test.sh KERNEL-DIR" >&2 && exit 2; }
kernels=$(cd "$1" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../packaging/steps.sh"
need cc gcc && need qemu-system-x86_64 qemu-system-x86 && need_file /usr/share/qemu/qboot.rom qemu-system-data
needs_met
for kernel in vmlinux bzImage; do
    [[ -e $kernels/$kernel ]] || fail "is not built: $kernels/$kernel" "make"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

step "compiling the guest's init"
cc -static -Os -s -Wall -Wextra -Werror -o "$work/probe" "$here/probe.c"
cc -o "$work/tsc_khz" "$here/tsc_khz.c"
truncate -s 16M "$work/disk"

# What guest/kernel/README.md recommends for a guest without hardware virtualization, and src/hypervisor/qemu/argv.cpp uses.
recommended="quiet console=hvc0 earlyprintk=serial,ttyS0,115200 reboot=t panic=-1 cgroup_no_v1=all random.trust_cpu=on"
recommended+=" rcupdate.rcu_expedited=1 noreplace-smp nomodule tsc=reliable no_timer_check lapic_timer_khz=1000000"
recommended+=" tsc_early_khz=$("$work/tsc_khz")"
q35=(-M "q35,smbus=off,sata=off,usb=off,vmport=off,hpet=off,graphics=off,i8042=off" -bios qboot.rom)
microvm=(-M "microvm,acpi=off,x-option-roms=off" -global virtio-mmio.force-legacy=false)

boot() { # NAME KERNEL BUS COMPRESSION COMMAND-LINE MACHINE-ARGUMENT...
    local name=$1 kernel=$2 bus=$3 compression=$4 append=$5
    shift 5
    "$here/../initrd/build.sh" --agent "$work/probe" --output "$work/initrd" --compress "$compression" >/dev/null
    # shellcheck disable=SC2054 # the commas are QEMU's
    local devices=(
        -device "virtio-serial-$bus" -chardev 'stdio,id=console,signal=off' -device virtconsole,chardev=console
        -chardev "null,id=agent" -device virtserialport,chardev=agent,name=agent.channel.0
        -drive "if=none,id=disk,format=raw,file=$work/disk" -device "virtio-blk-$bus,drive=disk"
        -netdev user,id=net -device "virtio-net-$bus,netdev=net" -device "virtio-rng-$bus" -device "virtio-balloon-$bus"
    )
    # The network card has no boot ROM to run, and needs no file of one.
    [[ $bus == pci ]] && devices=("${devices[@]/virtio-net-pci/virtio-net-pci,romfile=}")
    timeout 120 qemu-system-x86_64 -accel tcg,thread=multi,tb-size=128 -cpu max -m 256M -nodefaults -no-user-config -no-reboot -display none \
        "$@" -kernel "$kernels/$kernel" -initrd "$work/initrd" "${devices[@]}" \
        -append "$append" </dev/null >"$work/console" 2>&1 ||
        printf 'QEMU ended with status %d\n' $? >>"$work/console"
    if grep -q '^probe: done' "$work/console" && ! grep -qE '^FAIL:|QEMU ended' "$work/console"; then
        printf 'ok: %s (%d checks)\n' "$name" "$(grep -c '^ok:' "$work/console")"
    else
        printf 'FAIL: %s\n' "$name"
        { grep '^FAIL:' "$work/console" || tail -n 15 "$work/console"; } | sed 's/^/    /'
        failures=$((failures + 1))
    fi
}

plain="console=hvc0 nomodule panic=-1"
boot "q35, ELF" vmlinux pci zstd "$plain" -M q35
boot "q35, bzImage" bzImage pci none "$plain" -M q35
boot "q35, ELF, as recommended" vmlinux pci none "$recommended" "${q35[@]}"
boot "q35, ELF, as recommended, two processors" vmlinux pci gzip "$recommended" "${q35[@]}" -smp 2
# Not with the plain command line: on a busy host this machine's clock cannot be measured.
boot "microvm, ELF, as recommended" vmlinux device zstd "$recommended" "${microvm[@]}"

exit $((failures > 0))
