# SPDX-License-Identifier: Apache-2.0
"""Bundles, containers and a test case that ends with a look for left-overs. See README.md of this directory."""
import copy
import functools
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import leaks
import rootfs

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
RUNTIME = os.environ.get("KATA_RUNTIME", str(REPOSITORY / "build/bin/kata-runtime"))
CONFIG = os.environ.get("KATA_TEST_CONFIG", "")
IS_KATA = "kata" in os.path.basename(RUNTIME)
TIMEOUT = float(os.environ.get("KATA_TEST_TIMEOUT", 120))  # seconds; generous: it only ends what hangs

# For what a runtime without virtual machines does not do; against kata-runtime nothing is ever skipped.
kata_only = unittest.skipUnless(IS_KATA, "the reference has no such thing")

leaks.become_subreaper()
_numbers = itertools.count(1)


@functools.cache
def default_spec():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([RUNTIME, "spec"], cwd=directory, check=True, stdout=subprocess.DEVNULL, timeout=TIMEOUT)
        return json.loads(pathlib.Path(directory, "config.json").read_text())


class Result:
    """One finished command."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.raw, self.err = argv, status, out, err
        self.out = out.decode(errors="replace")

    def __str__(self):
        shown = self.out if len(self.out) < 4000 else self.out[:2000] + "\n[...]\n" + self.out[-2000:]
        return f"$ {' '.join(map(str, self.argv))}\nstatus {self.status}\nstdout: {shown}\nstderr: {self.err[-8000:]}"


def wait_for(condition, what, timeout=TIMEOUT):
    """The first true value of condition()."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain: {what}")
        time.sleep(0.01)
    return value


def _cgroup2_mount():
    """Where this host has version 2 of the cgroups mounted, and the options of its file system."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, file_system = line.partition(" - ")
        kind, _, options = file_system.split()
        if kind == "cgroup2":
            return pathlib.Path(mount.split()[4]), options
    raise AssertionError("this host has no cgroup2 mounted")


def cgroup2():
    """Where this host has version 2 of the cgroups mounted."""
    return _cgroup2_mount()[0]


def mount_cgroup2():
    """A shell command that mounts it at /sys/fs/cgroup once more. All mounts of it share their options, so they are kept."""
    return f"mount -t cgroup2 -o {_cgroup2_mount()[1]} cgroup2 /sys/fs/cgroup"


def alive(pid):
    return (found := leaks.process(pid)) is not None and found[1] != "Z"


class World:
    """A directory with bundles and a --root of its own, and what was done there, for the report of a failure."""

    def __init__(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix=leaks.TAG))
        self.root = self.tmp / "root"
        self.config = CONFIG
        self.environment = dict(os.environ)
        self.log = []
        self.containers = []
        self.children = []
        self.prefix = []  # a command that runs the runtime in other surroundings

    def argv(self, *arguments):
        config = ["--config", str(self.config)] if self.config and IS_KATA else []
        return [RUNTIME, "--root", str(self.root), *config, *map(str, arguments)]

    def popen(self, *arguments, **options):
        options = {"env": self.environment, "stdin": subprocess.DEVNULL, **options}
        argv = [*self.prefix, *self.argv(*arguments)]
        self.log.append("$ " + " ".join(argv))
        self.children.append(subprocess.Popen(argv, **options))
        return self.children[-1]

    def runtime(self, *arguments, input=None, detached=False, timeout=TIMEOUT, **options):
        """Runs one command to its end. detached: processes that go on hold its stdout, so that is a file."""
        stdin = options.pop("stdin", subprocess.DEVNULL if input is None else subprocess.PIPE)
        sink = open(self.tmp / f"output{next(_numbers)}", "w+b") if detached else subprocess.PIPE
        child = self.popen(*arguments, stdin=stdin, stdout=sink, stderr=sink, **options)
        try:
            out, err = child.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            self.log.append(f"did not end in {timeout} s; so far: {out!r} {err!r}")
            raise
        finally:
            if detached:
                sink.seek(0)
                text = sink.read()
                sink.close()
        if detached:
            out, err = b"", text
        result = Result(child.args, child.returncode, out, err.decode(errors="replace"))
        self.log[-1:] = [str(result)]
        return result

    def container(self, *args, **options):
        self.containers.append(Container(self, args, **options))
        return self.containers[-1]

    def sh(self, script, **options):
        return self.container("/bin/sh", "-c", script, **options)

    def configure(self, text):
        """A drop-in over the configuration of the tests."""
        directory = self.tmp / f"configuration{next(_numbers)}"
        (directory / "config.d").mkdir(parents=True)
        (directory / "configuration.toml").write_text(pathlib.Path(CONFIG).read_text() if CONFIG else "")
        (directory / "config.d" / "50-test.toml").write_text(text)
        self.config = directory / "configuration.toml"

    def limit_open_files(self, limit):
        """For the runtime and what it starts, also the file server: who has CAP_SYS_RESOURCE gives that more."""
        self.prefix = ["setpriv", "--bounding-set=-sys_resource", "prlimit", f"--nofile={limit}:{limit}"]

    def end_children(self):
        """Those that a test that failed did not wait for."""
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
        self.children.clear()

    def close_containers(self):
        self.end_children()
        for path in sorted(self.root.glob("*/sandbox.log")):
            self.log.append(f"-- end of {path}:\n" + path.read_text(errors="replace")[-6000:])
        for container in self.containers:
            if (self.root / container.id).exists():
                self.runtime("delete", "--force", container.id)

    def close(self):
        self.close_containers()
        subprocess.run(["rm", "-rf", "--one-file-system", self.tmp], check=True)


class Container:
    """A bundle and the container made from it. spec may be changed until create or run."""

    def __init__(self, world, args, image="busybox"):
        self.world = world
        self.id = f"{leaks.TAG}{next(_numbers)}"
        self.bundle = world.tmp / self.id
        self.rootfs = self.bundle / "rootfs"
        self.bundle.mkdir()
        if image:
            rootfs.copy(image, self.rootfs)
        else:
            self.rootfs.mkdir()
        self.spec = copy.deepcopy(default_spec())
        self.process = self.spec["process"]
        self.linux = self.spec["linux"]
        self.process.update(terminal=False, args=list(map(str, args)))
        self.spec["root"]["readonly"] = False
        self.linux["cgroupsPath"] = f"/{self.id}"
        self.pid_file = self.bundle / "pid"

    def mount(self, source, destination, *options, type="bind"):
        self.spec["mounts"].append(
            {"source": str(source), "destination": destination, "type": type, "options": list(options)}
        )

    def namespace(self, type, path=None):
        self.linux["namespaces"] = [entry for entry in self.linux["namespaces"] if entry["type"] != type]
        self.linux["namespaces"].append({"type": type, **({"path": str(path)} if path else {})})

    def write(self):
        (self.bundle / "config.json").write_text(json.dumps(self.spec))

    def run(self, *flags, **options):
        self.write()
        return self.world.runtime("run", "--bundle", self.bundle, *flags, self.id, **options)

    def popen_run(self, *flags, **options):
        self.write()
        return self.world.popen("run", "--bundle", self.bundle, *flags, self.id, **options)

    def create(self, *flags, **options):
        self.write()
        return self.world.runtime(
            "create", "--bundle", self.bundle, "--pid-file", self.pid_file, *flags, self.id, detached=True, **options
        )

    def start(self):
        return self.world.runtime("start", self.id)

    def state(self):
        return json.loads(self.world.runtime("state", self.id).out)

    def status(self):
        result = self.world.runtime("state", self.id)
        return json.loads(result.out)["status"] if result.status == 0 else "gone"

    def exec(self, *args, flags=(), **options):
        return self.world.runtime("exec", *flags, self.id, *args, **options)

    def exec_sh(self, script, **options):
        return self.exec("/bin/sh", "-c", script, **options)

    def processes(self):
        """The command lines in the container."""
        return [line.strip() for line in self.exec("/bin/ps", "-o", "args").out.splitlines()]

    def kill(self, signal="KILL", *flags):
        return self.world.runtime("kill", *flags, self.id, signal)

    def delete(self, *flags):
        return self.world.runtime("delete", *flags, self.id)

    def wait_for(self, status):
        wait_for(lambda: self.status() == status, f"{self.id} is {status}")

    def record(self):
        """kata-runtime's own state.json."""
        return json.loads((self.world.root / self.id / "state.json").read_text())


class Case(unittest.TestCase):
    """A test in a world of its own, which must leave the host as it was."""

    maxDiff = 4000

    def setUp(self):
        self.before = leaks.snapshot()
        self.world = World()
        self.addCleanup(self._look_for_leaks)
        self.addCleanup(self.world.close)
        self.container, self.sh = self.world.container, self.world.sh

    def _look_for_leaks(self):
        if lines := leaks.wait_until_same(self.before):
            self.fail(lines)

    def run(self, result=None):
        bad = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > bad and hasattr(self, "world"):
            print(f"---- what {self.id()} did ----", *self.world.log, "----", sep="\n", file=sys.stderr, flush=True)
        return result

    def assert_run(self, result, status=0, out=None, err=None):
        """out: the whole output; err: a regular expression to be found in stderr."""
        self.assertEqual(result.status, status, result)
        if out is not None:
            self.assertEqual(result.out, out, result)
        if err is not None:
            self.assertRegex(result.err, err)
        return result

    def assert_nothing_left(self, *containers):
        """For tests in which `delete` has to clean up: before the case's own clean-up could."""
        for container in containers or self.world.containers:
            self.assertFalse((self.world.root / container.id).exists(), f"{container.id} still has a directory")
        if lines := leaks.wait_until_same(self.before):
            self.fail(lines)

    def started(self, *args, **options):
        """A container that runs args, or sleeps."""
        container = self.container(*(args or ("/bin/sleep", "1000")), **options)
        return self.start(container)

    def start(self, container):
        self.assert_run(container.create())
        self.assert_run(container.start())
        return container


class SharedCase(Case):
    """Tests in one container that sleeps, since a start takes seconds. prepare(container) may change its spec."""

    image = "busybox"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        before = leaks.snapshot()
        cls.shared_world = World()
        cls.addClassCleanup(cls._end, before)
        cls.shared = cls.shared_world.container("/bin/sleep", "100000", image=cls.image)
        cls.prepare(cls.shared)
        for result in (cls.shared.create(), cls.shared.start()):
            if result.status != 0:
                raise AssertionError(result)

    @classmethod
    def prepare(cls, container):
        pass

    @classmethod
    def _end(cls, before):
        cls.shared_world.close()
        if lines := leaks.wait_until_same(before):
            raise AssertionError(lines)

    def setUp(self):
        super().setUp()
        self.shared_world.log.clear()
        self.addCleanup(self.shared_world.end_children)

    def run(self, result=None):
        bad = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > bad:
            print("---- in the shared container ----", *self.shared_world.log, sep="\n", file=sys.stderr, flush=True)
            for path in self.shared_world.root.glob("*/sandbox.log"):
                print(f"-- end of {path}:", path.read_text(errors="replace")[-4000:], sep="\n", file=sys.stderr)
        return result


def status_of(returncode):
    """Popen's return code as a shell shows it."""
    return 128 - returncode if returncode < 0 else returncode


def main():
    unittest.main(verbosity=2)
