# SPDX-License-Identifier: Apache-2.0
"""Block devices and file system images as volumes and device nodes; and device nodes of other kinds."""
import os
import re
import stat

import harness
from containerd import ContainerdCase
from cri import CriCase
from disks import MIB, DiskCase, Disks, run


class DeviceNodeTest(DiskCase):
    """kata-runtime's interface: linux.devices and mounts of config.json."""

    def test_a_block_device_is_read_and_written(self):
        raw = self.raw_image("of the host")
        c = self.sh(
            "stat -c '%F %a %u:%g' /dev/mine; head -c 11 /dev/mine; echo; printf changed | dd of=/dev/mine conv=notrunc,fsync 2>/dev/null;"
            "blockdev --getsize64 /dev/mine; ls /dev/mine"
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

    def test_a_path_alone_gives_no_disk(self):
        """A link that somebody made in a shared directory leads to a device node, not to what is on the disk."""
        shared = self.world.tmp / "shared"
        shared.mkdir()
        (shared / "disk").symlink_to(self.loop(self.raw_image("of the host")))
        c = self.sh("stat -c %F /disk; cat /disk; ls /sys/block | grep -c vd; true")
        c.mount(shared / "disk", "/disk", "bind", "rw")
        result = self.assert_run(c.run(), 0, err="not permitted|denied|No such")
        self.assertNotIn("of the host", result.out)
        if harness.IS_KATA:
            self.assertEqual(result.out, "block special file\n0\n", "no disk was plugged")

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

    def test_a_node_of_a_device_that_nobody_has(self):
        """A block device that the host has not is a node that cannot be opened, whatever the guest has there."""
        c = self.sh("stat -c '%t:%T %u:%g' /dev/none; head -c 1 /dev/none")
        c.linux["devices"] = [{"path": "/dev/none", "type": "b", "major": 7, "minor": 250, "uid": 10, "gid": 11}]
        self.assert_run(c.run(), 1, "7:fa 10:11\n", err="not permitted")

    @harness.kata_only
    def test_devices_that_cannot_be_given(self):
        c = self.sh("true")
        c.linux["devices"] = [{"path": "/dev/loop-none", "type": "b", "major": 7, "minor": 250}]
        rule = {"allow": True, "type": "b", "major": 7, "minor": 250, "access": "r"}
        c.linux.setdefault("resources", {}).setdefault("devices", []).append(rule)
        self.assert_run(c.run(), 1, err=r"linux.devices\[0\] \(/dev/loop-none\): the host has no block device 7:250")
        c = self.sh("true")
        c.linux["devices"] = [{"path": "/dev/dri/card0", "type": "c", "major": 226, "minor": 0}]
        self.assert_run(c.run(), 1, err=r"linux.devices\[0\] \(/dev/dri/card0\): the character device 226:0 is the host's")
        c = self.sh("true")
        c.mount("/dev/kvm", "/dev/kvm", "bind")
        self.assert_run(c.run(), 1, err=r"mounts\[\d+\].source: /dev/kvm is a character device of the host")
        c = self.sh("true")
        self.device(c, "/dev/mine", self.loop_without_file())
        self.assert_run(c.run(), 1, err=r"linux.devices\[0\] \(/dev/mine\): .* has no medium, or nothing is attached to it")

    @harness.kata_only
    def test_a_node_that_a_container_has_made(self):
        """The file server makes nodes for a guest on the host; what is behind them is not the guest's."""
        loop = self.loop(self.raw_image("x"))
        made = self.world.tmp / "made"
        os.mknod(made, 0o600 | stat.S_IFBLK, os.stat(loop).st_rdev)
        for type, options in (("bind", ("bind",)), ("ext4", ())):
            c = self.sh("true")
            c.mount(made, "/data/disk", *options, type=type)
            c.linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
            words = r"mounts\[\d+\].source: .*/made is a node of the block device .* not in the host's /dev"
            self.assert_run(c.run(), 1, err=words)

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


class VolumeTest(DiskCase):
    """File systems in mounts of config.json, which runc would mount on the host."""

    def volume(self, container, image, *options):
        container.mount(image, "/v", "loop", *options, type="ext4")
        return container

    @harness.kata_only
    def test_what_was_written_last_is_on_the_disk(self):
        image = self.image(size=128 * MIB)
        writer = self.volume(self.sh("dd if=/dev/urandom of=/v/data bs=1M count=64 2>/dev/null; md5sum </v/data"), image)
        written = self.assert_run(writer.run()).out
        self.assert_run(self.volume(self.sh("md5sum </v/data"), image, "ro").run(), 0, written)

    @harness.kata_only
    def test_options(self):
        image = self.image()
        script = "grep ' /v ' /proc/mounts; cp /bin/busybox /v; /v/busybox true"
        result = self.volume(self.sh(script), image, "noexec", "nosuid", "noatime", "dirsync").run()
        self.assertRegex(result.out, "^/dev/vda /v ext4 rw,[^ ]*nosuid,noexec,noatime")
        self.assertIn("dirsync", result.out)
        self.assertRegex(result.err, "Permission denied")
        bad = self.volume(self.sh("true"), image, "nosuchoption=1")
        self.assert_run(bad.run(), 1, err=rf"mounts\[\d+\].source \({image}\): .*cannot mount ext4")


class CtrTest(Disks, ContainerdCase):
    def test_a_device_and_a_volume(self):
        raw, volume = self.raw_image("of the host"), self.image()
        loop = self.loop(raw)
        mount = f"type=ext4,src={volume},dst=/v,options=loop:nosuid"
        script = f"head -c 11 {loop}; printf changed | dd of={loop} conv=notrunc,fsync 2>/dev/null; echo kept >/v/file"
        self.assert_run(self.run_sh(script, flags=("--device", loop, "--mount", mount)), 0, "of the host")
        self.assertEqual(raw.read_bytes()[:11], b"changedhost")
        self.assert_run(self.run_sh("cat /v/file", flags=("--mount", mount)), 0, "kept\n")

    def test_privileged(self):
        """With all devices of the host in its list."""
        loop = self.loop(self.raw_image("x"))
        result = self.assert_run(self.run_sh("ls /dev; ls /sys/block", flags=("--privileged",)))
        self.assertIn("fuse", result.out.split())
        for name in ("kvm", loop.name, "vda"):
            self.assertNotIn(name, result.out.split())

    def run_sh(self, script, flags=()):
        return self.run_container("sh", "-c", script, flags=flags)


class CriTest(Disks, CriCase):
    def test_a_block_volume(self):
        """volumeDevices of Kubernetes: shared by two containers of a pod, for one of them only to read."""
        raw = self.raw_image("of the host")
        loop = self.loop(raw)
        pod = self.run_pod()

        def volume(permissions):
            return [self.api.Device(container_path="/dev/xvda", host_path=str(loop), permissions=permissions)]

        writer = self.start_container(pod, "writer", devices=volume("mrw"))
        reader = self.start_container(pod, "reader", devices=volume("r"))
        change = "printf changed | dd of=/dev/xvda conv=notrunc,fsync 2>&1"
        self.assert_run(self.exec_sync(writer, change), 0)
        self.assertEqual(raw.read_bytes()[:11], b"changedhost")
        self.assert_run(self.exec_sync(reader, "dd if=/dev/xvda bs=11 count=1 iflag=direct 2>/dev/null"), 0, "changedhost")
        self.assertRegex(self.exec_sync(reader, change).out, "Operation not permitted")
        for container in (writer, reader):
            self.assertIn(str(loop), self.files_of_vmm())
            self.call("StopContainer", container_id=container)
            self.call("RemoveContainer", container_id=container)
        self.assertNotIn(str(loop), self.files_of_vmm())
        # Read-only for all: on the host, too.
        reader = self.start_container(pod, "again", devices=volume("r"))
        self.assert_run(self.exec_sync(reader, "cat /sys/block/vda/ro"), 0, "1\n")

    def test_privileged_pods(self):
        """With and without privileged_without_host_devices; only with it containerd gives them what is asked for."""
        loop, other = self.loop(self.raw_image("asked for")), self.loop(self.raw_image("x", "other.img"))

        def change(container):
            container.linux.security_context.privileged = True

        devices = [self.api.Device(container_path="/dev/xvda", host_path=str(loop), permissions="rwm")]
        for handler in ("kata", "kata-all-devices"):
            config = self.pod_config(f"{self.name()}-{handler}")
            config.linux.security_context.privileged = True
            pod = self.run_pod(config=config, handler=handler)
            container = self.start_container(pod, change=change, devices=devices)
            names = self.exec_sync(container, "ls /dev").out.split()
            self.assertEqual("fuse" in names, handler == "kata-all-devices")
            for name in ("kvm", other.name):
                self.assertNotIn(name, names)
            if handler == "kata":
                self.assert_run(self.exec_sync(container, "head -c 9 /dev/xvda"), 0, "asked for")
                self.call("StopContainer", container_id=container)


if __name__ == "__main__":
    harness.main()
