# SPDX-License-Identifier: Apache-2.0
"""The streams of the CRI (exec, attach, port-forward) over a WebSocket, as the kubelet's streaming server offers them."""
import contextlib
import json
import struct
import time

import websocket

import harness

STDIN, STDOUT, STDERR, STATUS, RESIZE = range(5)


class Streams:
    """One connection; its messages are a channel's number and data."""

    def __init__(self, url):
        url = url.replace("http://", "ws://", 1)
        self.socket = websocket.create_connection(url, timeout=harness.TIMEOUT, subprotocols=["v4.channel.k8s.io"])
        self.received = {}

    def send(self, channel, data):
        self.socket.send_binary(bytes([channel]) + data)

    def receive(self):
        """Takes one message; False at the end."""
        with contextlib.suppress(websocket.WebSocketConnectionClosedException):
            opcode, data = self.socket.recv_data()
            if opcode in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT) and data:
                self.received[data[0]] = self.received.get(data[0], b"") + data[1:]
            return opcode != websocket.ABNF.OPCODE_CLOSE
        return False

    def expect(self, channel, text):
        """Reads until the channel has said this; it forgets all up to its end."""
        deadline = time.monotonic() + harness.TIMEOUT
        while text not in self.received.get(channel, b""):
            if time.monotonic() > deadline or not self.receive():
                raise AssertionError(f"no {text!r} in channel {channel}: {self.received}")
        self.received[channel] = self.received[channel].split(text, 1)[1]

    def resize(self, rows, columns):
        self.send(RESIZE, json.dumps({"Width": columns, "Height": rows}).encode())

    def rest(self):
        """All that comes until the end: channel -> bytes."""
        while self.receive():
            pass
        return self.received

    def status(self):
        """The exit status, once it has come."""
        self.rest()
        status = json.loads(self.received[STATUS])
        if status["status"] == "Success":
            return 0
        return next(int(cause["message"]) for cause in status["details"]["causes"] if cause["reason"] == "ExitCode")

    def close(self):
        self.socket.close()


class Forward(Streams):
    """A connection to one port of a pod: channel 0 is data, 1 are errors; each begins with the port's number."""

    def __init__(self, url, port):
        super().__init__(f"{url}?port={port}")
        self.received = {}
        while any(len(self.received.get(channel, b"")) < 2 for channel in (0, 1)):
            if not self.receive():
                raise AssertionError(f"the port {port} is not forwarded: {self.received}")
        for channel in (0, 1):
            assert struct.unpack("<H", self.received[channel][:2]) == (port,), self.received
            self.received[channel] = self.received[channel][2:]
