# SPDX-License-Identifier: Apache-2.0
"""What goes into a container and comes out of it, through every kind of descriptor."""
import fcntl
import hashlib
import os
import pathlib
import random
import select
import socket
import subprocess
import threading

import harness
from harness import Case, SharedCase

HUNDRED_MB = 100 * 1000 * 1000


def wait_until_unread(writer):
    """Until nobody has the other end of this pipe any more: a write would get SIGPIPE."""
    poll = select.poll()
    poll.register(writer, 0)
    events = poll.poll(harness.TIMEOUT * 1000)
    assert events and events[0][1] & select.POLLERR, "the pipe is still read"


def noise(size):
    return random.Random(size).randbytes(size)


class RunTest(Case):
    def test_run_copies_both_ways_at_once(self):
        data = noise(5 * 1000 * 1000) + bytes(range(256))
        result = self.assert_run(self.container("/bin/cat").run(input=data))
        self.assertEqual(hashlib.sha256(result.raw).hexdigest(), hashlib.sha256(data).hexdigest())

    def test_output_appends_to_a_file_and_leaves_its_flags(self):
        path = self.world.tmp / "log"
        path.write_text("before\n")
        with open(path, "ab") as log:
            flags = fcntl.fcntl(log, fcntl.F_GETFL)
            c = self.sh("echo out; echo err >&2; echo out")
            self.assertEqual(c.popen_run(stdout=log, stderr=log).wait(harness.TIMEOUT), 0)
            self.assertEqual(fcntl.fcntl(log, fcntl.F_GETFL), flags)
            log.write(b"after\n")
        lines = path.read_text().splitlines()
        self.assertEqual((lines[0], lines[-1]), ("before", "after"))
        self.assertEqual(sorted(lines[1:-1]), ["err", "out", "out"])


class DetachedTest(Case):
    def test_the_end_of_a_stream_is_that_in_the_container(self):
        """Engines wait for the end of a pipe, which is not the end of the container."""
        c = self.sh("exec >&- 2>&- <&-; while sleep 0.1; do :; done")
        with c.popen_run("--detach", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            self.assertEqual(child.stdout.read(), b"")
            self.assertEqual(child.stderr.read(), b"")
            wait_until_unread(child.stdin)
            self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.assertEqual(c.status(), "running")
        self.assert_run(c.delete("--force"))

    def test_one_of_two_streams_ends(self):
        c = self.sh("echo out; exec >&-; until test -e /go; do sleep 0.1; done; echo err >&2")
        with c.popen_run("--detach", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            self.assertEqual(child.stdout.read(), b"out\n")
            (c.rootfs / "go").touch()
            self.assertEqual(child.stderr.read(), b"err\n")
            self.assertEqual(child.wait(harness.TIMEOUT), 0)
        c.wait_for("stopped")
        self.assert_run(c.delete())

    def test_the_stand_in_holds_no_stdio(self):
        c = self.container("/bin/sleep", "1000")
        self.assert_run(c.create())
        self.assert_run(c.start())
        if harness.IS_KATA:
            fds = pathlib.Path(f"/proc/{c.pid_file.read_text()}/fd")
            self.assertEqual([name for name in os.listdir(fds) if int(name) < 3], [])
        self.assert_run(c.delete("--force"))


class ExecTest(SharedCase):
    def popen(self, script, **options):
        return self.shared_world.popen("exec", self.shared.id, "/bin/sh", "-c", script, **options)

    def test_every_byte_passes(self):
        data = bytes(range(256)) * 100
        result = self.assert_run(self.shared.exec("/bin/cat", input=data))
        self.assertEqual(result.raw, data)

    def test_100_mb_out(self):
        data = noise(HUNDRED_MB)
        (self.shared.rootfs / "big").write_bytes(data)
        child = self.popen("cat /big", stdout=subprocess.PIPE)
        digest, size = hashlib.sha256(), 0
        while chunk := child.stdout.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
        child.stdout.close()
        self.assertEqual((child.wait(harness.TIMEOUT), size), (0, HUNDRED_MB))
        self.assertEqual(digest.hexdigest(), hashlib.sha256(data).hexdigest())
        (self.shared.rootfs / "big").unlink()

    def test_100_mb_in(self):
        data = noise(HUNDRED_MB)
        self.assert_run(self.shared.exec_sh("cat >/got", input=data))
        digest = hashlib.sha256((self.shared.rootfs / "got").read_bytes()).hexdigest()
        self.assertEqual(digest, hashlib.sha256(data).hexdigest())
        (self.shared.rootfs / "got").unlink()

    def test_streams_are_separate(self):
        result = self.assert_run(self.shared.exec_sh("echo out; echo err >&2; exit 5"), 5, "out\n")
        self.assertEqual(result.err, "err\n")

    def test_last_output_of_a_short_process_is_not_lost(self):
        for _ in range(20):
            self.assert_run(self.shared.exec_sh("seq 1 2000; exit 1"), 1, "".join(f"{i}\n" for i in range(1, 2001)))

    def test_reader_that_closes_early_gives_sigpipe(self):
        child = self.popen("exec yes", stdout=subprocess.PIPE)
        self.assertEqual(child.stdout.readline(), b"y\n")
        child.stdout.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 141)

    def test_no_reader_from_the_start(self):
        read, write = os.pipe()
        os.close(read)
        script = "trap '' PIPE; i=0; while echo x 2>/dev/null; do i=$((i+1)); done; echo ended >/no-reader"
        child = self.popen(script, stdout=write)
        os.close(write)
        child.wait(harness.TIMEOUT)
        self.assertEqual((self.shared.rootfs / "no-reader").read_text(), "ended\n")

    def test_slow_reader_blocks_only_its_own_stream(self):
        child = self.popen("dd if=/dev/zero bs=1M count=8 2>/dev/null; echo done >&2", stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        self.assertEqual(os.read(child.stdout.fileno(), 1), b"\0")
        for _ in range(3):
            self.assert_run(self.shared.exec("/bin/echo", "meanwhile"), 0, "meanwhile\n")
        out, err = child.communicate(timeout=harness.TIMEOUT)
        self.assertEqual((len(out), err, child.returncode), ((8 << 20) - 1, b"done\n", 0))

    def test_stdin_from_a_file_that_is_shared(self):
        path = self.world.tmp / "input"
        path.write_bytes(b"first\nsecond\n" * 10000)
        with open(path, "rb") as file:
            flags = fcntl.fcntl(file, fcntl.F_GETFL)
            self.assert_run(self.shared.exec("/usr/bin/wc", "-l", stdin=file), 0, "20000\n")
            self.assertEqual(fcntl.fcntl(file, fcntl.F_GETFL), flags)

    def test_stdin_from_dev_null(self):
        self.assert_run(self.shared.exec("/bin/cat", stdin=subprocess.DEVNULL), 0, "")

    def test_stdin_and_stdout_of_a_socket(self):
        ours, theirs = socket.socketpair()
        flags = fcntl.fcntl(theirs, fcntl.F_GETFL)
        data = noise(1000 * 1000)
        child = self.popen("cat", stdin=theirs, stdout=theirs)

        def send():
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = b""
        while len(got) < len(data) and (chunk := ours.recv(1 << 16)):
            got += chunk
        sender.join()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.assertEqual(hashlib.sha256(got).hexdigest(), hashlib.sha256(data).hexdigest())
        self.assertEqual(fcntl.fcntl(theirs, fcntl.F_GETFL), flags)
        ours.close()
        theirs.close()

    def test_a_pipe_stays_blocking(self):
        read, write = os.pipe()
        flags = fcntl.fcntl(write, fcntl.F_GETFL)
        child = self.popen("echo hello", stdout=write)
        self.assertEqual(os.read(read, 100), b"hello\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        self.assertEqual(fcntl.fcntl(write, fcntl.F_GETFL), flags)
        os.close(write)
        os.close(read)

    def test_a_line_goes_in_and_an_answer_comes_out(self):
        child = self.popen("while read line; do echo got $line; done", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for word in (b"one", b"two"):
            child.stdin.write(word + b"\n")
            child.stdin.flush()
            self.assertEqual(child.stdout.readline(), b"got " + word + b"\n")
        child.stdin.close()
        self.assertEqual(child.wait(harness.TIMEOUT), 0)
        child.stdout.close()

    def test_process_ends_while_stdin_is_still_open(self):
        read, write = os.pipe()
        child = self.popen("exit 6", stdin=read)
        os.close(read)
        self.assertEqual(child.wait(harness.TIMEOUT), 6)
        os.close(write)

    def test_process_that_does_not_read_its_input(self):
        self.assert_run(self.shared.exec("/bin/true", input=noise(1 << 20)))

    def test_output_after_the_exit_belongs_to_the_caller(self):
        """Who is in the foreground returns with the end of the outputs."""
        go = self.shared.rootfs / "go"
        child = self.popen("(until test -e /go; do sleep 0.1; done; echo late) & echo early; exit 3",
                           stdout=subprocess.PIPE)
        self.assertEqual(child.stdout.readline(), b"early\n")
        left = lambda: sum("until test -e /go" in line for line in self.shared.processes())
        harness.wait_for(lambda: left() == 1, "the exec's own process has ended")
        go.touch()
        self.assertEqual(child.stdout.read(), b"late\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 3)
        child.stdout.close()
        go.unlink()

    def test_detached_output_after_the_exit(self):
        # A name of its own: the guest remembers for a second what another test has taken away.
        go, pid_file = self.shared.rootfs / "go-late", self.world.tmp / "pid"
        script = "(until test -e /go-late; do sleep 0.1; done; echo late; echo err >&2) & echo early; exit 3"
        with self.shared_world.popen("exec", "--detach", "--pid-file", pid_file, self.shared.id, "/bin/sh", "-c", script,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            self.assertEqual(child.wait(harness.TIMEOUT), 0)
            self.assertEqual(child.stdout.readline(), b"early\n")
            harness.wait_for(lambda: not harness.alive(int(pid_file.read_text())), "its exit is told at once")
            go.touch()
            self.assertEqual(child.stdout.read(), b"late\n")
            self.assertEqual(child.stderr.read(), b"err\n")
        go.unlink()

    def test_a_stdin_that_the_process_closes(self):
        go = self.shared.rootfs / "go-stdin"
        script = "exec <&-; until test -e /go-stdin; do sleep 0.1; done"
        with self.shared_world.popen("exec", "--detach", self.shared.id, "/bin/sh", "-c", script,
                                     stdin=subprocess.PIPE) as child:
            self.assertEqual(child.wait(harness.TIMEOUT), 0)
            wait_until_unread(child.stdin)
            child.stdin.close()
        go.touch()
        harness.wait_for(lambda: not any("exec <&-" in line for line in self.shared.processes()), "it has ended")
        go.unlink()

    def test_a_background_process_whose_reader_has_gone_gets_sigpipe(self):
        script = "(trap 'touch /piped' PIPE; until test -e /piped; do echo x; sleep 0.1; done) 2>/dev/null & echo $!"
        with self.shared_world.popen("exec", "--detach", self.shared.id, "/bin/sh", "-c", script,
                                     stdout=subprocess.PIPE) as child:
            self.assertEqual(child.wait(harness.TIMEOUT), 0)
            child.stdout.readline()
        piped = self.shared.rootfs / "piped"
        harness.wait_for(piped.exists, "it got SIGPIPE")
        piped.unlink()

    def test_closed_stdout_in_the_container_is_not_the_end(self):
        self.assert_run(self.shared.exec_sh("exec >&-; sleep 0.2; echo still here >&2; exit 3"), 3, "", "^still here$")


if __name__ == "__main__":
    harness.main()
