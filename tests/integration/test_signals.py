# SPDX-License-Identifier: Apache-2.0
"""Signals on their way into a container, and what their default actions do."""
import os
import signal

import harness
from harness import Case, SharedCase


class KillTest(Case):
    def test_names_and_numbers_reach_the_handler(self):
        c = self.sh(
            "trap 'echo one' USR1; trap 'echo two' USR2; trap 'echo hup' HUP; trap 'echo rt' 35;"
            "trap 'echo term; exit 21' TERM; echo ready; while :; do sleep 0.05; done"
        )
        c.write()
        read, write = os.pipe()
        child = self.world.popen("run", "--bundle", c.bundle, c.id, stdout=write)
        os.close(write)
        with open(read, "r") as output:
            self.assertEqual(output.readline(), "ready\n")
            for name, answer in (("USR1", "one"), ("SIGUSR2", "two"), ("1", "hup"), ("usr1", "one"), ("35", "rt")):
                self.assert_run(c.kill(name))
                self.assertEqual(output.readline(), answer + "\n", name)
            # Without a name it is SIGTERM.
            self.assert_run(self.world.runtime("kill", c.id))
            self.assertEqual(output.read(), "term\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 21)
        self.assert_nothing_left()

    def test_the_runtime_in_the_foreground_passes_signals_on(self):
        c = self.sh("trap 'echo int; exit 22' INT; trap 'echo usr' USR1; echo ready; while :; do sleep 0.05; done")
        read, write = os.pipe()
        child = c.popen_run(stdout=write)
        os.close(write)
        with open(read, "r") as output:
            self.assertEqual(output.readline(), "ready\n")
            child.send_signal(signal.SIGUSR1)
            self.assertEqual(output.readline(), "usr\n")
            child.send_signal(signal.SIGINT)
            self.assertEqual(output.read(), "int\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 22)

    def test_signals_to_the_pid_on_the_host(self):
        """Engines signal the pid that they were given."""
        c = self.start(self.sh("trap 'echo usr >/usr' USR1; while :; do sleep 0.05; done"))
        pid = c.state()["pid"]
        self.assert_run(c.exec_sh("until grep -q 'SigCgt:.*[2367abef]..$' /proc/1/status; do sleep 0.05; done"))
        os.kill(pid, signal.SIGUSR1)
        harness.wait_for((c.rootfs / "usr").exists, "SIGUSR1 arrives")
        os.kill(pid, signal.SIGKILL)
        c.wait_for("stopped")
        self.assert_run(c.delete())
        self.assert_nothing_left()

    def test_all_processes(self):
        c = self.start(self.sh("sleep 1001 & sleep 1002 & while :; do wait; done"))
        harness.wait_for(lambda: {"sleep 1001", "sleep 1002"} <= set(c.processes()), "both sleep")
        self.assert_run(c.kill("TERM", "--all"))
        harness.wait_for(lambda: not {"sleep 1001", "sleep 1002"} & set(c.processes()), "both have ended")
        self.assertEqual(c.status(), "running")
        self.assert_run(c.kill("KILL", "--all"))
        c.wait_for("stopped")
        self.assert_run(c.delete())
        self.assert_nothing_left()

    def test_unknown_signals(self):
        c = self.started()
        self.assert_run(c.kill("FOO"), 1, err='unknown signal \\\\?"FOO')
        result = c.kill("9999")
        self.assertNotEqual(result.status, 0, result)
        self.assertEqual(c.status(), "running")

    def test_0_only_asks_whether_it_is_there(self):
        c = self.container("/bin/sleep", "1000")
        self.assert_run(c.create())
        self.assert_run(c.kill("0"))
        self.assertEqual(c.status(), "created")
        self.assert_run(c.start())
        self.assert_run(c.kill("0"))
        self.assertEqual(c.status(), "running")
        self.assert_run(c.kill("KILL"))
        c.wait_for("stopped")
        self.assert_run(c.kill("0"), 1, err="container not running")

    def test_init_is_not_killed_by_what_it_does_not_handle(self):
        c = self.start(self.sh("touch /ready; sleep 1000; true"))
        harness.wait_for((c.rootfs / "ready").exists, "it runs")
        self.assert_run(c.kill("TERM"))
        self.assert_run(c.exec("/bin/true"))
        self.assertEqual(c.status(), "running")


class ExecTest(SharedCase):
    def test_signals_to_an_exec(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)):
            marker = self.shared.rootfs / f"ready-{number}"
            child = self.shared_world.popen("exec", self.shared.id, "/bin/sh", "-c", f"touch /{marker.name}; exec sleep 998")
            harness.wait_for(marker.exists, "the exec runs")
            harness.wait_for(lambda: "sleep 998" in self.shared.processes(), "sleep runs")
            child.send_signal(number)
            self.assertEqual(harness.status_of(child.wait(harness.TIMEOUT)), status)
            self.assertNotIn("sleep 998", self.shared.processes())

    def test_killed_stand_in_kills_the_exec(self):
        pid_file = self.world.tmp / "pid"
        self.assert_run(
            self.shared.exec("/bin/sleep", "997", flags=("--detach", "--pid-file", pid_file), detached=True)
        )
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        harness.wait_for(lambda: "sleep 997" not in self.shared.processes(), "the exec ends")
        self.assertEqual(self.shared.status(), "running")


if __name__ == "__main__":
    harness.main()
