# SPDX-License-Identifier: Apache-2.0
"""Block devices and file system images: as rootfs, as volumes, as device nodes; and device nodes of other kinds."""
import os
import pathlib
import re
import signal
import stat
import subprocess

import harness
import leaks
import rootfs
import ttrpc
from containerd import ContainerdCase
from cri import CriCase
from test_sandbox_api import SANDBOX, SHIM, TASK

MIB = 1 << 20


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
        for device in self.loops:
            run("losetup", "--detach", device)
            listed = run("losetup", "--list", "--noheadings", "--output", "NAME", "--raw").splitlines()
            self.assertNotIn(device, listed, "somebody still has it")

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
        self.loops.append(device)
        return pathlib.Path(device)

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


class DeviceNodeTest(DiskCase):
    """kata-runtime's door: linux.devices and mounts of config.json."""

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
    def test_a_node_that_a_container_has_made(self):
        """virtiofsd makes nodes for a guest on the host; what is behind them is not the guest's."""
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


class Pod:
    """A shim of its own with a pod that stands, driven as containerd does it."""

    def __init__(self, test):
        self.test = test
        world = test.world
        self.messages, self.api, self.task, self.mount = ttrpc.load_messages(
            world.tmp, "ttrpc", "sandbox", "shim", "mount"
        )
        self.pod = test.container("/bin/true")
        self.pod.namespace("network")
        self.pod.write()
        environment = {**os.environ, "TTRPC_ADDRESS": "", "MAX_SHIM_VERSION": "2"}
        if world.config:
            environment["KATA_CONF_FILE"] = str(world.config)
        self.environment = environment
        self.shim("start")
        test.addCleanup(self.shim, "delete")
        address = (self.pod.bundle / "address").read_text()
        self.client = ttrpc.Client(address.removeprefix("unix://"), self.messages)
        test.addCleanup(self.client.close)
        self.sandbox_call("CreateSandbox", bundle_path=str(self.pod.bundle))
        self.sandbox_call("StartSandbox")

    def shim(self, action):
        flags = ["-namespace", "test", "-address", "/nowhere", "-id", self.pod.id]
        subprocess.run([SHIM, *flags, action], cwd=self.pod.bundle, check=True, capture_output=True,
                       stdin=subprocess.DEVNULL, timeout=harness.TIMEOUT, env=self.environment)  # fmt: skip

    def sandbox_call(self, method, **fields):
        request = getattr(self.api, f"{method}Request")(sandbox_id=self.pod.id, **fields)
        return self.client.call(SANDBOX, method, request, getattr(self.api, f"{method}Response"))

    def call(self, method, container, **fields):
        request = getattr(self.task, f"{method}Request")(id=container.id, **fields)
        reply = {"Kill": self.messages.Response}.get(method) or getattr(self.task, f"{method}Response")
        return self.client.call(TASK, method, request, reply)

    def create(self, container, *mounts):
        """mounts: (type, source, options...) of its rootfs."""
        container.spec["annotations"] = {
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.sandbox-id": self.pod.id,
        }
        container.write()
        out = f"file://{container.bundle}/out"
        rootfs = [self.mount.Mount(type=type, source=str(source), options=options) for type, source, *options in mounts]
        request = self.task.CreateTaskRequest(
            id=container.id, bundle=str(container.bundle), rootfs=rootfs, stdout=out, stderr=out
        )
        self.client.call(TASK, "Create", request, self.task.CreateTaskResponse)
        return container

    def out(self, container):
        return (container.bundle / "out").read_text()

    def run(self, container, *mounts):
        """Its whole life: what it has printed."""
        self.create(container, *mounts)
        self.call("Start", container)
        status = self.call("Wait", container).exit_status
        self.call("Delete", container)
        self.test.assertEqual(status, 0, self.out(container))
        return self.out(container)

    def fails(self, container, *mounts):
        with self.test.assertRaises(ttrpc.Failure) as failure:
            self.create(container, *mounts)
        return failure.exception


class RootfsTest(DiskCase):
    """containerd's door: what a snapshotter gives as mounts."""

    def template(self):
        return rootfs.template("busybox")

    def empty(self, script):
        return self.container("/bin/sh", "-c", script, image=None)

    def check_life(self, type, source, *options):
        pod = Pod(self)
        first = pod.run(self.empty("grep ' / ' /proc/mounts; echo kept >/file; sync"), (type, source, *options))
        self.assertRegex(first, rf"^/dev/\w+ / {type} rw,")
        self.assertNotIn(str(source), self.files_of_vmm(), "it is closed with its container")
        self.assertEqual(pod.run(self.empty("cat /file; ls /sys/block"), (type, source, *options)).split()[0], "kept")

    def test_an_image_with_a_thread_of_its_own(self):
        self.world.configure("[hypervisor.qemu]\nenable_iothreads = true\n")
        self.check_life("ext4", self.image(folder=self.template()), "loop")

    def test_an_image(self):
        self.check_life("ext4", self.image(folder=self.template()), "loop", "rw")

    def test_a_block_device(self):
        self.check_life("ext4", self.loop(self.image(folder=self.template())), "rw")

    def test_an_image_on_scsi(self):
        self.world.configure('[hypervisor.qemu]\nblock_device_driver = "virtio-scsi"\nenable_iothreads = true\n')
        self.check_life("ext4", self.image(folder=self.template()), "loop")

    def test_disks_are_kept_out(self):
        """The host mounts them then, and attaches the loop devices that this needs."""
        self.world.configure("[hypervisor.qemu]\ndisable_block_device_use = true\n")
        pod = Pod(self)
        image, volume = self.image(folder=self.template()), self.image("volume.img")
        c = self.empty("grep -c virtiofs /proc/mounts; ls /sys/block; echo new >/volume/file; cat /volume/file")
        c.mount(volume, "/volume", "loop", type="ext4")
        self.assertEqual(pod.run(c, ("ext4", image, "loop")).split()[-1], "new")
        loop = self.loop(self.raw_image("x"))
        c = self.empty("true")
        self.device(c, "/dev/mine", loop)
        self.assertRegex(str(pod.fails(c, ("ext4", image, "loop"))), "disable_block_device_use keeps disks out")
        # While the guest knows of a file in them, virtiofsd has it open.
        pod.sandbox_call("StopSandbox", timeout_secs=30)
        for file in (image, volume):
            harness.wait_for(lambda file=file: not run("losetup", "--associated", file), f"{file} is detached")

    def test_read_only(self):
        image = self.image(folder=self.template())
        before = image.read_bytes()
        out = Pod(self).run(
            self.empty("grep ' / ' /proc/mounts; touch /x; mount -o remount,rw /; cat /sys/block/vda/ro"),
            ("ext4", image, "loop", "ro"),
        )
        self.assertRegex(out, r"^/dev/\w+ / ext4 ro,")
        self.assertIn("Read-only file system", out)
        self.assertEqual(out.split()[-1], "1")
        self.assertEqual(image.read_bytes(), before)

    def test_two_containers_share_a_volume(self):
        pod = Pod(self)
        volume = self.image("volume.img")
        writer, reader = self.sh("while ! test -e /v/read; do usleep 10000; done"), self.sh("cat /v/file; touch /v/x; ls /sys/block")
        for c, option in ((writer, "rw"), (reader, "ro")):
            c.mount(volume, "/v", "loop", "noexec", option, type="ext4")
        pod.create(writer)
        pod.call("Start", writer)
        first = self.sh("echo written >/v/file; grep ' /v ' /proc/mounts")
        first.mount(volume, "/v", "loop", type="ext4")
        self.assertIn(" /v ext4 rw", pod.run(first))
        out = pod.run(reader)
        self.assertRegex(out, "^written\ntouch: /v/x: Read-only file system\n")
        self.assertIn("vda", out)
        self.assertNotIn("vdb", out)
        self.assertIn(str(volume), self.files_of_vmm(), "for as long as one uses it")
        last = self.sh("touch /v/read")
        last.mount(volume, "/v", "loop", type="ext4")
        pod.run(last)
        pod.call("Wait", writer)
        pod.call("Delete", writer)
        self.assertNotIn(str(volume), self.files_of_vmm())

    def test_what_is_no_file_system(self):
        pod = Pod(self)
        raw = self.raw_image("nothing that a kernel would know")
        whole = self.image("whole.img", folder=self.template())
        cut = self.world.tmp / "cut.img"
        cut.write_bytes(whole.read_bytes()[: 5 * MIB])
        huge = self.image("huge.img", size=1 << 43, type=None)
        empty = self.image("empty.img", size=0, type=None)
        for image, words in ((raw, "cannot mount ext4"), (cut, "cannot mount ext4"), (huge, "cannot mount ext4"),
                             (empty, "is an empty file"), (self.world.tmp, "is neither a block device nor an image file"),
                             (self.world.tmp / "none", "No such file")):  # fmt: skip
            failure = pod.fails(self.empty("true"), ("ext4", image, "loop"))
            self.assertRegex(str(failure), rf"rootfs\[0\].*{re.escape(str(image))}")
            self.assertRegex(str(failure), words)
            self.assertEqual([name for name in self.files_of_vmm() if str(self.world.tmp) in name], [])
        self.assertEqual(pod.run(self.empty("echo fine"), ("ext4", whole, "loop")), "fine\n")

    def test_an_image_that_another_machine_has(self):
        image = self.image(folder=self.template())
        other = self.container("/bin/sleep", "1000")
        other.mount(image, "/mnt", "loop", type="ext4")
        self.start(other)
        failure = Pod(self).fails(self.empty("true"), ("ext4", image, "loop"))
        self.assertRegex(str(failure), rf"rootfs\[0\]: {image} is in use by another virtual machine")

    def test_a_machine_that_dies(self):
        image = self.image(folder=self.template())
        pod = Pod(self)
        container = pod.create(self.empty("sleep 1000"), ("ext4", image, "loop"))
        pod.call("Start", container)
        os.kill(self.vmm(), signal.SIGKILL)
        self.assertEqual(pod.call("Wait", container).exit_status, 137)
        self.assertEqual(pod.call("Delete", container).exit_status, 137)
        again = self.sh("echo fine")
        again.mount(image, "/v", "loop", type="ext4")
        self.assert_run(again.run(), 0, "fine\n")

    def test_more_disks_than_there_are_places(self):
        pod = Pod(self)
        c = self.sh("ls -d /v*/lost+found | wc -l")
        images = [self.image(f"{i}.img", size=MIB) for i in range(32)]
        for i, image in enumerate(images[:20]):
            c.mount(image, f"/v{i}", "loop", type="ext4")
        self.assertEqual(pod.run(c), "20\n")
        for i, image in enumerate(images[20:]):
            c.mount(image, f"/w{i}", "loop", type="ext4")
        failure = pod.fails(c)
        self.assertRegex(str(failure), r"mounts\[\d+\].source: .* cannot be plugged .* all \d+ places .* are taken")
        self.assertEqual([name for name in self.files_of_vmm() if str(self.world.tmp) in name], [])


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
