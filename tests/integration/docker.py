# SPDX-License-Identifier: Apache-2.0
"""Docker 28, the packages of a newer Debian, with the runtime under test by both of its ways. Its network and its mounts are
its own: on the host nothing of it is seen but processes and cgroups."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile

import containerd2
import debian
import harness
import leaks
import rootfs
from containerd import SHIM

IMAGE = "kata-image"
BY_PATH, BY_TYPE = "kata", "io.containerd.kata.v2"
PROGRAMS = {"docker.io": ("usr/sbin/dockerd", "usr/sbin/docker-proxy"), "docker-cli": ("usr/bin/docker",),
            "containerd": ("usr/bin/containerd", "usr/bin/containerd-shim-runc-v2")}  # fmt: skip


def programs(directory):
    """Links to the programs of those packages."""
    for package, paths in PROGRAMS.items():
        for path in paths:
            link = directory / pathlib.Path(path).name
            link.symlink_to(debian.package(containerd2.SUITE, package) / path)


class Docker:
    """One daemon; close() ends it and what it has left."""

    def __init__(self, programs):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix=leaks.TAG, dir="/var/tmp"))
        (self.tmp / "bin").mkdir()
        programs(self.tmp / "bin")
        (self.tmp / "bin" / SHIM.name).symlink_to(SHIM)
        self.environment = {**os.environ, "PATH": f"{self.tmp}/bin:{os.environ['PATH']}", "HOME": str(self.tmp),
                            "DOCKER_HOST": f"unix://{self.tmp}/docker.sock"}  # fmt: skip
        config = {
            "data-root": f"{self.tmp}/data",
            "exec-root": f"{self.tmp}/exec",
            "pidfile": f"{self.tmp}/pid",
            "hosts": [self.environment["DOCKER_HOST"]],
            "features": {"cdi": True},
            "cdi-spec-dirs": [f"{self.tmp}/cdi"],
            "runtimes": {"crun": {"path": "/usr/bin/crun"}},
        }
        (self.tmp / "daemon.json").write_text(json.dumps(config))
        # As people do it. It makes the runtimes kata and kata-v2, and asks dockerd whether it knows such as the latter.
        setup = [harness.RUNTIME, "setup", "docker", "--apply", "--file", self.tmp / "daemon.json"]
        subprocess.run(setup, env=self.environment, check=True, stdout=subprocess.DEVNULL)
        with open(self.tmp / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
                 "dockerd", "--config-file", self.tmp / "daemon.json"],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.prefix = ["nsenter", "--mount", "--net", "-t", str(self.process.pid)]
        harness.wait_for(self._answers, "Docker answers")
        tar = subprocess.Popen(["tar", "-C", rootfs.template("busybox"), "-c", "."], stdout=subprocess.PIPE)
        result = self.docker("import", "--change", "ENV WHO=image", "-", IMAGE, stdin=tar.stdout)
        tar.stdout.close()
        if tar.wait() != 0 or result.status != 0:
            raise AssertionError(result)

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"dockerd has ended:\n{self.log()}")
        return (self.tmp / "docker.sock").exists() and self.docker("version").status == 0

    def log(self):
        return (self.tmp / "log").read_text(errors="replace")

    def run(self, *arguments, input=None, stdin=subprocess.DEVNULL):
        """A command on Docker's host."""
        argv = [*self.prefix, *map(str, arguments)]
        given = {"stdin": stdin} if input is None else {"input": input}
        done = subprocess.run(argv, env=self.environment, capture_output=True, timeout=2 * harness.TIMEOUT, **given)
        return harness.Result(argv, done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def docker(self, *arguments, **options):
        return self.run("docker", *arguments, **options)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(harness.TIMEOUT)
        # Where it cannot make cgroups of systemd's, Docker has made this one, and keeps it.
        for directory in pathlib.Path("/sys/fs/cgroup").glob("**/docker"):
            try:
                directory.rmdir()
            except OSError:
                pass  # that of another Docker
        subprocess.run(["rm", "-rf", "--one-file-system", self.tmp], check=True)


class DockerCase(harness.Case):
    programs = staticmethod(programs)  # puts those that are not this machine's own into a directory

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.engine = Docker(cls.programs)
        cls.addClassCleanup(cls.engine.close)

    def setUp(self):
        super().setUp()
        self.log_start = len(self.engine.log())
        self.addCleanup(self._end_all)

    def _end_all(self):
        if containers := self.docker("ps", "--all", "--quiet").out.split():
            self.docker("rm", "--force", "--volumes", *containers)
        self.docker("network", "prune", "--force")
        self.world.log.append(self.engine.log()[self.log_start :][-6000:])

    def docker(self, *arguments, **options):
        result = self.engine.docker(*arguments, **options)
        self.world.log.append(str(result))
        return result

    def inspect(self, container, what):
        return self.assert_run(self.docker("inspect", "--format", "{{" + what + "}}", container)).out.strip()
