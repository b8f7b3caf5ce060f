# SPDX-License-Identifier: Apache-2.0
"""Newer QEMUs and the newer virtiofsd, those of other suites of Debian, beside the host's own."""
import os
import re
import subprocess

import debian
import harness
import leaks
from harness import Case

QEMUS = {"bookworm-backports": "10.", "forky": "11."}


@harness.kata_only
class QemuVersionsTest(Case):
    def tree(self, suite, package):
        """Where the sandbox's user can read it, as what root has kept he cannot."""
        place = self.world.tmp / f"{package}-{suite}"
        place.mkdir()
        subprocess.run(["mount", "--bind", debian.tree(suite, package), place], check=True)
        self.addCleanup(subprocess.run, ["umount", place], check=True)
        os.chmod(self.world.tmp, 0o755)
        return place

    def qemu(self, suite):
        root = self.tree(suite, "qemu-system-x86")
        data = ("-L", root / "usr/share/qemu", "-L", root / "usr/share/seabios")
        modules = f"QEMU_MODULE_DIR={root}/usr/lib/x86_64-linux-gnu/qemu"
        path = self.world.tmp / f"qemu-{suite}"
        return debian.wrapper(root, "usr/bin/qemu-system-x86_64", path, *data, environment=modules)

    def whole_life(self, text):
        """Files, a vCPU and memory that are plugged, an orderly end: all that differs between versions is used."""
        self.world.configure(text)
        c = self.sh("echo x >/new; exec sleep 1000")
        volume = self.world.tmp / f"volume-{c.id}"
        volume.mkdir()
        c.mount(volume, "/volume", "bind")
        self.start(c)
        self.assert_run(c.exec_sh("nproc; echo y >/volume/file; ln /volume/file /volume/link && stat -c %h /volume/link"), 0, "1\n2\n")
        self.assertEqual((volume / "file").read_text(), "y\n")
        self.assert_run(self.world.runtime("update", "--cpu-quota", "200000", "--cpu-period", "100000", "--memory", "3000M", c.id))
        self.assert_run(c.exec_sh("nproc"), 0, "2\n")

        def memory():
            return int(re.search(r"(\d+) kB", c.exec_sh("grep MemTotal /proc/meminfo").out)[1])

        # It comes online block by block.
        harness.wait_for(lambda: memory() > 2900 * 1024, "the memory is in use")
        commands = [command for command in leaks.descendants().values() if c.id in command or "virtiofsd" in command]
        self.assert_run(c.kill("KILL"))
        c.wait_for("stopped")
        self.assert_run(c.delete())
        return " ".join(commands)

    def test_qemus(self):
        for suite, version in QEMUS.items():
            with self.subTest(suite):
                program = self.qemu(suite)
                text = f'[hypervisor.qemu]\npath = "{program}"\n'
                self.world.configure(text)
                self.assertIn(f"QEMU emulator version {version}", self.world.runtime("check").out)
                self.assertIn(f"qemu-system-x86-{suite}", self.whole_life(text))

    def test_the_newer_virtiofsd(self):
        root = self.tree("forky", "virtiofsd")
        daemon = debian.wrapper(root, "usr/libexec/virtiofsd", self.world.tmp / "virtiofsd")
        self.assertIn(str(root), self.whole_life(f'[hypervisor.qemu]\nvirtio_fs_daemon = "{daemon}"\n'))


harness.main()
