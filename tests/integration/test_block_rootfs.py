# SPDX-License-Identifier: Apache-2.0
"""Block devices and images as rootfs and volumes that containerd gives: a shim of the test's own."""
import os
import re
import signal
import subprocess

import harness
import rootfs
import ttrpc
from disks import MIB, DiskCase, run
from test_sandbox_api import SANDBOX, SHIM, TASK


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
    """containerd's interface: what a snapshotter gives as mounts."""

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
        self.check_life("ext4", self.image(directory=self.template()), "loop")

    def test_an_image(self):
        self.check_life("ext4", self.image(directory=self.template()), "loop", "rw")

    def test_a_block_device(self):
        self.check_life("ext4", self.loop(self.image(directory=self.template())), "rw")

    def test_an_image_on_scsi(self):
        self.world.configure('[hypervisor.qemu]\nblock_device_driver = "virtio-scsi"\nenable_iothreads = true\n')
        self.check_life("ext4", self.image(directory=self.template()), "loop")

    def test_disks_are_kept_out(self):
        """The host mounts them then, and attaches the loop devices that this needs."""
        self.world.configure("[hypervisor.qemu]\ndisable_block_device_use = true\n")
        pod = Pod(self)
        image, volume = self.image(directory=self.template()), self.image("volume.img")
        c = self.empty("grep -c virtiofs /proc/mounts; ls /sys/block; echo new >/volume/file; cat /volume/file")
        c.mount(volume, "/volume", "loop", type="ext4")
        self.assertEqual(pod.run(c, ("ext4", image, "loop")).split()[-1], "new")
        loop = self.loop(self.raw_image("x"))
        c = self.empty("true")
        self.device(c, "/dev/mine", loop)
        self.assertRegex(str(pod.fails(c, ("ext4", image, "loop"))), "disable_block_device_use keeps disks out")
        # While the guest knows of a file in them, the file server may have it open.
        pod.sandbox_call("StopSandbox", timeout_secs=30)
        for file in (image, volume):
            harness.wait_for(lambda file=file: not run("losetup", "--associated", file), f"{file} is detached")

    def test_read_only(self):
        image = self.image(directory=self.template())
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
        whole = self.image("whole.img", directory=self.template())
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
        image = self.image(directory=self.template())
        other = self.container("/bin/sleep", "1000")
        other.mount(image, "/mnt", "loop", type="ext4")
        self.start(other)
        failure = Pod(self).fails(self.empty("true"), ("ext4", image, "loop"))
        self.assertRegex(str(failure), rf"rootfs\[0\]: {image} is in use by another virtual machine")

    def test_a_machine_that_dies(self):
        image = self.image(directory=self.template())
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


if __name__ == "__main__":
    harness.main()
