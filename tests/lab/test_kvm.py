# SPDX-License-Identifier: Apache-2.0
"""What is chosen by itself on a host with kvm and vhost."""
import pathlib
import subprocess

import harness
import netns
from harness import Case


def words_of_qemu(container):
    """The command line of a sandbox's QEMU."""
    for helper in container.record()["helpers"]:
        words = pathlib.Path(f"/proc/{helper['pid']}/cmdline").read_text().split("\0")
        if "qemu-system" in words[0]:
            return words
    raise AssertionError(f"{container.id} has no QEMU")


def value_of(words, option):
    return words[words.index(option) + 1]


class ChosenTest(Case):
    def looks(self, container, vcpus):
        """kvm in QEMU's words, and in what the guest sees."""
        words = words_of_qemu(container)
        self.assertEqual(value_of(words, "-accel"), "kvm")
        self.assertEqual(value_of(words, "-cpu").split(",")[0], "host")
        self.assertTrue(any(word.startswith("vhost-vsock") for word in words), words)
        # "kvm-clock" is what the guest takes; the host's processor is what it sees.
        seen = self.assert_run(container.exec_sh(
            "cat /sys/devices/system/clocksource/clocksource0/current_clocksource; grep -c ^processor /proc/cpuinfo; "
            "grep -m 1 'model name' /proc/cpuinfo")).out.splitlines()  # fmt: skip
        model = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line][0]
        self.assertEqual(seen, ["kvm-clock", str(vcpus), model])

    def test_one_vcpu(self):
        self.looks(self.started(), 1)

    def test_two_vcpus(self):
        self.world.configure("[hypervisor.qemu]\ndefault_vcpus = 2\n")
        self.looks(self.started(), 2)


    def test_one_try_until_the_next_boot(self):
        """udev touches the device whenever a VM begins or ends."""
        kept = pathlib.Path("/run/kata-containers/kvm.json")
        self.assert_run(self.world.runtime("check"))
        first = (kept.stat().st_ino, kept.read_text())
        self.assert_run(self.started().delete("--force"))
        for _ in range(2):
            subprocess.run(["udevadm", "settle"], check=True)
            self.assert_run(self.world.runtime("check"))
        self.assertEqual((kept.stat().st_ino, kept.read_text()), first)


class NetworkTest(netns.NetworkCase):
    def test_the_kernel_moves_the_packets(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        container = self.started_pod(ns)
        netdevs = [word for word in words_of_qemu(container) if word.startswith("tap,")]
        self.assertEqual(len(netdevs), 1)
        self.assertRegex(netdevs[0], r",vhost=on,vhostfds=\d")


if __name__ == "__main__":
    harness.main()
