# SPDX-License-Identifier: Apache-2.0
"""Volumes as the kubelet lays them out: in memory, parts of them, read-only ones, mounts that come later."""
import os
import subprocess

import grpc

import harness
from cri import CriCase


class VolumeCase(CriCase):
    def mount(self, *arguments):
        subprocess.run(["mount", *map(str, arguments)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", arguments[-1]], check=True)

    def with_mount(self, path, host_path, **fields):
        def change(container):
            container.mounts.add(container_path=path, host_path=str(host_path), **fields)

        return change

    def end(self, container):
        self.call("StopContainer", container_id=container, timeout=0)
        self.call("RemoveContainer", container_id=container)


class MemoryTest(VolumeCase):
    def setUp(self):
        super().setUp()
        self.directory = self.world.tmp / "pods/uid"
        self.volume = self.directory / "volumes/kubernetes.io~empty-dir/memory"
        self.volume.mkdir(parents=True)
        self.mount("-t", "tmpfs", "-o", "size=8m,mode=2777,gid=2000", "tmpfs", self.volume)

    def test_it_lives_as_long_as_the_pod(self):
        pod = self.run_pod()
        change = self.with_mount("/memory", self.volume)
        first = self.start_container(pod, "first", change=change)
        self.assert_run(self.exec_sync(first, "echo data >/memory/file"))
        self.end(first)
        again = self.start_container(pod, "again", change=change)
        self.assert_run(self.exec_sync(again, "cat /memory/file"), 0, "data\n")
        self.assertEqual(os.listdir(self.volume), [], "it is the guest's memory")

    def test_a_part_of_it(self):
        """A subPath: the kubelet makes the directory in the volume and binds it to another place."""
        part = self.volume / "a/part"
        part.mkdir(parents=True)
        part.chmod(0o2750)
        place = self.directory / "volume-subpaths/memory/main/0"
        place.mkdir(parents=True)
        self.mount("--bind", part, place)
        pod = self.run_pod()
        one = self.start_container(pod, "one", change=self.with_mount("/part", place))
        self.assert_run(self.exec_sync(one, "echo data >/part/file; stat -c '%a %g' /part"), 0, "2750 2000\n")
        other = self.start_container(pod, "other", change=self.with_mount("/memory", self.volume))
        self.assert_run(self.exec_sync(other, "cat /memory/a/part/file"), 0, "data\n")
        self.end(one)
        again = self.start_container(pod, "again", change=self.with_mount("/part", place))
        self.assert_run(self.exec_sync(again, "cat /part/file"), 0, "data\n")
        self.assertEqual(os.listdir(part), [], "it is the guest's memory")


class MountTest(VolumeCase):
    def setUp(self):
        super().setUp()
        self.directory = self.world.tmp / "directory"
        self.inner = self.directory / "inner"
        self.inner.mkdir(parents=True)

    def test_read_only_is_the_mount_itself(self):
        """As with runc: what is mounted below keeps its own mode."""
        self.mount("-t", "tmpfs", "tmpfs", self.inner)
        for handler in ("runc", "kata"):
            pod = self.run_pod(handler, handler=handler)
            container = self.start_container(pod, change=self.with_mount("/directory", self.directory, readonly=True))
            top = self.exec_sync(container, "echo x >/directory/file")
            self.assert_run(top, 1, err="Read-only file system")
            self.assert_run(self.exec_sync(container, f"echo x >/directory/inner/{handler}"), 0)
            self.assertTrue((self.inner / handler).exists())

    def share(self):
        self.mount("--bind", self.directory, self.directory)
        subprocess.run(["mount", "--make-rshared", self.directory], check=True)

    def in_each(self, propagation):
        """A container of each runtime, and what it reads of the file in the directory's inner mount."""
        for handler in ("runc", "kata"):
            change = self.with_mount("/directory", self.directory, propagation=propagation)
            container = self.start_container(self.run_pod(handler, handler=handler), change=change)
            yield handler, lambda: self.exec_sync(container, "cat /directory/inner/new").out  # noqa: B023

    def mount_inner(self):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.inner], check=True)
        (self.inner / "new").write_text("new")

    def test_mounts_of_the_host_that_come_later(self):
        self.share()
        for handler, seen in self.in_each(self.api.PROPAGATION_HOST_TO_CONTAINER):
            self.assertEqual(seen(), "")
            self.mount_inner()
            try:
                harness.wait_for(lambda: seen() == "new", f"{handler}: it appears")
            finally:
                # In order it would be busy: the file server keeps what a guest has looked at open.
                subprocess.run(["umount", "-l", self.inner], check=True)
            harness.wait_for(lambda: seen() == "", f"{handler}: it goes")

    def test_private_mounts_are_of_the_moment(self):
        self.share()
        self.mount_inner()
        for handler, seen in self.in_each(self.api.PROPAGATION_PRIVATE):
            self.assertEqual(seen(), "new", handler)
            subprocess.run(["umount", self.inner], check=True)
            self.assertEqual(seen(), "new", f"{handler}: it goes on")
            self.mount_inner()
            (self.inner / "new").write_text("later")
            self.assertEqual(seen(), "new", f"{handler}: what comes later does not appear")
            (self.inner / "new").write_text("new")
        subprocess.run(["umount", self.inner], check=True)

    def test_mounts_that_are_to_appear_on_the_host_are_refused(self):
        self.share()
        pod = self.run_pod()
        change = self.with_mount("/directory", self.directory, propagation=self.api.PROPAGATION_BIDIRECTIONAL)
        with self.assertRaisesRegex(grpc.RpcError, "cannot appear on the host.*Bidirectional"):
            self.start_container(pod, change=change)


if __name__ == "__main__":
    harness.main()
