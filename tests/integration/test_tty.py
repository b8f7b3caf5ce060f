# SPDX-License-Identifier: Apache-2.0
"""Terminals: in the foreground of a person, and over a console socket."""
import fcntl
import json
import os
import signal
import subprocess
import termios

import harness
from harness import Case, SharedCase
from terminal import ConsoleSocket, Terminal


def show_size(rows, columns):
    """The size is right from the first moment; only the reference sets it when the process runs already."""
    wait = "" if harness.IS_KATA else f'until [ "$(stty size)" = "{rows} {columns}" ]; do :; done; '
    return wait + "stty size"


class ForegroundTest(Case):
    def setUp(self):
        super().setUp()
        self.terminal = Terminal()
        self.addCleanup(self.terminal.close)

    def run_on_terminal(self, script):
        c = self.sh(script)
        c.process["terminal"] = True
        return c.popen_run(**self.terminal.options())

    def test_size_translation_and_modes(self):
        child = self.run_on_terminal("test -t 0 && test -t 1 && test -t 2 && tty;" + show_size(33, 101) + "; exit 9")
        self.terminal.expect(b"/dev/pts/0\r\n33 101\r\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 9)
        self.assertTrue(self.terminal.is_restored())

    def test_window_change_control_c_and_end_of_file(self):
        child = self.run_on_terminal(
            "trap 'echo size $(stty size)' WINCH; trap 'echo interrupted; stop=1' INT; echo ready;"
            "until [ $stop ]; do sleep 0.1; done; cat; exit 5"
        )
        self.terminal.expect(b"ready\r\n")
        self.assertFalse(self.terminal.is_restored(), "raw while the container has it")
        self.terminal.resize(44, 132)
        self.terminal.expect(b"size 44 132\r\n")
        self.terminal.type(b"\x03")
        self.terminal.expect(b"interrupted\r\n")
        self.terminal.type(b"hello\n")
        self.terminal.expect(b"hello\r\nhello\r\n")
        self.terminal.type(b"\x04")
        self.assertEqual(child.wait(harness.TIMEOUT), 5)
        self.assertTrue(self.terminal.is_restored())

    def test_a_signal_to_the_runtime_goes_to_the_container(self):
        child = self.run_on_terminal("trap 'echo terminated; exit 8' TERM; echo ready; while sleep 0.1; do :; done")
        self.terminal.expect(b"ready\r\n")
        child.send_signal(signal.SIGTERM)
        self.terminal.expect(b"terminated\r\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 8)
        self.assertTrue(self.terminal.is_restored())

    def test_the_terminal_goes_with_the_runtime(self):
        c = self.sh("trap 'echo hup >/hup' HUP; echo ready; while read line; do :; done; echo end >/end; exit 7")
        c.process["terminal"] = True
        child = c.popen_run(**self.terminal.options())
        self.terminal.expect(b"ready\r\n")
        child.kill()
        child.wait()
        c.wait_for("stopped")
        self.assertEqual(((c.rootfs / "hup").exists(), (c.rootfs / "end").exists()), (True, True))
        self.assert_run(c.delete())
        self.assert_nothing_left()

    def test_terminal_without_one(self):
        c = self.container("/bin/true")
        c.process["terminal"] = True
        result = c.run(start_new_session=True)
        self.assert_run(result, 1, err="(?i)run failed: open /dev/tty: no such device or address")
        self.assert_nothing_left()

    def test_the_controlling_terminal_where_no_descriptor_is_one(self):
        """Its size and modes count; input and output are the descriptors, whatever they are."""
        c = self.sh(show_size(33, 101) + "; read line; echo got $line; exit 9")
        c.process["terminal"] = True
        slave = self.terminal.slave
        take = lambda: (os.setsid(), fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        child = c.popen_run(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=take)
        child.stdin.write(b"hello\n")
        child.stdin.flush()
        out = child.stdout.read()
        self.assertEqual(child.wait(harness.TIMEOUT), 9)
        lines = out.decode().splitlines()
        self.assertEqual({"33 101", "got hello", "hello"} - set(lines), set(), lines)
        self.assertTrue(self.terminal.is_restored())
        child.stdin.close()
        child.stdout.close()

    def test_terminal_of_a_detached_process_needs_a_console_socket(self):
        c = self.container("/bin/true")
        c.process["terminal"] = True
        self.assert_run(c.create(), 1, err="cannot allocate tty if .* will detach without setting console socket")
        self.assert_nothing_left()


class ConsoleSocketTest(Case):
    def test_create_with_a_console_socket(self):
        c = self.sh("stty size; read line; echo got $line; exit 4")
        c.process.update(terminal=True, consoleSize={"height": 20, "width": 70})
        console = ConsoleSocket(self.world.tmp / "console.sock")
        self.addCleanup(console.close)
        self.assert_run(c.create("--console-socket", console.path))
        master = console.receive()
        self.assert_run(c.start())
        master.expect(b"20 70\r\n")
        master.type(b"hello\n")
        master.expect(b"got hello\r\n")
        c.wait_for("stopped")
        master.close()
        self.assert_run(c.delete())
        self.assert_nothing_left()

    def test_the_engine_closes_the_terminal(self):
        c = self.sh("trap 'echo hup >/hup' HUP; echo ready; while read line; do :; done; exit 4")
        c.process["terminal"] = True
        console = ConsoleSocket(self.world.tmp / "console.sock")
        self.addCleanup(console.close)
        self.assert_run(c.create("--console-socket", console.path))
        master = console.receive()
        self.assert_run(c.start())
        master.expect(b"ready\r\n")
        master.close()
        c.wait_for("stopped")
        self.assertTrue((c.rootfs / "hup").exists())
        self.assert_run(c.delete())
        self.assert_nothing_left()


class ExecTest(SharedCase):
    def setUp(self):
        super().setUp()
        self.terminal = Terminal(25, 90)
        self.addCleanup(self.terminal.close)

    def exec_on_terminal(self, script):
        return self.shared_world.popen("exec", "--tty", self.shared.id, "/bin/sh", "-c", script, **self.terminal.options())

    def test_exec_with_a_terminal(self):
        child = self.exec_on_terminal(show_size(25, 90) + "; read line; echo got $line; exit 6")
        self.terminal.expect(b"25 90\r\n")
        self.terminal.type(b"hello\n")
        self.terminal.expect(b"hello\r\ngot hello\r\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 6)
        self.assertTrue(self.terminal.is_restored())

    def test_an_interactive_shell_has_job_control(self):
        child = self.exec_on_terminal("exec sh -i")
        self.terminal.expect(b"# ")
        self.terminal.type(b"sleep 1000\n")
        self.terminal.expect(b"\r\n")
        # The shell has started it when it is in the foreground: only then does Ctrl-C mean it.
        harness.wait_for(lambda: "sleep 1000" in self.shared.processes(), "sleep runs")
        self.terminal.type(b"\x03")
        self.terminal.expect(b"# ")
        self.terminal.type(b"echo status $?\n")
        self.terminal.expect(b"status 130\r\n")
        self.terminal.type(b"exit 3\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 3)
        self.assertTrue(self.terminal.is_restored())

    def test_hanging_up_ends_the_process(self):
        child = self.exec_on_terminal("echo $$ >/hung; echo ready; exec sleep 999")
        self.terminal.expect(b"ready\r\n")
        child.send_signal(signal.SIGHUP)
        self.assertEqual(harness.status_of(child.wait(harness.TIMEOUT)), 129)
        self.assertTrue(self.terminal.is_restored())
        self.assertNotIn("sleep 999", self.shared.processes())

    def test_the_terminal_goes_with_the_runtime(self):
        child = self.exec_on_terminal("echo ready; exec sleep 994")
        self.terminal.expect(b"ready\r\n")
        harness.wait_for(lambda: "sleep 994" in self.shared.processes(), "sleep runs")
        child.kill()
        child.wait()
        harness.wait_for(lambda: "sleep 994" not in self.shared.processes(), "sleep ends")

    def test_detached_exec_with_a_console_socket(self):
        console = ConsoleSocket(self.world.tmp / "console.sock")
        self.addCleanup(console.close)
        process = dict(self.shared.process, terminal=True, args=["/bin/sh", "-c", "tty; read line; echo got $line"])
        path = self.world.tmp / "process.json"
        path.write_text(json.dumps(process))
        pid_file = self.world.tmp / "exec.pid"
        self.assert_run(self.shared.exec(flags=(
            "--detach", "--console-socket", console.path, "--process", path, "--pid-file", pid_file), detached=True))
        master = console.receive()
        master.expect(b"/dev/pts/")
        master.type(b"hello\n")
        master.expect(b"got hello\r\n")
        harness.wait_for(lambda: not harness.alive(int(pid_file.read_text())), "the exec ends")
        master.close()

    def test_full_screen_output(self):
        child = self.exec_on_terminal("seq 1 20000; echo end")
        screen = self.terminal.expect(b"end\r\n")
        self.assertEqual(screen, b"".join(b"%d\r\n" % i for i in range(1, 20001)) + b"end\r\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 0)


if __name__ == "__main__":
    harness.main()
