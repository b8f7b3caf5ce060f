# SPDX-License-Identifier: Apache-2.0
"""What a kubelet streams through containerd's CRI plugin: exec, attach, port-forward."""
import harness
from cri import CriCase
from cri_streams import STDERR, STDIN, STDOUT, Forward, Streams


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
        self.assertEqual(sorted(self.log_of(pod, "main")), [("stderr", "err"), ("stdout", "out word")])

    def test_a_terminal(self):
        def with_terminal(container):
            container.stdin = container.tty = True

        container = self.start_container(self.run_pod(), "main", "sh", change=with_terminal)
        self.assert_terminal(self.streams("Attach", container, stdin=True, stdout=True, tty=True))
        self.assertEqual(self.exited(container).exit_code, 3)


class ForwardTest(CriCase):
    def forward(self, pod, port):
        url = self.call("PortForward", pod_sandbox_id=pod[0], port=[port]).url
        stream = Forward(url, port)
        self.addCleanup(stream.close)
        return stream

    def serve(self, pod, name, *command):
        return self.start_container(pod, name, "sh", "-c", " ".join(command))

    def listens(self, container, port):
        harness.wait_for(lambda: f":{port} " in self.exec_sync(container, "netstat -ltn").out, f"{port} is listened at")

    def test_servers_of_all_kinds(self):
        pod = self.run_pod()
        page = "echo page >/tmp/index.html; exec httpd -f -h /tmp -p"
        for port, address in ((8080, "8080"), (8081, "127.0.0.1:8081"), (8082, "[::1]:8082")):
            self.listens(self.serve(pod, f"at-{port}", page, address), port)
            stream = self.forward(pod, port)
            stream.send(STDIN, b"GET /index.html HTTP/1.0\r\n\r\n")
            self.assertTrue(stream.rest()[0].endswith(b"\r\n\r\npage\n"), stream.received)

    def test_much_data_and_many_at_once(self):
        pod = self.run_pod()
        echo = self.serve(pod, "echo", "exec nc -ll -p 7777 -e cat")
        self.listens(echo, 7777)
        streams = [self.forward(pod, 7777) for _ in range(4)]
        data = [bytes([65 + number]) * 300_000 for number in range(len(streams))]
        for at in range(0, 300_000, 30_000):
            for stream, text in zip(streams, data):
                stream.send(STDIN, text[at : at + 30_000])
        for stream, text in zip(streams, data):
            while len(stream.received[0]) < len(text):
                self.assertTrue(stream.receive(), len(stream.received[0]))
            self.assertEqual(stream.received[0], text)

    def test_nobody_listens(self):
        pod = self.run_pod()
        stream = self.forward(pod, 9999)
        self.assertEqual(stream.rest()[0], b"")
        self.assertIn("nobody listens", harness.wait_for(lambda: self.said("9999 is not forwarded"), "the log says it"))

    def said(self, words):
        return next((line for line in self.containerd.log().splitlines() if words in line), "")


if __name__ == "__main__":
    harness.main()
