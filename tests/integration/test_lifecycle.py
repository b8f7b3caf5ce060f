# SPDX-License-Identifier: Apache-2.0
"""create, start, state, kill, delete, run, and what they say of one another."""
import os
import pathlib

import harness
from harness import Case


class LifecycleTest(Case):
    def test_a_container_in_all_its_steps(self):
        c = self.sh("echo ran > /made; exec sleep 1000")
        self.assert_run(c.create())
        self.assertEqual(c.status(), "created")
        self.assertFalse((c.rootfs / "made").exists(), "create must not run the process")
        pid = int(c.pid_file.read_text())
        self.assertTrue(harness.alive(pid))

        self.assert_run(c.start())
        state = c.state()
        self.assertEqual(
            {key: state[key] for key in ("id", "status", "pid", "bundle", "rootfs", "owner")},
            {"id": c.id, "status": "running", "pid": pid, "bundle": str(c.bundle), "rootfs": str(c.rootfs), "owner": ""},
        )
        self.assertRegex(state["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
        self.assertRegex(state["ociVersion"], r"^1\.\d+\.\d+")
        harness.wait_for((c.rootfs / "made").exists, "the process runs")

        self.assert_run(c.start(), 1, err="cannot start an already running container")
        self.assert_run(c.delete(), 1, err=f"cannot delete container {c.id} that is not stopped: running")
        self.assertEqual(c.status(), "running")

        self.assert_run(c.kill("KILL"))
        c.wait_for("stopped")
        self.assertEqual(c.state()["pid"], 0)
        harness.wait_for(lambda: not harness.alive(pid), "its stand-in has ended")
        self.assert_run(c.kill("KILL"), 1, err="container not running")
        self.assert_run(c.start(), 1, err="cannot start a container that has stopped")
        self.assert_run(c.delete())
        self.assertEqual(c.status(), "gone")
        self.assert_nothing_left()
        self.assertEqual((c.rootfs / "made").read_text(), "ran\n")

    def test_run_ends_with_the_process_and_leaves_nothing(self):
        c = self.sh("echo hello; echo world >&2; exit 3")
        result = self.assert_run(c.run(), 3, "hello\n")
        self.assertEqual(result.err, "world\n")
        self.assertEqual(c.status(), "gone")
        self.assert_nothing_left()

    def test_run_detached_and_keep(self):
        c = self.container("/bin/sleep", "1000")
        self.assert_run(c.run("--detach", "--pid-file", c.pid_file, detached=True))
        self.assertEqual(c.state()["pid"], int(c.pid_file.read_text()))
        self.assertEqual(c.status(), "running")
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left()

    def test_keep_leaves_a_stopped_container(self):
        c = self.sh("exit 4")
        self.assert_run(c.run("--keep"), 4)
        self.assertEqual(c.status(), "stopped")
        self.assert_run(c.delete())
        self.assert_nothing_left()

    def test_delete_of_a_created_container(self):
        c = self.container("/bin/true")
        self.assert_run(c.create())
        self.assert_run(c.delete())
        self.assert_nothing_left()

    def test_kill_of_a_created_container(self):
        c = self.container("/bin/true")
        self.assert_run(c.create())
        self.assert_run(c.kill("KILL"))
        c.wait_for("stopped")
        self.assert_run(c.delete())
        self.assert_nothing_left()

    def test_pause_of_a_created_container(self):
        c = self.sh("exit 5")
        self.assert_run(c.create())
        self.assert_run(self.world.runtime("pause", c.id))
        self.assertEqual(c.status(), "paused")
        self.assert_run(c.kill("0"))
        self.assert_run(c.start(), 1, err="cannot start a container in the paused state")
        self.assert_run(self.world.runtime("resume", c.id))
        self.assertEqual(c.status(), "created")
        self.assert_run(c.start())
        c.wait_for("stopped")
        self.assert_run(c.delete())
        self.assert_nothing_left()

    @harness.kata_only
    def test_a_pid_file_that_is_a_device(self):
        for path in ("/dev/full", self.world.tmp):
            c = self.container("/bin/true")
            self.assert_run(c.run("--pid-file", path), 1, "", "pid file .* no regular file")
        self.assertTrue(pathlib.Path("/dev/full").is_char_device())
        self.assert_nothing_left()

    def test_delete_force_of_what_is_not_there(self):
        self.assert_run(self.world.runtime("delete", "--force", "kata-nobody"), 0)
        self.assert_run(self.world.runtime("delete", "kata-nobody"), 1, err="container does not exist")

    def test_the_bundle_is_the_working_directory(self):
        c = self.container("/bin/pwd")
        c.process["cwd"] = "/home/user"
        c.write()
        self.assert_run(self.world.runtime("run", c.id, cwd=c.bundle), 0, "/home/user\n")

    def test_the_engine_may_close_everything_and_go(self):
        """As conmon does: a session of its own, no terminal, a pipe for the output."""
        c = self.sh("sleep 1; echo late")
        c.write()
        read, write = os.pipe()
        child = self.world.popen("create", "--bundle", c.bundle, c.id, stdout=write, stderr=write, start_new_session=True)
        os.close(write)
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.assert_run(c.start())
        with open(read, "rb") as output:
            self.assertEqual(output.read(), b"late\n")
        c.wait_for("stopped")
        self.assert_run(c.delete())


if __name__ == "__main__":
    harness.main()
