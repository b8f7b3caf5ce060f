# SPDX-License-Identifier: Apache-2.0
"""A person at a terminal, and an engine that waits at a console socket."""
import array
import fcntl
import os
import pty
import select
import socket
import struct
import termios
import time

import harness


class Master:
    """The side of a terminal where the person sits."""

    def __init__(self, fd):
        self.fd = fd
        self.seen = b""

    def expect(self, text, timeout=harness.TIMEOUT):
        """Waits until text has been printed; what comes up to its end is taken away and returned."""
        deadline = time.monotonic() + timeout
        while text not in self.seen:
            if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"no {text!r} on the terminal, only {self.seen!r}")
            try:
                got = os.read(self.fd, 65536)
            except OSError:  # EIO: nobody has the other side open
                got = b""
            if not got:
                raise AssertionError(f"the terminal was closed before {text!r}, after {self.seen!r}")
            self.seen += got
        end = self.seen.index(text) + len(text)
        taken, self.seen = self.seen[:end], self.seen[end:]
        return taken

    def type(self, text):
        os.write(self.fd, text)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self):
        os.close(self.fd)


class Terminal(Master):
    """A terminal with a runtime in its foreground."""

    def __init__(self, rows=33, columns=101):
        master, self.slave = pty.openpty()
        super().__init__(master)
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(self.slave)

    def options(self):
        """For Popen: the child leads a session with this as its controlling terminal."""
        take = lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        return {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave, "preexec_fn": take}

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.modes

    def close(self):
        super().close()
        os.close(self.slave)


class ConsoleSocket:
    """Where --console-socket sends the terminal of a detached process."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()

    def receive(self):
        self.socket.settimeout(harness.TIMEOUT)
        connection, _ = self.socket.accept()
        with connection:
            fds = array.array("i")
            _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(fds.itemsize))
        for _, _, data in ancillary:
            fds.frombytes(data)
        assert len(fds) == 1, f"{len(fds)} descriptors came over the console socket"
        return Master(fds[0])

    def close(self):
        self.socket.close()
