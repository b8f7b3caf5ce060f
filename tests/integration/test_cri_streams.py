# SPDX-License-Identifier: Apache-2.0
"""What a kubelet streams through containerd's CRI plugin: exec, attach, port-forward."""
import harness
from cri import CriCase
from cri_streams import STDERR, STDIN, STDOUT, Streams


class StreamCase(CriCase):
    def streams(self, method, container, **fields):
        streams = Streams(self.call(method, container_id=container, **fields).url)
        self.addCleanup(streams.close)
        return streams

    def assert_terminal(self, streams):
        streams.resize(33, 101)
        streams.send(STDIN, b"while [ \"$(stty size)\" != '33 101' ]; do :; done; echo resi''zed\n")
        streams.expect(STDOUT, b"resized")
        streams.send(STDIN, b"exit 3\n")


class ExecTest(StreamCase):
    def test_all_streams(self):
        container = self.start_container(self.run_pod())
        script = "echo ready; read word; echo out $word; echo err >&2; exit 5"
        streams = self.streams("Exec", container, cmd=["sh", "-c", script], stdin=True, stdout=True, stderr=True)
        streams.expect(STDOUT, b"ready\n")
        streams.send(STDIN, b"word\n")
        self.assertEqual(streams.status(), 5)
        self.assertEqual(streams.received[STDOUT], b"out word\n")
        self.assertEqual(streams.received[STDERR], b"err\n")

    def test_much_data(self):
        container = self.start_container(self.run_pod())
        command = ["sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x"]
        streams = self.streams("Exec", container, cmd=command, stdout=True)
        self.assertEqual(streams.status(), 0)
        self.assertEqual(len(streams.received[STDOUT]), 5_000_000)

    def test_a_terminal(self):
        container = self.start_container(self.run_pod())
        streams = self.streams("Exec", container, cmd=["sh"], stdin=True, stdout=True, tty=True)
        streams.expect(STDOUT, b"#")
        self.assert_terminal(streams)
        self.assertEqual(streams.status(), 3)

    def test_a_command_that_is_not_there(self):
        container = self.start_container(self.run_pod())
        streams = self.streams("Exec", container, cmd=["nosuch"], stdout=True)
        said = b"".join(streams.rest().values())
        self.assertIn(b"executable file not found in $PATH", said.replace(b"\\", b""))


class AttachTest(StreamCase):
    def test_all_streams(self):
        def with_stdin(container):
            container.stdin = True

        script = "read word; echo out $word; echo err >&2; read end; exit 4"
        pod = self.run_pod()
        container = self.start_container(pod, "main", "sh", "-c", script, change=with_stdin)
        first, second = (self.streams("Attach", container, stdin=True, stdout=True, stderr=True) for _ in range(2))
        first.send(STDIN, b"word\n")
        for streams in (first, second):
            streams.expect(STDOUT, b"out word\n")
            streams.expect(STDERR, b"err\n")
        first.close()
        second.send(STDIN, b"end\n")
        second.rest()
        self.assertEqual(self.exited(container).exit_code, 4)
        self.assertEqual(self.log_of(pod, "main"), [("stdout", "out word"), ("stderr", "err")])

    def test_a_terminal(self):
        def with_terminal(container):
            container.stdin = container.tty = True

        container = self.start_container(self.run_pod(), "main", "sh", change=with_terminal)
        self.assert_terminal(self.streams("Attach", container, stdin=True, stdout=True, tty=True))
        self.assertEqual(self.exited(container).exit_code, 3)


if __name__ == "__main__":
    harness.main()
