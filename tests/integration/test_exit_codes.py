# SPDX-License-Identifier: Apache-2.0
"""A status passes through unchanged; what cannot be started is said as runc says it, for engines to read."""
import harness
from harness import Case, SharedCase

NOT_FOUND = r'unable to start container process: exec: \\?"no-such-program\\?": executable file not found in \$PATH'
NOT_THERE = r'unable to start container process: exec: \\?"/no/such/program\\?": stat /no/such/program: no such file or directory'
NOT_EXECUTABLE = r'unable to start container process: exec: \\?"/etc/passwd\\?": permission denied'


class RunTest(Case):
    def test_statuses(self):
        for status in (0, 255):
            self.assert_run(self.sh(f"exit {status}").run(), status, "")

    def test_killed_from_outside(self):
        c = self.sh("touch /ready; sleep 1000; true")
        child = c.popen_run()
        harness.wait_for((c.rootfs / "ready").exists, "it runs")
        self.assert_run(c.kill("KILL"))
        self.assertEqual(child.wait(harness.TIMEOUT), 137)
        self.assert_nothing_left()

    def test_a_command_that_is_not_there(self):
        c = self.container("no-such-program")
        self.assert_run(c.run(), 1, "", NOT_FOUND)
        self.assertEqual(c.status(), "gone")
        self.assert_run(c.create(), 1, err=NOT_FOUND)
        self.assertEqual(c.status(), "gone")
        self.assert_nothing_left()

    def test_a_path_that_is_not_there(self):
        self.assert_run(self.container("/no/such/program").create(), 1, err=NOT_THERE)

    def test_a_file_that_is_no_program(self):
        self.assert_run(self.container("/etc/passwd").create(), 1, err=NOT_EXECUTABLE)
        self.assert_nothing_left()


class ExecTest(SharedCase):
    def test_statuses(self):
        for status in (0, 1, 2, 42, 126, 127, 128, 137, 255):
            self.assert_run(self.shared.exec_sh(f"exit {status}"), status, "")

    def test_signals(self):
        for name, number in (("KILL", 9), ("TERM", 15), ("SEGV", 11), ("USR1", 10)):
            self.assert_run(self.shared.exec_sh(f"kill -{name} $$"), 128 + number, "")

    def test_commands_that_cannot_be_started(self):
        self.assert_run(self.shared.exec("no-such-program"), 255, "", "exec failed: " + NOT_FOUND)
        self.assert_run(self.shared.exec("/no/such/program"), 255, "", "exec failed: " + NOT_THERE)
        self.assert_run(self.shared.exec("/etc/passwd"), 255, "", "exec failed: " + NOT_EXECUTABLE)
        self.assert_run(self.shared.exec("/etc"), 255, "", "permission denied")

    def test_a_script_whose_interpreter_is_missing(self):
        script = self.shared.rootfs / "bin/script"
        script.write_text("#!/no/interpreter\n")
        script.chmod(0o755)
        result = self.shared.exec("script")
        self.assertIn(result.status, (1, 255), result)  # found at execve(2) only, when runc cannot tell any more
        self.assertRegex(result.err, "(?i)no such file or directory")

    def test_a_file_of_another_format(self):
        path = self.shared.rootfs / "bin/garbage"
        path.write_bytes(b"\0\1\2\3")
        path.chmod(0o755)
        result = self.shared.exec("garbage")
        self.assertIn(result.status, (1, 255), result)
        self.assertRegex(result.err, "(?i)exec format error")


if __name__ == "__main__":
    harness.main()
