# SPDX-License-Identifier: Apache-2.0
"""containerd's runtime v2: the shim as `ctr` and containerd use it."""
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import threading

import harness
import leaks
import terminal
from containerd import BUSYBOX, ContainerdCase

RUNTIME = ("--runtime", "io.containerd.kata.v2")


class TerminalCase(ContainerdCase):
    def assert_terminal(self, *arguments):
        """A shell at a terminal: its name, its size, and a change of that."""
        tty = terminal.Terminal(rows=33, columns=101)
        self.addCleanup(tty.close)
        child = self.containerd.popen(*arguments, **tty.options())
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        tty.expect(b"#")
        tty.type(b"tty; stty size\n")
        tty.expect(b"/dev/pts/")
        tty.expect(b"33 101")
        tty.resize(20, 70)
        child.send_signal(signal.SIGWINCH)
        tty.type(b"while [ \"$(stty size)\" != '20 70' ]; do :; done; echo resi''zed\n")
        tty.expect(b"resized")
        tty.type(b"exit 3\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 3)


class RunTest(TerminalCase):
    def test_output_and_status(self):
        self.assert_run(self.run_container("echo", "hello"), 0, "hello\n")
        self.assert_run(self.run_sh("echo out; echo err >&2; exit 7"), 7, "out\n", "err")
        self.assert_run(self.run_sh("sh -c 'kill -9 $$'; exit $?"), 137)

    def test_a_kernel_of_its_own(self):
        self.assertNotEqual(self.run_container("uname", "-r").out.strip(), os.uname().release)

    def test_stdin(self):
        self.assert_run(self.run_container("cat", input=b"some\nlines\n"), 0, "some\nlines\n")

    def test_much_data_both_ways(self):
        data = os.urandom(1 << 20) * 20
        result = self.run_container("cat", input=data)
        self.assertEqual(result.status, 0, result.err)
        self.assertEqual(hashlib.sha256(result.raw).hexdigest(), hashlib.sha256(data).hexdigest())

    def test_what_is_printed_just_before_the_end_is_there(self):
        for _ in range(5):
            self.assertEqual(len(self.run_sh("dd if=/dev/zero bs=1k count=200 2>/dev/null | tr '\\0' x").out), 200 * 1024)

    def test_a_command_that_is_not_there(self):
        result = self.run_container("/no/such/command")
        self.assertNotEqual(result.status, 0)
        self.assertRegex(result.err, r'exec: "/no/such/command": .*no such file or directory')

    def test_a_terminal(self):
        self.assert_terminal("run", "--rm", "--tty", *RUNTIME, BUSYBOX, self.name(), "sh")

    def test_many_at_once(self):
        results = {}

        def one(number):
            results[number] = self.run_container("echo", number)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(8):
            self.assert_run(results[number], 0, f"{number}\n")


class TaskTest(TerminalCase):
    def test_life_of_a_task(self):
        name = self.sleeping()
        self.assertEqual(self.status(name), "RUNNING")
        self.assert_run(self.exec(name, "echo", "from exec"), 0, "from exec\n")
        self.assert_run(self.exec(name, "sh", "-c", "exit 5"), 5)
        self.assert_run(self.exec(name, "cat", input=b"in"), 0, "in")
        self.assert_run(self.exec(name, "/no/such"), 1, err='exec: "/no/such"')
        self.assert_run(self.ctr("task", "pause", name))
        self.assertEqual(self.status(name), "PAUSED")
        self.assert_run(self.ctr("task", "resume", name))
        self.assertEqual(self.status(name), "RUNNING")
        self.assertEqual(len(self.assert_run(self.ctr("task", "ps", name)).out.splitlines()), 2)
        self.assert_run(self.ctr("task", "kill", "-s", "TERM", name))
        self.assert_run(self.ctr("task", "kill", "-s", "KILL", name))
        harness.wait_for(lambda: self.status(name) == "STOPPED", "it has stopped")
        self.assertNotEqual(self.exec(name, "true").status, 0)
        self.assert_run(self.ctr("task", "rm", name), err="non-zero exit code 137")
        self.assertEqual(self.status(name), "GONE")
        self.assert_run(self.ctr("container", "rm", name))
        self.assert_nothing_left()

    def test_metrics(self):
        name = self.sleeping()
        self.assert_run(self.exec(name, "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"))
        data = json.loads(self.assert_run(self.ctr("task", "metrics", "--format", "json", name)).out)
        # The messages are those of the host's version of cgroups.
        unified = isinstance(data["memory"]["usage"], int)
        self.assertGreater(data["memory"]["usage"] if unified else data["memory"]["usage"]["usage"], 0)
        self.assertGreater(data["cpu"]["usage_usec"] * 1000 if unified else data["cpu"]["usage"]["total"], 10_000_000)
        self.assertEqual(data["pids"]["current"], 1)

    def test_exec_without_stdin_never_hangs(self):
        """Its close races with the end of the process."""
        name = self.sleeping()
        for _ in range(200):
            self.assert_run(self.exec(name, "true"))

    def test_exec_that_leaves_somebody_behind(self):
        """As with runc's shim: what is written soon after the exit is there, and nothing waits for ever."""
        name = self.sleeping()
        result = self.exec(name, "sh", "-c", "(sleep 0.1; echo late) & echo early; exit 3")
        self.assert_run(result, 3, "early\nlate\n")
        self.assert_run(self.exec(name, "sh", "-c", "sleep 1000 & echo early; exit 4"), 4, "early\n")

    def test_exec_with_a_terminal(self):
        name = self.sleeping()
        self.assert_terminal("task", "exec", "--exec-id", "t", "--tty", name, "sh")

    def test_the_same_name_twice(self):
        name = self.sleeping()
        again = self.ctr("run", "-d", *RUNTIME, BUSYBOX, name, "true")
        self.assert_run(again, 1, err="already exists")
        self.assertEqual(self.status(name), "RUNNING")

    @contextlib.contextmanager
    def topics(self, name):
        """A function that waits for an event about the task, and gives the topics of all until then."""
        with self.containerd.popen("events", stdout=subprocess.PIPE, text=True) as events:

            def until(last):
                topics = []
                while last not in topics:
                    line = events.stdout.readline()
                    if name in line and "/tasks/" in line:
                        topics.append(line.split()[5].removeprefix("/tasks/"))
                return topics

            try:
                yield until
            finally:
                events.kill()

    def test_events_in_order(self):
        name = self.name()
        with self.topics(name) as until:
            self.assert_run(self.ctr("run", "-d", *RUNTIME, BUSYBOX, name, "sleep", "10000"))
            self.assert_run(self.exec(name, "true"))
            self.ctr("task", "pause", name)
            self.ctr("task", "resume", name)
            self.ctr("task", "kill", "-s", "KILL", name)
            harness.wait_for(lambda: self.status(name) == "STOPPED", "it has stopped")
            self.ctr("task", "rm", name)
            expected = ["create", "start", "exec-added", "exec-started", "exit", "paused", "resumed", "exit", "delete"]
            self.assertEqual(until("delete"), expected)

    def test_the_pid_is_gone_when_the_end_is_told(self):
        name = self.name()
        with self.topics(name) as until:
            self.assert_run(self.ctr("run", "-d", *RUNTIME, BUSYBOX, name, "sleep", "10000"))
            until("start")
            pid = int(next(line.split()[1] for line in self.ctr("task", "ls").out.splitlines() if line.startswith(name)))
            self.assertTrue(harness.alive(pid))
            self.ctr("task", "kill", "-s", "KILL", name)
            until("exit")
            self.assertIsNone(leaks.process(pid))

    def test_the_shim_has_nothing_of_containerds_environment(self):
        """It may hold secrets, and the shim lives as long as the container."""
        name = self.sleeping()
        shim = self.state(name)["sandbox"]["pid"]
        names = {entry.split(b"=")[0] for entry in open(f"/proc/{shim}/environ", "rb").read().split(b"\0") if entry}
        self.assertLessEqual(names, {b"PATH", b"KATA_CONF_FILE", b"TTRPC_ADDRESS"})

    def test_processes(self):
        """Each has a line; the first pid is the one that the task has."""
        name = self.sleeping("sh", "-c", "sleep 7777 & sleep 8888; true")
        harness.wait_for(lambda: len(self.ctr("task", "ps", name).out.splitlines()) == 1 + 3, "one line for each process")
        lines = self.ctr("task", "ps", name).out.splitlines()
        task = next(line.split()[1] for line in self.ctr("task", "ls").out.splitlines() if line.startswith(name))
        self.assertEqual(lines[1].split()[0], task)

    def test_out_of_memory(self):
        name = self.name()
        with self.topics(name) as until:
            eat = ("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
            result = self.ctr("run", "--rm", "--memory-limit", 32 << 20, *RUNTIME, BUSYBOX, name, *eat)
            self.assert_run(result, 137)
            topics = until("delete")
        self.assertEqual(sorted(topics), ["create", "delete", "exit", "oom", "start"])
        self.assertLess(topics.index("start"), topics.index("oom"))
        self.assertLess(topics.index("oom"), topics.index("delete"))


class ErrorTest(ContainerdCase):
    """What a user did wrong has the code and the words that it has with runc's shim."""

    CASES = (
        (("/no/such",), r'exec: "/no/such": stat /no/such: no such file or directory: unknown'),
        (("nosuch",), r'exec: "nosuch": executable file not found in \$PATH: unknown'),
        (("/etc/passwd",), r'exec: "/etc/passwd": permission denied: unknown'),
    )

    def test_run(self):
        for command, words in self.CASES:
            self.assert_run(self.run_container(*command), 1, err=words)
        words = "/etc/passwd.*[nN]ot a directory: unknown"
        self.assert_run(self.run_container("true", flags=("--cwd", "/etc/passwd")), 1, err=words)

    def test_exec(self):
        name = self.sleeping()
        for command, words in self.CASES:
            self.assert_run(self.exec(name, *command), 1, err=words)
        self.assert_run(self.exec(name, "/etc"), 1, err='exec: "/etc": permission denied: unknown')
        for directory, words in (("/no/such", "[nN]o such file or directory"), ("/etc/passwd", "[nN]ot a directory")):
            result = self.exec(name, "true", flags=("--cwd", directory))
            self.assert_run(result, 1, err=f'"{directory}".*{words}: unknown')
        self.assertEqual(self.status(name), "RUNNING")
        self.assert_run(self.ctr("task", "kill", "--exec-id", "none", name), 1, err="not found")


class AttachTest(TerminalCase):
    def test_input_after_the_first_client_has_gone(self):
        name = self.name()
        first = terminal.Terminal()
        self.addCleanup(first.close)
        run = self.containerd.popen("run", "--tty", *RUNTIME, BUSYBOX, name, "sh", **first.options())
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        first.expect(b"#")
        run.kill()
        run.wait()
        second = terminal.Terminal()
        self.addCleanup(second.close)
        attach = self.containerd.popen("task", "attach", name, **second.options())
        self.addCleanup(attach.wait)
        self.addCleanup(attach.kill)
        second.type(b"echo in''put\n")
        second.expect(b"input")
        second.type(b"exit 7\n")
        self.assertEqual(attach.wait(harness.TIMEOUT), 7)


class LoggerTest(ContainerdCase):
    def test_a_file(self):
        path = self.containerd.tmp / "file.log"
        name = self.sleeping("sh", "-c", "echo to the file; sleep 1000", flags=("--log-uri", f"file://{path}"))
        harness.wait_for(lambda: path.exists() and path.read_text() == "to the file\n", "the line is there")
        self.ctr("task", "kill", "-s", "KILL", name)

    def test_a_program(self):
        path = self.containerd.tmp / "logger.log"
        script = self.containerd.tmp / "logger"
        allowed = self.containerd.tmp / "allowed"
        script.write_text(f'#!/bin/sh\nexec 5>&-\necho "$CONTAINER_NAMESPACE $1 $2" >{path}\ncat <&3 >>{path}\n'
                          f"until [ -e {allowed} ]; do sleep 0.01; done\necho last >>{path}\n")  # fmt: skip
        script.chmod(0o755)
        name = self.sleeping("sh", "-c", "echo line; sleep 1000", flags=("--log-uri", f"binary://{script}?key=value"))
        harness.wait_for(lambda: path.exists() and "line\n" in path.read_text(), "the line is there")
        self.assertEqual(path.read_text(), "default key value\nline\n")
        shim = self.state(name)["sandbox"]["pid"]
        self.ctr("task", "kill", "-s", "KILL", name)
        harness.wait_for(lambda: self.status(name) == "STOPPED", "it has stopped")
        # It may take its time for its last lines: whoever deletes the task waits for them.
        threading.Timer(0.5, allowed.touch).start()
        self.assert_run(self.ctr("task", "rm", name), err="non-zero exit code 137")
        self.assertEqual(path.read_text(), "default key value\nline\nlast\n")
        harness.wait_for(lambda: not harness.alive(shim), "the shim has ended")

    def test_programs_are_reaped(self):
        script = self.containerd.tmp / "short-logger"
        script.write_text("#!/bin/sh\nexec 5>&-\ncat <&3\n")
        script.chmod(0o755)
        name = self.sleeping(flags=("--log-uri", f"binary://{script}"))
        shim = self.state(name)["sandbox"]["pid"]
        loggers = [pid for pid, command in leaks.descendants(shim).items() if str(script) in command]
        self.assertEqual(len(loggers), 1)
        self.ctr("task", "kill", "-s", "KILL", name)
        harness.wait_for(lambda: self.status(name) == "STOPPED", "it has stopped")
        harness.wait_for(lambda: leaks.process(loggers[0]) is None, "nothing of the logger is left")
        self.assertTrue(harness.alive(shim))


class FaultTest(ContainerdCase):
    def stopped(self, name):
        harness.wait_for(lambda: self.status(name) in ("STOPPED", "UNKNOWN", "GONE"), "it has stopped")

    def assert_killed(self, name, why):
        self.stopped(name)
        self.assert_run(self.ctr("task", "rm", name), err="non-zero exit code 137")
        self.assert_run(self.ctr("container", "rm", name))
        self.assert_nothing_left()
        self.assertRegex(self.containerd.log()[self.log_start :], why)

    def test_a_vm_that_is_killed(self):
        name = self.sleeping()
        os.kill(self.process_of(name, "qemu"), signal.SIGKILL)
        self.assert_killed(name, "the virtual machine ended: .*SIGKILL|killed by signal 9")

    def test_a_file_server_that_is_ended(self):
        name = self.sleeping()
        # What a manager sends to all processes of a cgroup ends no part of the VM.
        for part in ("kata-fsd", "qemu"):
            os.kill(self.process_of(name, part), signal.SIGTERM)
        self.assert_run(self.exec(name, "ls", "/bin/sh"), 0, "/bin/sh\n")
        os.kill(self.process_of(name, "kata-fsd"), signal.SIGKILL)
        self.assert_killed(name, "kata-fsd was killed by signal 9")

    def test_a_part_that_is_stopped(self):
        """SIGKILL ends the container also when the VM, or the files that it waits for, do not move any more."""
        for part in ("qemu", "kata-fsd"):
            with self.subTest(part):
                # Its program is always on its way to a file of the host.
                name = self.sleeping("sh", "-c", "while :; do ls -R / >/dev/null 2>&1; done")
                victim = self.process_of(name, part)
                os.kill(victim, signal.SIGSTOP)
                for child in pathlib.Path(f"/proc/{victim}/task/{victim}/children").read_text().split():
                    os.kill(int(child), signal.SIGSTOP)
                self.assert_run(self.ctr("task", "kill", "-s", "KILL", name))
                # Whoever notices first.
                why = r"has not ended after SIGKILL|stands still|did not answer SignalProcess"
                self.assert_killed(name, rf"({why}).*; process \d+ \({part}")

    def test_an_exec_that_waits_for_a_stopped_file_server(self):
        name = self.sleeping()
        victim = self.process_of(name, "kata-fsd")
        os.kill(victim, signal.SIGSTOP)
        for child in pathlib.Path(f"/proc/{victim}/task/{victim}/children").read_text().split():
            os.kill(int(child), signal.SIGSTOP)
        self.assertNotEqual(self.exec(name, "ls", "-R", "/").status, 0)
        self.assert_killed(name, r"stands still; process \d+ \(kata-fsd\) is stopped")

    def test_a_bundle_without_room(self):
        """The shim that was just started is ended again."""
        directory = self.containerd.tmp / "state/io.containerd.runtime.v2.task/default"
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", directory], check=True)
        try:
            result = self.run_container("true")
        finally:
            subprocess.run(["umount", "-l", directory], check=True)
        self.assertNotEqual(result.status, 0)
        self.assertIn("No space left on device", result.err)
        self.assert_nothing_left()

    def test_a_shim_that_is_killed(self):
        name = self.sleeping()
        os.kill(self.state(name)["sandbox"]["pid"], signal.SIGKILL)
        self.stopped(name)
        self.ctr("task", "rm", "--force", name)
        self.assert_run(self.ctr("container", "rm", name))
        self.assert_nothing_left()

    def test_a_guest_kernel_that_is_missing(self):
        directory = self.containerd.tmp / "config"
        directory.mkdir()
        (directory / "c.toml").write_text('[hypervisor.qemu]\nkernel = "/no/such/kernel"\n')
        result = self.run_container("true", flags=("--runtime-config-path", directory / "c.toml"))
        self.assertNotEqual(result.status, 0)
        self.assertRegex(result.err, "/no/such/kernel.*[Nn]o such file")
        self.assert_nothing_left()

    def test_containerd_restarts(self):
        name, other = self.sleeping(), self.sleeping("sh", "-c", "while [ ! -e /end ]; do sleep 0.1; done; exit 9")
        self.exec(other, "sh", "-c", "(sleep 2; touch /end) >/dev/null 2>&1 &")
        self.containerd.stop(signal.SIGKILL)
        harness.wait_for(lambda: self.state(other)["status"] == "stopped", "it ended while nobody looked")
        self.start_containerd()
        self.assertEqual(self.status(name), "RUNNING")
        self.assert_run(self.exec(name, "echo", "still here"), 0, "still here\n")
        self.assertEqual(self.status(other), "STOPPED")
        self.assert_run(self.ctr("task", "rm", other), err="non-zero exit code 9")
        self.ctr("task", "kill", "-s", "KILL", name)
        self.stopped(name)
        self.assert_run(self.ctr("task", "rm", name), err="non-zero exit code 137")


class CommandLineTest(ContainerdCase):
    """The program as somebody might run it by hand."""

    def shim(self, *arguments):
        done = subprocess.run(
            [self.containerd.tmp / "bin/containerd-shim-kata-v2", *arguments], capture_output=True,
            stdin=subprocess.DEVNULL, cwd=self.world.tmp, timeout=harness.TIMEOUT,
        )  # fmt: skip
        return harness.Result(arguments, done.returncode, done.stdout, done.stderr.decode())

    def test_mistakes(self):
        self.assertRegex(self.shim("--version").out, r"^containerd-shim-kata-v2 \d")
        self.assert_run(self.shim(), 1, err="-id is missing")
        self.assert_run(self.shim("-what"), 1, err="unknown flag -what")
        self.assert_run(self.shim("-namespace", "n", "-id", "x", "stop"), 1, err='unknown action "stop"')
        self.assert_run(self.shim("-namespace", "n", "-id", "x", "start"), 1, err="config.json not found")
        self.assert_run(self.shim("-namespace", "n", "-id", "x"), 1)

    def test_delete_of_nothing(self):
        result = self.shim("-namespace", "n", "-address", "/a", "-id", f"{leaks.TAG}none", "delete")
        self.assertEqual(result.status, 0, result)
        # The first field, exit_status.
        self.assertEqual(result.raw[:3], b"\x10\x89\x01", "137")


if __name__ == "__main__":
    harness.main()
