# SPDX-License-Identifier: Apache-2.0
# lab: none: it wants packages of two other suites
"""Newer QEMUs and the newer virtiofsd, those of other suites of Debian, beside the host's own."""
import os
import re
import shutil
import subprocess

import debian
import harness
import leaks
from harness import Case

QEMUS = {"bookworm-backports": "10.", "forky": "11."}
FUNCTIONS = 500  # of a program, one a page


def program_source(number):
    """A program all of whose functions return the number, and which counts those that do not."""
    calls = "".join(f"wrong += f{i}() != {number};\n" for i in range(FUNCTIONS))
    functions = "".join(
        f"__attribute__((noinline, aligned(4096))) int f{i}(void) {{ return n + {number}; }}\n" for i in range(FUNCTIONS)
    )
    return f"volatile int n;\n{functions}int main(void) {{ int wrong = 0;\n{calls}return wrong != 0; }}\n"


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
        self.runs_no_stale_code(c, volume)
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

    def runs_no_stale_code(self, container, volume):
        """Programs with other code at the same addresses, one after the other in the same pages of the guest."""
        if not (self.world.tmp / "program2").exists():
            for number in (1, 2):
                source = self.world.tmp / f"program{number}.c"
                source.write_text(program_source(number))
                subprocess.run(["gcc", "-O1", "-static", "-no-pie", "-o", source.with_suffix(""), source], check=True)
        for copy in range(20):
            shutil.copy(self.world.tmp / f"program{copy % 2 + 1}", volume / f"{copy:02}")
        run_all = 'for p in /volume/??; do $p || echo "$p is wrong"; rm $p; done'  # removed, it leaves its pages to the next
        self.assert_run(container.exec_sh(run_all), 0, "")

    def test_the_hosts_qemu(self):
        self.whole_life("")

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


if __name__ == "__main__":
    harness.main()
