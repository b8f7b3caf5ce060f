# SPDX-License-Identifier: Apache-2.0
"""Images and loop devices, for the tests of block devices."""
import fcntl
import os
import pathlib
import subprocess

import harness
import leaks

MIB = 1 << 20
# linux/loop.h
LOOP_CTL_ADD, LOOP_CTL_REMOVE = 0x4C80, 0x4C81


def run(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout.strip()


class Disks:
    """Images and loop devices of a test."""

    def setUp(self):
        self.loops = []
        # After all other clean-ups: nothing may have one any more.
        self.addCleanup(self._detach)
        super().setUp()

    def _detach(self):
        for device, image in self.loops:
            run("losetup", "--detach", device)
            # By its file: another test may have been given the device meanwhile.
            self.assertEqual(run("losetup", "--associated", image), "", "somebody still has it")

    def image(self, name="disk.img", size=16 * MIB, directory=None, type="ext4"):
        """A file system image; directory: with what is in there."""
        path = self.world.tmp / name
        with open(path, "wb") as file:
            file.truncate(size)
        if type == "ext4":
            run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", *(("-d", directory) if directory else ()), path)
        return path

    def raw_image(self, text, name="raw.img"):
        path = self.image(name, MIB, type=None)
        with open(path, "r+b") as file:
            file.write(text.encode())
        return path

    def loop(self, image, *flags):
        """A loop device of the host for an image."""
        device = run("losetup", "--find", "--show", *flags, image)
        self.loops.append((device, image))
        return pathlib.Path(device)

    def loop_without_file(self):
        """A loop device with nothing attached, of a number that no `losetup --find` beside this test is given."""
        number = 1000 + os.getpid() % 100000
        with open("/dev/loop-control", "rb") as control:
            fcntl.ioctl(control, LOOP_CTL_ADD, number)
        self.addCleanup(self._remove_loop, number)
        return pathlib.Path(f"/dev/loop{number}")

    @staticmethod
    def _remove_loop(number):
        with open("/dev/loop-control", "rb") as control:
            fcntl.ioctl(control, LOOP_CTL_REMOVE, number)

    @staticmethod
    def numbers(device):
        status = os.stat(device)
        return os.major(status.st_rdev), os.minor(status.st_rdev)

    def device(self, container, path, device, access="rwm"):
        """linux.devices and a rule, as --device of an engine makes them."""
        major, minor = self.numbers(device)
        kind = "b" if pathlib.Path(device).is_block_device() else "c"
        entry = {"path": path, "type": kind, "major": major, "minor": minor, "fileMode": 0o640, "uid": 0, "gid": 4}
        container.linux.setdefault("devices", []).append(entry)
        if access:
            rule = {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
            container.linux["resources"].setdefault("devices", []).append(rule)

    @staticmethod
    def vmm():
        return next(pid for pid, command in leaks.descendants().items() if "qemu-system" in command)

    def files_of_vmm(self):
        """What the QEMU of the test has open."""
        names = []
        for entry in pathlib.Path(f"/proc/{self.vmm()}/fd").iterdir():
            try:
                names.append(os.readlink(entry))
            except FileNotFoundError:
                pass
        return names


class DiskCase(Disks, harness.Case):
    pass
