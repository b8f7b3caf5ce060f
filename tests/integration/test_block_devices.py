# SPDX-License-Identifier: Apache-2.0
"""Block devices and file system images: as rootfs, as volumes, as device nodes; and device nodes of other kinds."""
import json
import os
import pathlib
import re
import subprocess

import harness
import leaks
import rootfs
import ttrpc

MIB = 1 << 20


def run(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout.strip()


class DiskCase(harness.Case):
    """Images and loop devices of a test."""

    def image(self, name="disk.img", size=16 * MIB, folder=None, type="ext4"):
        """A file system image; folder: with what is in there."""
        path = self.world.tmp / name
        with open(path, "wb") as file:
            file.truncate(size)
        if type == "ext4":
            run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", *(("-d", folder) if folder else ()), path)
        return path

    def raw_image(self, text, name="raw.img"):
        path = self.image(name, MIB, type=None)
        with open(path, "r+b") as file:
            file.write(text.encode())
        return path

    def loop(self, image, *flags):
        """A loop device of the host for an image."""
        device = run("losetup", "--find", "--show", *flags, image)
        self.addCleanup(self.detach, device)
        return pathlib.Path(device)

    def detach(self, device):
        subprocess.run(["losetup", "--detach", device], check=False, capture_output=True)
        self.assertEqual(run("losetup", "--list", "--noheadings", "--output", "NAME", "--raw").count(device + "\n"), 0)

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


class DeviceNodeTest(DiskCase):
    """kata-runtime's door: linux.devices and mounts of config.json."""

    def test_a_block_device_is_read_and_written(self):
        raw = self.raw_image("of the host")
        c = self.sh(
            "stat -c '%F %a %u:%g' /dev/mine; head -c 11 /dev/mine; echo; printf changed | dd of=/dev/mine conv=notrunc,fsync 2>/dev/null;"
            "blockdev --getsize64 /dev/mine; ls /dev/mine /dev/other 2>/dev/null"
        )
        self.device(c, "/dev/mine", self.loop(raw))
        result = self.assert_run(c.run())
        self.assertEqual(result.out, f"block special file 640 0:4\nof the host\n{MIB}\n/dev/mine\n")
        self.assertEqual(raw.read_bytes()[:11], b"changedhost")
        self.assert_nothing_left()

    def test_numbers_are_the_guests_and_rules_follow(self):
        c = self.sh(
            "IFS=: read major minor </sys/block/vda/dev; stat -c %t:%T /dev/mine; printf '%x:%x\\n' $major $minor;"
            "mknod /mnt/other b $major $((minor+1)); head -c 1 /mnt/other; true"
        )
        c.mount("tmpfs", "/mnt", type="tmpfs")
        c.process["capabilities"] = {kind: ["CAP_MKNOD"] for kind in ("bounding", "effective", "permitted")}
        self.device(c, "/dev/mine", self.loop(self.raw_image("x")))
        result = self.assert_run(c.run())
        found, guests = result.out.split()
        self.assertEqual(found, guests)
        self.assertRegex(result.err, "Operation not permitted")

    def test_rules_without_write_make_it_read_only_on_the_host_too(self):
        raw = self.raw_image("of the host")
        c = self.sh("head -c 11 /dev/mine; cat /sys/block/vda/ro; printf x | dd of=/dev/mine conv=notrunc,fsync")
        self.device(c, "/dev/mine", self.loop(raw), access="r")
        result = c.run()
        self.assertEqual(result.out, "of the host1\n", result)
        self.assertNotEqual(result.status, 0)
        self.assertEqual(raw.read_bytes()[:11], b"of the host")

    def test_a_bound_block_device(self):
        """Where the engine gives the device by a mount; a rule makes it usable, as with runc."""
        raw = self.raw_image("of the host")
        loop = self.loop(raw)
        c = self.sh("head -c 11 /data/disk; printf changed | dd of=/data/disk conv=notrunc,fsync 2>/dev/null; head -c 11 /dev/xda")
        c.mount(loop, "/data/disk", "bind", "rw")
        c.mount(loop, "/dev/xda", "rbind", "ro")
        major, minor = self.numbers(loop)
        c.linux["resources"]["devices"].append(
            {"allow": True, "type": "b", "major": major, "minor": minor, "access": "rw"}
        )
        result = self.assert_run(c.run())
        self.assertEqual(result.out, "of the hostchangedhost")
        self.assertEqual(raw.read_bytes()[:11], b"changedhost")

    @harness.kata_only
    def test_what_the_host_uses_is_not_given_away(self):
        image = self.image()
        loop = self.loop(image)
        place = self.world.tmp / "mounted"
        place.mkdir()
        run("mount", loop, place)
        self.addCleanup(run, "umount", place)
        c = self.sh("true")
        self.device(c, "/dev/mine", loop)
        self.assert_run(c.run(), 1, err=rf"linux.devices\[0\] \(/dev/mine\): {loop} is in use on the host")
        readonly = self.sh("head -c 1 /dev/mine | wc -c")
        self.device(readonly, "/dev/mine", loop, "r")
        self.assert_run(readonly.run(), 0, "1\n")

    @harness.kata_only
    def test_two_machines_do_not_write_to_one_device(self):
        loop = self.loop(self.raw_image("x"))
        first, second = self.container("/bin/sleep", "1000"), self.sh("true")
        for c in (first, second):
            self.device(c, "/dev/mine", loop)
        self.start(first)
        self.assert_run(second.run(), 1, err="in use")
        self.assert_run(first.kill())
        first.wait_for("stopped")
        self.assert_run(first.delete())
        third = self.sh("echo mine")
        self.device(third, "/dev/mine", loop)
        self.assert_run(third.run(), 0, "mine\n")

    @harness.kata_only
    def test_devices_that_cannot_be_given(self):
        c = self.sh("true")
        c.linux["devices"] = [{"path": "/dev/loop-none", "type": "b", "major": 7, "minor": 250}]
        self.assert_run(c.run(), 1, err=r"linux.devices\[0\] \(/dev/loop-none\): the host has no block device 7:250")
        c = self.sh("true")
        c.linux["devices"] = [{"path": "/dev/dri/card0", "type": "c", "major": 226, "minor": 0}]
        self.assert_run(c.run(), 1, err=r"linux.devices\[0\] \(/dev/dri/card0\): the character device 226:0 is the host's")
        c = self.sh("true")
        c.mount("/dev/kvm", "/dev/kvm", "bind")
        self.assert_run(c.run(), 1, err=r"mounts\[\d+\].source: /dev/kvm is a character device of the host")
        empty = run("losetup", "--find")
        c = self.sh("true")
        self.device(c, "/dev/mine", empty)
        self.assert_run(c.run(), 1, err=r"linux.devices\[0\] \(/dev/mine\): .* has no medium, or nothing is attached to it")

    @harness.kata_only
    def test_all_devices_of_the_host(self):
        """What an engine gives a privileged container: those that a guest has are there, and none of the host's disks."""
        c = self.sh("{ ls /dev; : </dev/fuse && : </dev/net/tun && echo opened; } >/out 2>&1")
        loop = self.loop(self.raw_image("x"))
        for path in ("/dev/null", "/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/kvm", "/dev/tty1", loop):
            self.device(c, str(path), path, access=None)
        c.linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
        self.assert_run(c.create())
        log = (self.world.root / c.id / "sandbox.log").read_text()
        self.assertEqual(len(re.findall("linux.devices: 3 of 7 devices of the host .* left out", log)), 1, log)
        self.assert_run(c.start())
        c.wait_for("stopped")
        out = (c.rootfs / "out").read_text().split()
        self.assertLessEqual({"null", "fuse", "net", "loop-control", "opened"}, set(out))
        self.assertEqual([name for name in out if name in ("kvm", "tty1", loop.name)], [])
        self.assert_run(c.delete())


if __name__ == "__main__":
    harness.main()
