# SPDX-License-Identifier: Apache-2.0
"""A container with real programs, on a root file system and a volume that its machine shares with the host."""
import os

import harness
import rootfs
from places import temporary_places

SCRIPTS = harness.REPOSITORY / "tests/files/programs"
# Multiplies what the tests do. 1 is what `make check` has time for.
AMOUNT = int(os.environ.get("KATA_FILES_AMOUNT", 1))
# Those of an engine, and what mount and mknod need.
CAPABILITIES = """CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT MKNOD
    AUDIT_WRITE SETFCAP""".split()


def give(container, *capabilities):
    names = [f"CAP_{name}" for name in capabilities]
    container.process["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}


def mounted_rootfs(places):
    """The root file system "programs" as an engine gives it: an overlay, whose lower directory nobody changes."""
    return places.overlay("rootfs", rootfs.template("programs"))


class ProgramsCase(harness.SharedCase):
    """One container for all tests of a class, with the volume of its own /volume. What a test runs are scripts of
    tests/files/programs, which are at /programs."""

    image = None
    cache = "auto"
    capabilities = CAPABILITIES

    @classmethod
    def setUpClass(cls):
        cls.places = temporary_places(cls)
        cls.root = mounted_rootfs(cls.places)
        cls.volume = cls.places.plain("volume")
        super().setUpClass()
        harness.wait_for((cls.root / "run/end").exists, "it waits for its end")

    @classmethod
    def prepare(cls, container):
        if harness.IS_KATA:
            container.world.configure(f'[hypervisor.qemu]\nvirtio_fs_cache = "{cls.cache}"\n')
        container.spec["root"]["path"] = str(cls.root)
        # It reaps what the daemons of the tests leave to it.
        container.process["args"] = ["/bin/bash", "-c", "mkfifo /run/end && read <>/run/end"]
        container.process["env"] = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                                    "HOME=/root", f"AMOUNT={AMOUNT}"]  # fmt: skip
        container.process["noNewPrivileges"] = False
        give(container, *cls.capabilities)
        container.mount(SCRIPTS, "/programs", "bind", "ro")
        container.mount(cls.volume, "/volume", "bind")

    def program(self, name, *arguments):
        """Runs a script, which fails when something was not as it should be."""
        result = self.shared.exec("/bin/bash", f"/programs/{name}.sh", *arguments, timeout=(3 + AMOUNT) * harness.TIMEOUT)
        self.assert_run(result)
        return result
