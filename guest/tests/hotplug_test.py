#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hotplug_test.py KERNEL-DIR: memory (DIMM and virtio-mem), a processor and persistent memory
reach a running guest, and memory that virtio-mem takes back leaves it."""

import json
import pathlib
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 30  # seconds; a guest without hardware virtualization on a busy machine


class Guest:
    def __init__(self, kernels, work):
        subprocess.run(["cc", "-static", "-Os", "-s", "-o", work / "init", HERE / "hotplug.c"], check=True)
        subprocess.run([HERE.parent / "initrd/build.sh", "--agent", work / "init",
                        "--output", work / "initrd"], check=True, stdout=subprocess.DEVNULL)
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-M", "q35,nvdimm=on", "-nodefaults",
             "-no-user-config", "-no-reboot", "-display", "none", "-bios", "qboot.rom",
             "-m", "256M,slots=4,maxmem=2G", "-smp", "1,maxcpus=2",
             "-kernel", kernels / "vmlinux", "-initrd", work / "initrd", "-append", "console=hvc0 quiet",
             "-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "qmp,mode=control",
             "-device", "pcie-root-port,id=slot0,chassis=1",
             "-object", "memory-backend-ram,id=vmem,size=512M",
             "-device", "virtio-mem-pci,id=virtio-mem,memdev=vmem,requested-size=0",
             "-device", "virtio-serial-pci", "-chardev", "stdio,id=console,signal=off",
             "-device", "virtconsole,chardev=console"],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0)
        theirs.close()
        self.qmp = ours.makefile("rw")
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.said = ""

    def command(self, name, **arguments):
        self.qmp.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.qmp.flush()
        while True:
            answer = json.loads(self.qmp.readline())
            if "error" in answer:
                raise RuntimeError(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def expect(self, name, good):
        """Waits until the guest's latest line about itself is good."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.selector.select(timeout=0.2):
                data = self.process.stdout.read(65536)
                if not data:
                    break
                self.said += data.decode(errors="replace")
            lines = re.findall(r"guest: memory (\d+) MiB, processors (\d+), pmem (\w+)\r?\n", self.said)
            if lines and good(int(lines[-1][0]), int(lines[-1][1]), lines[-1][2] == "yes"):
                print(f"ok: {name}", flush=True)
                return int(lines[-1][0])
        sys.exit(f"FAIL: {name}; the guest said:\n{self.said[-1500:]}")


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: hotplug_test.py KERNEL-DIR")
    missing = [program for program in ("cc", "qemu-system-x86_64") if not shutil.which(program)]
    if missing:
        sys.exit(f"hotplug_test.py: missing here: {' '.join(missing)}\n  cure: make deps")
    with tempfile.TemporaryDirectory() as work:
        guest = Guest(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(work))
        try:
            scenario(guest)
        finally:
            guest.process.kill()
            guest.process.wait()


def scenario(guest):
    guest.command("qmp_capabilities")
    start = guest.expect("the guest starts", lambda memory, cpus, pmem: memory > 0 and cpus == 1 and not pmem)

    guest.command("object-add", **{"qom-type": "memory-backend-ram", "id": "dimm", "size": 256 << 20})
    guest.command("device_add", driver="pc-dimm", id="dimm0", memdev="dimm")
    dimm = guest.expect("a DIMM of 256 MiB comes online", lambda memory, *_: memory > start + 240)

    guest.command("qom-set", path="/machine/peripheral/virtio-mem", property="requested-size", value=256 << 20)
    guest.expect("virtio-mem grows by 256 MiB", lambda memory, *_: memory > dimm + 240)
    guest.command("qom-set", path="/machine/peripheral/virtio-mem", property="requested-size", value=0)
    guest.expect("virtio-mem takes it back", lambda memory, *_: memory < dimm + 16)

    slot = next(cpu for cpu in guest.command("query-hotpluggable-cpus") if "qom-path" not in cpu)
    guest.command("device_add", driver=slot["type"], id="cpu1", **slot["props"])
    guest.expect("a second processor comes online", lambda memory, cpus, pmem: cpus == 2)

    guest.command("object-add", **{"qom-type": "memory-backend-ram", "id": "pmem", "size": 128 << 20})
    guest.command("device_add", driver="virtio-pmem-pci", id="pmem0", memdev="pmem", bus="slot0")
    guest.expect("persistent memory appears behind a PCIe port", lambda memory, cpus, pmem: pmem)


main()
