#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares kernels for the guest: kernels.py [--rounds N] [--cpu MODEL] [--console ttyS0] VMLINUX...

Each is booted by QEMU without hardware virtualization, as the sandbox process does it, up to the first line of an init.
The rounds go through all kernels, so that an hour in which the host is busy is one for each of them. The columns:

- instructions: what the guest's processor executes until init, in millions, counted by QEMU (-icount): the median of three
  boots. Time in which it waits counts as if it had worked
- CPU ms, ms: the processor time that QEMU has used, and the time from its start to init: the median, and the best
- size: of the file
- memory: what of the guest's 256 MiB is not free at init; the kernel's own code and data are part of it
- died: boots that did not come to init"""

import argparse
import os
import pathlib
import re
import signal
import statistics
import subprocess
import tempfile
import time

from figures import needs_met, table

ROOT = pathlib.Path(__file__).resolve().parents[1]
MEMORY_KIB = 256 << 10
WORDS = """quiet console={console} reboot=t panic=-1 cgroup_no_v1=all random.trust_cpu=on rcupdate.rcu_expedited=1
    noreplace-smp nomodule fb_tunnels=none bonding.max_bonds=0 dummy.numdummies=0 ifb.numifbs=0 nbd.nbds_max=0
    zram.num_devices=0 tsc=reliable no_timer_check lapic_timer_khz=1000000 tsc_early_khz={khz}"""
MACHINE = """-m 256M -nodefaults -no-user-config -no-reboot -display none
    -M q35,smbus=off,sata=off,usb=off,vmport=off,hpet=off,graphics=off,i8042=off -bios qboot.rom
    -chardev stdio,id=console,signal=off -device virtio-serial-pci -device virtio-rng-pci -device virtio-balloon-pci""".split()
CONSOLES = {"hvc0": ["-device", "virtconsole,chardev=console"], "ttyS0": ["-serial", "chardev:console"]}


class Bench:
    def __init__(self, options, work):
        self.options, self.initrd = options, f"{work}/initrd"
        subprocess.run(["cc", "-static", "-Os", "-s", "-o", f"{work}/init", ROOT / "bench/kernel_init.c"], check=True)
        subprocess.run([ROOT / "guest/initrd/build.sh", "--agent", f"{work}/init", "--output", self.initrd],
                       check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        subprocess.run(["cc", "-o", f"{work}/tsc_khz", ROOT / "guest/tests/tsc_khz.c"], check=True)
        self.khz = subprocess.run([f"{work}/tsc_khz"], check=True, capture_output=True, text=True).stdout.strip()

    def boot(self, kernel, khz, *accelerator):
        """Seconds, seconds of processor time, ticks of the guest's counter, free KiB; None if it died."""
        words = " ".join(WORDS.format(console=self.options.console, khz=khz).split())
        start = time.perf_counter()
        with subprocess.Popen(["timeout", "300", "qemu-system-x86_64", *accelerator, "-cpu", self.options.cpu, *MACHINE,
                               *CONSOLES[self.options.console], "-kernel", kernel, "-initrd", self.initrd, "-append", words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace") as qemu:  # fmt: skip
            said, elapsed = "", 0
            for line in qemu.stdout:
                said += line
                if line.startswith("init: ") and "ticks" in line:
                    elapsed = time.perf_counter() - start
            _, qemu.returncode, usage = os.wait4(qemu.pid, 0)
        found = re.search(r"init: (\d+) ticks\s+init: (\d+) free", said)
        return (elapsed, usage.ru_utime + usage.ru_stime, int(found[1]), int(found[2])) if found else None

    def counted(self, kernel):
        return self.boot(kernel, 1000000, "-accel", "tcg,thread=single,tb-size=128", "-icount", "shift=0,sleep=off")

    def timed(self, kernel):
        return self.boot(kernel, self.khz, "-accel", "tcg,thread=multi,tb-size=128")


def row(kernel, counted, timed):
    def figures(boots, index, factor):
        return [boot[index] * factor for boot in boots if boot] or [float("nan")]

    return [kernel, f"{statistics.median(figures(counted, 2, 1e-6)):.1f}",
            *(f"{statistics.median(samples):.0f} ({min(samples):.0f})" for samples in (figures(timed, 1, 1e3), figures(timed, 0, 1e3))),
            kernel.stat().st_size >> 10, f"{MEMORY_KIB - statistics.median(figures(timed, 3, 1)):.0f}",
            f"{timed.count(None)} of {len(timed)}"]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cpu", default="max,-erms,pmu=off")
    parser.add_argument("--console", default="hvc0", choices=CONSOLES)
    parser.add_argument("kernels", nargs="+", type=pathlib.Path, metavar="VMLINUX")
    options = parser.parse_args()
    needs_met("qemu-system-x86_64", "cc", files=options.kernels)
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(options, work)
        counted = {kernel: [bench.counted(kernel) for _ in range(3)] for kernel in options.kernels}
        timed = {kernel: [] for kernel in options.kernels}
        for _ in range(options.rounds):
            for kernel in options.kernels:
                timed[kernel].append(bench.timed(kernel))
    table("Kernels", ["kernel", "instructions, 10^6", "CPU ms", "ms", "size, KiB", "memory, KiB", "died"],
          [row(kernel, counted[kernel], timed[kernel]) for kernel in options.kernels])  # fmt: skip


if __name__ == "__main__":
    main()
