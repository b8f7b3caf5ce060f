# SPDX-License-Identifier: Apache-2.0
"""Real programs on shared files: each does its work, and then its own check of consistency finds nothing."""
import harness
from programs import CAPABILITIES, ProgramsCase


class ProgramsTest(ProgramsCase):
    def test_git(self):
        self.program("git", "/volume/git")

    def test_sqlite(self):
        self.program("sqlite", "/volume/sqlite")

    def test_postgresql(self):
        self.program("postgresql", "/volume/postgresql")

    def test_redis(self):
        self.program("redis", "/volume/redis")

    def test_nginx(self):
        self.program("nginx", "/volume/nginx")

    def test_rsync(self):
        self.program("rsync", "/volume/rsync", "/root/rsync")

    def test_tar(self):
        self.program("tar", "/volume/tar")

    def test_packages(self):
        self.program("packages", "/root/packages")

    def test_stressors(self):
        self.program("stressors", "/volume/stressors")


class UncachedTest(ProgramsCase):
    """What maps files works where the guest keeps nothing of them, too."""

    cache = "never"

    def test_sqlite(self):
        self.program("sqlite", "/volume/sqlite")


class PodmanTest(ProgramsCase):
    """With the rights of a privileged container: in a virtual machine these are no danger to the host."""

    capabilities = [*CAPABILITIES, *"SYS_ADMIN NET_ADMIN DAC_READ_SEARCH SYS_PTRACE".split()]

    @classmethod
    def prepare(cls, container):
        super().prepare(container)
        container.linux.update(maskedPaths=[], readonlyPaths=[])

    def test_podman(self):
        self.program("podman", "/volume/podman")


if __name__ == "__main__":
    harness.main()
