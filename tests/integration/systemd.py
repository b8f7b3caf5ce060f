# SPDX-License-Identifier: Apache-2.0
"""A host with systemd: Debian's own one as the init of namespaces, with cgroup version 2 alone, below a cgroup of the test."""
import itertools
import os
import pathlib
import signal
import subprocess

import harness
import leaks

_numbers = itertools.count(1)

# Enters the cgroup $1 and makes it the root of all; the rest is the command.
IN_A_CGROUP = f"""
umount -R -l /sys/fs/cgroup && {harness.mount_cgroup2()} && echo 0 >"/sys/fs/cgroup/$1/cgroup.procs" || exit 99
shift
exec unshare --cgroup --pid --fork --kill-child --mount-proc --net --uts --ipc "$@"
"""
# Its target needs no other unit. Nothing that it writes is outside /run.
INIT = f"""
umount -l /sys/fs/cgroup && {harness.mount_cgroup2()} && mount -t tmpfs tmpfs /run || exit 99
mkdir -p /run/systemd/system
printf '[Unit]\\nDescription=Nothing more\\n' >/run/systemd/system/tests.target
exec env -i PATH="$PATH" container=kata-tests /lib/systemd/systemd --system --unit=tests.target --show-status=no \
  --log-target=console --log-level=notice
"""
# As a shell or a daemon on that host: without this it would be in a cgroup that cannot be seen from there.
IN_A_SESSION = """
mkdir -p /sys/fs/cgroup/session && echo 0 >/sys/fs/cgroup/session/cgroup.procs && exec "$@"
"""


class Systemd:
    """prefix is a command that runs another one on its host. close() ends everything there."""

    def __init__(self):
        # What systemd leaves of its own in it is no leak.
        self.cgroup = harness.cgroup2() / f"tests-{os.getpid()}-{next(_numbers)}"
        self.cgroup.mkdir()
        self.starter = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_A_CGROUP, "sh", self.cgroup.name, "sh", "-c", INIT],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.pid = harness.wait_for(self._init, "systemd has begun")
        self.prefix = ["nsenter", "-a", "-t", str(self.pid), "sh", "-c", IN_A_SESSION, "sh"]
        harness.wait_for(lambda: self.systemctl("is-active", "tests.target").out == "active\n", "systemd has started")

    def _init(self):
        if self.starter.poll() is not None:
            raise AssertionError(f"systemd ended: {self.starter.returncode}")
        for child in pathlib.Path(f"/proc/{self.starter.pid}/task/{self.starter.pid}/children").read_text().split():
            if (leaks.process(int(child)) or ("", "", ""))[2].startswith("/lib/systemd/systemd "):
                return int(child)
        return None

    def run(self, *arguments):
        argv = [*self.prefix, *map(str, arguments)]
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=harness.TIMEOUT)
        return harness.Result(argv, done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def systemctl(self, *arguments):
        return self.run("systemctl", "--no-pager", *arguments)

    def units(self, pattern):
        """The names of all units of this kind that it knows, also of those that have failed."""
        shown = self.systemctl("list-units", "--all", "--plain", "--no-legend", pattern).out
        return [line.split()[0] for line in shown.splitlines()]

    def show(self, unit, *properties):
        shown = self.systemctl("show", unit, *(f"--property={name}" for name in properties)).out
        return dict(line.split("=", 1) for line in shown.splitlines())

    def members(self, unit):
        """The command lines in a unit's cgroup."""
        path = self.show(unit, "ControlGroup")["ControlGroup"]
        pids = [pid for procs in (self.cgroup / path.lstrip("/")).rglob("cgroup.procs") for pid in procs.read_text().split()]
        return [found[2] for pid in pids if (found := leaks.process(int(pid)))]

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        self.starter.wait(harness.TIMEOUT)
        harness.wait_for(lambda: "populated 0" in (self.cgroup / "cgroup.events").read_text(), "all of it has ended")
        for directory, _, _ in sorted(os.walk(self.cgroup), reverse=True):
            os.rmdir(directory)
