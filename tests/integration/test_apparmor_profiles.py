# SPDX-License-Identifier: Apache-2.0
# lab: none: it wants cmake and what has been configured
"""The profiles of AppArmor as the parsers of Debian 12 and 13 read them. That they are enforced is shown by
tests/lab/test_apparmor.py, on a host that has AppArmor."""
import os
import pathlib
import subprocess

import debian
import harness

PROFILES = harness.REPOSITORY / "packaging/apparmor"
NAMES = ["kata-fsd", "kata-qemu", "kata-sandbox", "kata-shim", "kata-virtiofsd"]


@harness.kata_only
class ProfilesTest(harness.Case):
    def parser(self, suite):
        """apparmor_parser with that suite's abstractions and features of the kernel, and what `make install` adds."""
        root = debian.tree(suite, "apparmor")
        program = "sbin/apparmor_parser" if (root / "sbin").exists() else "usr/sbin/apparmor_parser"
        path = debian.wrapper(root, program, self.world.tmp / f"parser-{suite}")
        features = root / "usr/share/apparmor-features/features"
        # Without a cache, and into no kernel.
        return [path, "--config-file", "/dev/null", "--skip-kernel-load", "--skip-cache", f"--kernel-features={features}",
                f"--policy-features={features}", f"--base={root}/etc/apparmor.d", f"--Include={self.installed()}"]  # fmt: skip

    def installed(self):
        place = self.world.tmp / "installed"
        environment = {**os.environ, "DESTDIR": str(place)}
        build = pathlib.Path(harness.RUNTIME).parents[1]
        install = ["cmake", "--install", build, "--component", "apparmor"]
        subprocess.run(install, env=environment, check=True, capture_output=True)
        return place / "etc/apparmor.d"

    def compiles(self, suite):
        parser = self.parser(suite)
        files = sorted(path for path in self.installed().iterdir() if path.is_file())
        done = subprocess.run([*parser, *files], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        names = subprocess.run([*parser, "--names", *files], capture_output=True, text=True, check=True).stdout
        self.assertEqual(sorted(names.split()), NAMES)
        # A parser that takes anything would show nothing.
        broken = self.world.tmp / f"broken-{suite}"
        broken.write_text((PROFILES / "kata-qemu").read_text().replace(" rwk,", " rwq,"))
        self.assertNotEqual(subprocess.run([*parser, broken], capture_output=True, check=False).returncode, 0)

    def test_debian_12(self):
        self.compiles("bookworm")

    def test_debian_13(self):
        self.compiles("trixie")


if __name__ == "__main__":
    harness.main()
