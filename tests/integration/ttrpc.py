# SPDX-License-Identifier: Apache-2.0
"""Calls over ttRPC, for services that no client on the machine knows yet."""
import importlib
import socket
import struct
import subprocess
import sys

import harness

REQUEST, RESPONSE = 1, 2


def load_messages(directory, *names):
    """The modules of src/protocol/NAME.proto, generated into a directory."""
    source = str(harness.REPOSITORY / "src")
    files = [str(path.relative_to(source)) for path in (harness.REPOSITORY / "src/protocol").glob("*.proto")]
    subprocess.run(["protoc", f"--proto_path={source}", f"--python_out={directory}", *files], check=True)
    sys.path.insert(0, str(directory))
    return [importlib.import_module(f"protocol.{name}_pb2") for name in names]


class Failure(Exception):
    """A call that was answered with an error: its gRPC code and message."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


class Client:
    """One connection, one call at a time."""

    def __init__(self, path, messages):
        self.messages = messages
        self.stream = 1
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(harness.TIMEOUT)
        self.socket.connect(str(path))

    def close(self):
        self.socket.close()

    def _read(self, length):
        data = b""
        while len(data) < length:
            if not (more := self.socket.recv(length - len(data))):
                raise EOFError("the connection was closed")
            data += more
        return data

    def call(self, service, method, request, reply_type):
        envelope = self.messages.Request(service=service, method=method, payload=request.SerializeToString())
        data = envelope.SerializeToString()
        self.socket.sendall(struct.pack(">IIBB", len(data), self.stream, REQUEST, 0) + data)
        length, stream, kind, _ = struct.unpack(">IIBB", self._read(10))
        assert (stream, kind) == (self.stream, RESPONSE), (stream, kind)
        self.stream += 2
        response = self.messages.Response.FromString(self._read(length))
        if response.status.code:
            raise Failure(response.status.code, response.status.message)
        return reply_type.FromString(response.payload)
