# SPDX-License-Identifier: Apache-2.0
"""A whole Debian in a container, not only busybox."""
import harness
from harness import Case


class DebianTest(Case):
    def test_it_is_debian(self):
        c = self.container("/bin/bash", "-c", "apt --version; . /etc/os-release; echo $ID; exit 17", image="debootstrap")
        result = self.assert_run(c.run(), 17)
        self.assertRegex(result.out, r"^apt \d+\.\d+.*\ndebian\n$")

    def test_users_groups_and_programs(self):
        c = self.container("/bin/sleep", "1000", image="debootstrap")
        names = ["CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_AUDIT_WRITE"]
        c.process["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}
        c.process["noNewPrivileges"] = False
        self.start(c)

        def bash(script, status=0, out=None, **options):
            return self.assert_run(c.exec("/bin/bash", "-c", script, **options), status, out)

        bash("groupadd --gid 3000 team && useradd --uid 2000 --create-home --groups team --shell /bin/bash anna")
        bash("su anna -c 'id -un; id -Gn; cd; pwd'", 0, "anna\nanna team\n/home/anna\n")
        bash("su anna -c 'touch ~/file; ls -l ~/file' | awk '{print $3, $4}'", 0, "anna anna\n")
        bash("su anna -c 'cat /etc/shadow'", 1)
        bash("for i in {1..5}; do echo $((i * i)); done | sort -rn | head -n 2", 0, "25\n16\n")
        bash("dpkg --list | grep -c ^ii", 0)
        bash("dpkg --verify coreutils", 0, "")
        bash("perl -e 'print 6 * 7, \"\\n\"'", 0, "42\n")
        bash("tar -C / -c etc | tar -t | grep -c etc/passwd", 0)
        self.assertEqual((c.rootfs / "home/anna/file").stat().st_uid, 2000)


if __name__ == "__main__":
    harness.main()
