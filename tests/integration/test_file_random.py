# SPDX-License-Identifier: Apache-2.0
"""Random operations on files, each compared with a model of them: on the host's file systems, in each cache mode.

The same operations each time; KATA_FILES_AMOUNT makes more of them, and others each time. A failure names its seed, and
KATA_FILES_SEED takes it again."""
import os
import pathlib
import random
import shutil

import harness
from places import temporary_places
from programs import AMOUNT

PROGRAM = pathlib.Path(os.environ.get("KATA_FILES_RANDOM", harness.REPOSITORY / "build/tests/files-random"))
SEED = int(os.environ.get("KATA_FILES_SEED", 165487 if AMOUNT == 1 else random.randrange(1_000_000)))
COUNT = 1000 * AMOUNT


class RandomCase(harness.SharedCase):
    cache = "auto"

    @classmethod
    def setUpClass(cls):
        cls.places = temporary_places(cls)
        cls.mounts = cls.volumes()
        super().setUpClass()

    @classmethod
    def prepare(cls, container):
        if harness.IS_KATA:
            container.world.configure(f'[hypervisor.qemu]\nvirtio_fs_cache = "{cls.cache}"\n')
        shutil.copy(PROGRAM, container.rootfs)
        for name, path in cls.mounts.items():
            container.mount(path, f"/{name}", "bind")

    def operations(self, *directories):
        """Several files at once, of which each has its own process."""
        self.assert_run(self.shared.exec("/files-random", *directories, COUNT, SEED, 3, timeout=5 * harness.TIMEOUT), 0, "")


class PlacesTest(RandomCase):
    @classmethod
    def volumes(cls):
        plain = cls.places.plain()
        return {"plain": plain, "again": plain, "tmpfs": cls.places.tmpfs(), "overlay": cls.places.overlay(),
                **{kind: cls.places.image(kind) for kind in ("ext4", "xfs", "btrfs")}}  # fmt: skip

    def test_rootfs(self):
        self.operations("/root")

    def test_a_directory_that_is_mounted_twice(self):
        self.operations("/plain", "/again")

    def test_tmpfs(self):
        self.operations("/tmpfs")

    def test_overlay(self):
        self.operations("/overlay")

    def test_ext4(self):
        self.operations("/ext4")

    def test_xfs(self):
        self.operations("/xfs")

    def test_btrfs(self):
        self.operations("/btrfs")


class TwiceCase(RandomCase):
    @classmethod
    def volumes(cls):
        plain = cls.places.plain()
        return {"plain": plain, "again": plain}


class AlwaysTest(TwiceCase):
    """Where the guest believes for a day what it knows of files."""

    cache = "always"

    def test_a_directory_that_is_mounted_twice(self):
        self.operations("/plain", "/again")


class NeverTest(TwiceCase):
    """Where the guest asks for everything, except for what somebody maps."""

    cache = "never"

    def test_a_directory_that_is_mounted_twice(self):
        self.operations("/plain", "/again")


if __name__ == "__main__":
    harness.main()
