# SPDX-License-Identifier: Apache-2.0
"""exec with each of its flags, many times, side by side, and where it cannot work."""
import json
import subprocess

import harness
from harness import Case, SharedCase


class FlagsTest(SharedCase):
    @classmethod
    def prepare(cls, container):
        container.process["env"] = ["PATH=/bin:/usr/bin", "FROM_SPEC=spec"]
        container.process["cwd"] = "/home/user"

    def test_environment_and_directory_are_those_of_the_spec(self):
        self.assert_run(self.shared.exec_sh("echo $FROM_SPEC; pwd"), 0, "spec\n/home/user\n")

    def test_env(self):
        result = self.shared.exec("/usr/bin/env", flags=("--env", "ONE=1", "--env", "TWO=a b=c", "--env", "FROM_SPEC=new"))
        lines = self.assert_run(result).out.splitlines()
        self.assertIn("ONE=1", lines)
        self.assertIn("TWO=a b=c", lines)
        self.assertIn("FROM_SPEC=new", lines)

    def test_scheduled_as_usual(self):
        """The container as well, whatever the agent is."""
        for process in ("1", "self"):
            fields = self.shared.exec("/bin/cat", f"/proc/{process}/stat").out.rsplit(")", 1)[1].split()
            self.assertEqual((fields[16], fields[38]), ("0", "0"), "nice and SCHED_OTHER")

    def test_cwd(self):
        self.assert_run(self.shared.exec("/bin/pwd", flags=("--cwd", "/tmp")), 0, "/tmp\n")

    def test_flags_as_go_writes_them(self):
        container = self.shared.id
        for words in (("--", container, "/bin/pwd"), ("-cwd", "/tmp", container, "/bin/pwd"),
                      ("-cwd=/tmp", "-t=false", "--", container, "/bin/pwd")):  # fmt: skip
            where = "/home/user" if words[0] == "--" else "/tmp"
            self.assert_run(self.shared.world.runtime("exec", *words), 0, f"{where}\n")
        self.assert_run(self.shared.world.runtime("exec", "-frob", container, "true"), 1, err="flag provided but not defined: -frob")

    def test_cwd_that_is_not_there(self):
        result = self.shared.exec("/bin/pwd", flags=("--cwd", "/no/such/directory"))
        message = r'(?i)exec failed: unable to start container process: chdir to cwd \(\\?"/no/such/directory\\?"\).*no such file'
        self.assert_run(result, 255, "", message)

    def test_env_without_a_value(self):
        for variable, message in (("NOEQ", "invalid environment variable: .*NOEQ"), ("=x", "name can't be empty")):
            self.assert_run(self.shared.exec("/bin/true", flags=("--env", variable)), 255, "", message)
        self.assert_run(self.shared.exec_sh("echo [$A]", flags=("--env", "A=")), 0, "[]\n")

    def test_capabilities_that_nobody_knows(self):
        for name in ("CAP_BOGUS", "cap_chown"):
            result = self.shared.exec("/bin/true", flags=("--cap", name))
            self.assert_run(result, 0, "", rf"ignoring unknown or unavailable capabilities: \[{name}\]")

    def test_user(self):
        self.assert_run(self.shared.exec_sh("id -u; id -g", flags=("--user", "1000:1001")), 0, "1000\n1001\n")
        self.assert_run(self.shared.exec_sh("id -u; id -g", flags=("-u", "7")), 0, "7\n0\n")
        self.assert_run(self.shared.exec("/bin/true", flags=("--user", "x")), 255, err="x")

    def test_additional_gids(self):
        result = self.shared.exec_sh("id -G", flags=("--user", "1000:1000", "--additional-gids", "2000", "--additional-gids", "2001"))
        self.assert_run(result, 0, "1000 2000 2001\n")

    def test_a_group_that_is_listed_twice_is_one(self):
        flags = ("--additional-gids", "2000", "--additional-gids", "2000")
        self.assert_run(self.shared.exec_sh("id -G", flags=("--user", "7:7", *flags)), 0, "7 2000\n")

    def test_a_directory_that_the_user_may_not_search(self):
        """It is entered once, and as root."""
        closed = self.shared.rootfs / "closed"
        closed.mkdir(0o700, exist_ok=True)
        result = self.shared.exec_sh("readlink /proc/self/cwd; ls .", flags=("--user", "1000:1000", "--cwd", "/closed"))
        self.assert_run(result, 1, "/closed\n", "(?i)permission denied")

    def test_cap(self):
        script = "grep -E '^Cap(Bnd|Eff)' /proc/self/status"
        before = dict(line.split() for line in self.shared.exec_sh(script).out.splitlines())
        after = dict(
            line.split() for line in self.shared.exec_sh(script, flags=("--cap", "CAP_SYS_ADMIN")).out.splitlines()
        )
        for name in ("CapBnd:", "CapEff:"):
            self.assertEqual(int(after[name], 16), int(before[name], 16) | 1 << 21, name)

    def test_no_new_privs(self):
        self.assert_run(
            self.shared.exec("/bin/grep", "NoNewPrivs", "/proc/self/status", flags=("--no-new-privs",)), 0, "NoNewPrivs:\t1\n"
        )

    def test_process_file(self):
        process = {
            "args": ["/bin/sh", "-c", "echo $WHO; pwd; id -u; exit 12"],
            "env": ["PATH=/bin:/usr/bin", "WHO=me"],
            "cwd": "/tmp",
            "user": {"uid": 1000, "gid": 1000},
        }
        path = self.world.tmp / "process.json"
        path.write_text(json.dumps(process))
        for flag in ("--process", "-p"):
            self.assert_run(self.shared.exec(flags=(flag, path)), 12, "me\n/tmp\n1000\n")

    def test_process_file_that_is_wrong(self):
        path = self.world.tmp / "process.json"
        path.write_text("{")
        result = self.shared.exec(flags=("--process", path))
        self.assertNotEqual(result.status, 0)
        self.assertNotEqual(result.err, "")

    def test_detach_and_pid_file(self):
        pid_file = self.world.tmp / "pid"
        script = "echo started >/detached; exec sleep 996"
        self.assert_run(self.shared.exec_sh(script, flags=("--detach", "--pid-file", pid_file), detached=True))
        pid = int(pid_file.read_text())
        self.assertTrue(harness.alive(pid))
        harness.wait_for((self.shared.rootfs / "detached").exists, "it runs")
        harness.wait_for(lambda: "sleep 996" in self.shared.processes(), "it sleeps")
        subprocess.run(["kill", "-TERM", str(pid)], check=True)
        harness.wait_for(lambda: not harness.alive(pid), "it ends")

    def test_an_exec_sees_the_others_but_not_the_host(self):
        result = self.assert_run(self.shared.exec("/bin/ps", "-o", "pid,args"))
        self.assertIn("/bin/sleep 100000", result.out)
        self.assertLess(len(result.out.splitlines()), 6, result)

    def test_arguments_pass_as_they_are(self):
        words = ["", " ", "a  b", "-x", "--help", "ä\t\n", "'\"\\$"]
        result = self.shared.exec("/usr/bin/printf", "<%s>", *words)
        self.assert_run(result, 0, "".join(f"<{word}>" for word in words))

    def test_200_in_a_row_with_dev_null(self):
        for number in range(200):
            result = self.shared.exec("/bin/true", stdin=subprocess.DEVNULL, timeout=60)
            self.assertEqual(result.status, 0, f"number {number}: {result}")

    def test_side_by_side(self):
        children = []
        for number in range(16):
            script = f"i=0; while [ $i -lt 200 ]; do echo {number}-$i; i=$((i+1)); done; exit {number}"
            children.append(self.shared_world.popen("exec", self.shared.id, "/bin/sh", "-c", script, stdout=subprocess.PIPE))
        for number, child in enumerate(children):
            out, _ = child.communicate(timeout=harness.TIMEOUT)
            self.assertEqual(child.returncode, number)
            self.assertEqual(out.decode(), "".join(f"{number}-{i}\n" for i in range(200)))


class WhereItCannotTest(Case):
    def test_states_other_than_running(self):
        c = self.container("/bin/sleep", "1000")
        self.assert_run(c.exec("/bin/true"), 255, err="container does not exist")
        self.assert_run(c.create())
        # In a created container it works: podman and docker have no use for it, CRI tools have.
        self.assert_run(c.exec("/bin/echo", "early"), 0, "early\n")
        self.assert_run(c.start())
        self.assert_run(c.exec(), 255, err="process args cannot be empty")
        self.assert_run(c.kill("KILL"))
        c.wait_for("stopped")
        self.assert_run(c.exec("/bin/true"), 255, err="cannot exec in a stopped container")
        self.assert_run(c.delete())

    def test_ignore_paused(self):
        """As with runc, it begins when the container is resumed; it ends with an error when that never comes."""
        c = self.started()
        self.assert_run(self.world.runtime("pause", c.id))
        self.assert_run(c.exec("/bin/true"), 255, err="cannot exec in a paused container")
        log = self.world.tmp / "log"
        waits = self.world.popen("--debug", "--log", log, "exec", "--ignore-paused", c.id, "/bin/echo", "ok", stdout=subprocess.PIPE)
        if harness.IS_KATA:
            harness.wait_for(lambda: log.exists() and "waiting until it is resumed" in log.read_text(), "it waits")
        self.assertIsNone(waits.poll())
        self.assert_run(self.world.runtime("resume", c.id))
        self.assertEqual(waits.communicate(timeout=harness.TIMEOUT)[0], b"ok\n")
        self.assertEqual(waits.returncode, 0)
        self.assert_run(c.exec("/bin/echo", "not paused", flags=("--ignore-paused",)), 0, "not paused\n")
        if not harness.IS_KATA:
            return
        self.assert_run(self.world.runtime("pause", c.id))
        log.unlink()
        waits = self.world.popen("--debug", "--log", log, "exec", "--ignore-paused", c.id, "/bin/true", stderr=subprocess.PIPE)
        harness.wait_for(lambda: log.exists() and "waiting until it is resumed" in log.read_text(), "it waits")
        self.assert_run(c.delete("--force"))
        _, err = waits.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(waits.returncode, 255, err)

    def test_execs_end_with_the_container(self):
        c = self.started()
        child = self.world.popen("exec", c.id, "/bin/sh", "-c", "touch /ready; sleep 1000")
        harness.wait_for((c.rootfs / "ready").exists, "the exec runs")
        self.assert_run(c.kill("KILL"))
        self.assertEqual(child.wait(harness.TIMEOUT), 137)
        c.wait_for("stopped")
        self.assert_run(c.delete())
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
