# SPDX-License-Identifier: Apache-2.0
"""Podman as an ordinary user: one made for the tests, who exists in a mount namespace of the tests' own."""
import os
import pathlib
import signal
import subprocess

import harness
import leaks
from podman import PodmanCase

USER = 1870000000 + os.getpid()
IDS = 65536
FIRST_ID = 1600000000 + os.getpid() % 2000 * IDS
NAME = f"kata-user-{os.getpid()}"

# Makes the user in a mount namespace, whose pid the parent reads. Devices that a distribution gives to everybody, also
# where this host does not. The runtime, which may be below a directory that only root may enter, is bound to $1/build.
MAKE = """set -e
for file in passwd group subuid subgid; do cat /etc/$file >"$1/etc/$file" 2>/dev/null || true; done
echo "$NAME:x:$USER:$USER::$1/home:/bin/sh" >>"$1/etc/passwd"
echo "$NAME:x:$USER:" >>"$1/etc/group"
for file in subuid subgid; do echo "$NAME:$FIRST_ID:$IDS" >>"$1/etc/$file"; done
for file in passwd group subuid subgid; do [ -e /etc/$file ] || touch /etc/$file; mount --bind "$1/etc/$file" /etc/$file; done
mount -t tmpfs -o mode=755 tmpfs "$1/dev"
mknod -m 666 "$1/dev/fuse" c 10 229; mount --bind "$1/dev/fuse" /dev/fuse
mknod -m 666 "$1/dev/tun" c 10 200; mount --bind "$1/dev/tun" /dev/net/tun
mount --bind "$2" "$1/build"
eval "$3"
echo ready
exec sleep infinity
"""


class RootlessUser:
    """directory: a new one, which gets the user's home, what is bound over the host's files, and the runtime.

    setup: a script of a shell, to be run in the mount namespace when all else is there.
    """

    def __init__(self, directory, setup=""):
        self.directory = directory
        directory.chmod(0o755)
        self.home, self.run = directory / "home", directory / "xdg"
        for name in ("etc", "dev", "build", "home", "xdg"):
            (directory / name).mkdir()
        for path in (self.home, self.run):
            os.chown(path, USER, USER)
        self.run.chmod(0o700)
        environment = {**os.environ, "NAME": NAME, "USER": str(USER), "FIRST_ID": str(FIRST_ID), "IDS": str(IDS)}
        build = pathlib.Path(harness.RUNTIME).resolve().parents[1]
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", MAKE, "sh", directory, build, setup],
                                       env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)  # fmt: skip
        if self.holder.stdout.readline() != b"ready\n":
            self.holder.wait()
            raise AssertionError("cannot make a user")
        self.runtime = directory / "build/bin/kata-runtime"

    def prefix(self, *variables):
        """Runs a command as the user."""
        return ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", f"--wd={self.home}", "setpriv", f"--reuid={USER}",
                f"--regid={USER}", "--clear-groups", "env", "-i", f"PATH={os.environ['PATH']}", f"HOME={self.home}",
                f"USER={NAME}", f"XDG_RUNTIME_DIR={self.run}", *variables]  # fmt: skip

    def call(self, *argv, variables=(), **options):
        argv = [*self.prefix(*variables), *map(str, argv)]
        options = {"stdin": subprocess.DEVNULL, "timeout": harness.TIMEOUT, **options}
        done = subprocess.run(argv, capture_output=True, **options)
        return harness.Result(argv, done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def processes(self):
        """pid -> command line of all that is alive as the user or one of the user's subordinate ids."""
        found = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                owner = os.stat(f"/proc/{entry}").st_uid
                status = pathlib.Path(f"/proc/{entry}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            owners = {owner, *map(int, status.split("Uid:", 1)[1].split(None, 4)[:4])}
            if owners & {USER, *range(FIRST_ID, FIRST_ID + IDS)} and harness.alive(int(entry)):
                found[int(entry)] = leaks.process(entry)[2]
        return found

    def end(self):
        """Of what Podman leaves, its pause process alone holds the user's namespaces: then nothing else may run."""
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        harness.wait_for(lambda: not self.processes(), "the user's processes have ended")
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        strangers = [command for command in left.values() if not command.startswith(("podman", "catatonit"))]
        if strangers:
            raise AssertionError(f"left over of the user's processes: {strangers}")


class RootlessCase(PodmanCase):
    """PodmanCase for a user."""

    setup = ""
    storage = ("--storage-driver", "vfs")

    @classmethod
    def setUpClass(cls):
        place = harness.World()
        cls.addClassCleanup(place.close)
        cls.user = RootlessUser(place.tmp, cls.setup)
        cls.addClassCleanup(cls.user.end)
        super().setUpClass()

    @classmethod
    def argv(cls, *arguments):
        runtime = cls.user.runtime if harness.IS_KATA else harness.RUNTIME
        flags = ["--runtime-flag", f"config={harness.CONFIG}"] if harness.CONFIG and harness.IS_KATA else []
        return [*cls.user.prefix(), "podman", *cls.storage, "--cgroup-manager", cls.cgroup_manager, "--events-backend", "file",
                "--runtime", str(runtime), *flags, *map(str, arguments)]  # fmt: skip

    def setUp(self):
        super().setUp()
        self.tmp = self.user.home / f"test{self.id()}"
        self.tmp.mkdir()
        os.chown(self.tmp, USER, USER)
