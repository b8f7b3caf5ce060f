# SPDX-License-Identifier: Apache-2.0
"""A plugin of NRI, containerd's node resource interface: two ttRPC connections over one socket, one for what it is asked."""
import importlib
import queue
import socket
import struct
import subprocess
import sys
import threading

import harness
from ttrpc import REQUEST, RESPONSE

ASKED, ASKS = 1, 2  # the numbers of the connections
PACKAGE = "nri.pkg.api.v1alpha1"
CREATE_CONTAINER = 1 << 3  # of the events that a plugin may ask for


def load_messages(directory):
    """The module of nri.proto's messages, generated into a directory."""
    here = str(harness.REPOSITORY / "tests/integration")
    subprocess.run(["protoc", f"--proto_path={here}", f"--python_out={directory}", "nri.proto"], check=True)
    sys.path.insert(0, str(directory))
    return importlib.import_module("nri_pb2")


class Plugin:
    """adjust(request, adjustment) is called when a container is made. close() leaves containerd."""

    def __init__(self, path, api, envelopes, adjust):
        self.api, self.envelopes, self.adjust = api, envelopes, adjust
        self.ready = threading.Event()
        self.replies = queue.Queue()
        self.buffers = {ASKED: b"", ASKS: b""}
        self.stream = 1
        self.writing = threading.Lock()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        self._call("RegisterPlugin", api.RegisterPluginRequest(plugin_name="tests", plugin_idx="10"), api.Empty)
        if not self.ready.wait(harness.TIMEOUT):
            raise AssertionError("containerd has not told the plugin what there is")

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(harness.TIMEOUT)
        self.socket.close()

    def update(self, container, change):
        """Asks for other limits of a container that runs: change(resources)."""
        request = self.api.UpdateContainersRequest()
        update = request.update.add(container_id=container)
        change(update.linux.resources)
        return self._call("UpdateContainers", request, self.api.UpdateContainersResponse)

    def _call(self, method, request, reply_type):
        envelope = self.envelopes.Request(service=f"{PACKAGE}.Runtime", method=method, payload=request.SerializeToString())
        self._send(ASKS, self.stream, REQUEST, envelope)
        self.stream += 2
        response = self.replies.get(timeout=harness.TIMEOUT)
        if response.status.code:
            raise AssertionError(f"{method}: {response.status.message}")
        return reply_type.FromString(response.payload)

    def _send(self, connection, stream, kind, envelope):
        data = envelope.SerializeToString()
        message = struct.pack(">IIBB", len(data), stream, kind, 0) + data
        with self.writing:
            self.socket.sendall(struct.pack(">II", connection, len(message)) + message)

    def _receive(self, length):
        data = b""
        while len(data) < length:
            if not (more := self.socket.recv(length - len(data))):
                raise EOFError
            data += more
        return data

    def _read(self):
        try:
            while True:
                connection, length = struct.unpack(">II", self._receive(8))
                self.buffers[connection] += self._receive(length)
                self._take(connection)
        except (EOFError, OSError):
            return

    def _take(self, connection):
        """The whole messages of what has come."""
        while len(self.buffers[connection]) >= 10:
            length, stream, kind, _ = struct.unpack(">IIBB", self.buffers[connection][:10])
            if len(self.buffers[connection]) < 10 + length:
                return
            data = self.buffers[connection][10 : 10 + length]
            self.buffers[connection] = self.buffers[connection][10 + length :]
            if kind == RESPONSE:
                self.replies.put(self.envelopes.Response.FromString(data))
            else:
                request = self.envelopes.Request.FromString(data)
                payload = self._answer(request.method, request.payload).SerializeToString()
                self._send(connection, stream, RESPONSE, self.envelopes.Response(payload=payload))
                if request.method == "Synchronize":
                    self.ready.set()

    def _answer(self, method, payload):
        if method == "Configure":
            return self.api.ConfigureResponse(events=CREATE_CONTAINER)
        if method == "Synchronize":
            return self.api.SynchronizeResponse()
        if method == "CreateContainer":
            reply = self.api.CreateContainerResponse()
            self.adjust(self.api.CreateContainerRequest.FromString(payload), reply.adjust)
            return reply
        return self.api.Empty()
