# SPDX-License-Identifier: Apache-2.0
"""What the host itself enforces and keeps to itself, whatever a guest, a bundle or an engine does."""
import os
import pathlib

import harness
from harness import Case
from test_security import privileged


class ReadOnlyRootTest(Case):
    def test_the_host_refuses_to_write(self):
        """Who may mount makes the guest's own read-only mount writable again; the host's is another one."""
        script = "mount -o remount,rw / && touch /written; touch /etc/written; touch /dev/shm/x && echo tmpfs"
        c = self.sh(script)
        privileged(c)
        c.spec["root"]["readonly"] = True
        self.assert_run(c.run(), 0, "tmpfs\n", err="Read-only file system")
        self.assertFalse((c.rootfs / "written").exists())
        self.assertFalse((c.rootfs / "etc/written").exists())

    def test_mount_points_that_the_image_lacks(self):
        """They are made in the image, beneath it whatever links it has."""
        volume = self.world.tmp / "volume"
        volume.mkdir()
        (volume / "file").write_text("content")
        outside = self.world.tmp / "outside"
        outside.mkdir()
        c = self.sh("cat /new/place/file /new/file /linked/below/file; pwd; touch /x")
        c.spec["root"]["readonly"] = True
        c.process["cwd"] = "/not/there"
        (c.rootfs / "linked").symlink_to(outside)
        c.mount(volume, "/new/place", "bind", "ro")
        c.mount(volume / "file", "/new/file", "bind", "ro")
        c.mount(volume, "/linked/below", "bind", "ro")
        self.assert_run(c.run(), 1, "contentcontentcontent/not/there\n", err="Read-only file system")
        self.assertEqual(list(outside.iterdir()), [])


class BundleTest(Case):
    def test_a_fifo_is_no_resolv_conf(self):
        """Nobody writes to it: reading it would never end."""
        fifo = self.world.tmp / "fifo"
        os.mkfifo(fifo)
        c = self.sh("true")
        c.mount(fifo, "/etc/resolv.conf", "bind", "ro")
        if harness.IS_KATA:
            self.assert_run(c.run(), 1, err="fifo is not a regular file")
        else:
            self.assert_run(c.run(), 0)

    @harness.kata_only
    def test_the_environment_of_an_engine_stays_with_it(self):
        self.world.environment["SECRET_OF_THE_ENGINE"] = "1"
        c = self.started()
        record = c.record()
        pids = [record["sandbox"]["pid"], record["standin"]["pid"], *(helper["pid"] for helper in record["helpers"])]
        self.assertGreaterEqual(len(pids), 4)
        for pid in pids:
            self.assertNotIn(b"SECRET_OF_THE_ENGINE", pathlib.Path(f"/proc/{pid}/environ").read_bytes(), pid)

    @harness.kata_only
    def test_core_dumps_are_without_the_guests_memory(self):
        c = self.started()
        for helper in c.record()["helpers"]:
            pid = helper["pid"]
            self.assertEqual(int(pathlib.Path(f"/proc/{pid}/coredump_filter").read_text(), 16) & 0b1010, 0, pid)


if __name__ == "__main__":
    harness.main()
