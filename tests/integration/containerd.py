# SPDX-License-Identifier: Apache-2.0
"""A containerd of the test's own, with the shim under test, images made here, and a kubelet's view of it (CRI)."""
import functools
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile

import harness
import leaks
import rootfs

SHIM = pathlib.Path(harness.RUNTIME).parent / "containerd-shim-kata-v2"
BUSYBOX = "example.test/busybox:latest"
PAUSE = "example.test/pause:latest"
IPERF = "example.test/iperf:latest"

CONFIG = """
version = 2
root = "{tmp}/root"
state = "{tmp}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{tmp}/c.sock"
[debug]
level = "{log_level}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{tmp}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "kata"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
runtime_type = "io.containerd.kata.v2"
privileged_without_host_devices = true
pod_annotations = ["io.katacontainers.*"]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata-all-devices]
runtime_type = "io.containerd.kata.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""

# What keeps a pod's first container going.
PAUSE_PROGRAM = """
#include <signal.h>
#include <unistd.h>
static void end(int signal) { (void)signal; _exit(0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }
"""


def image_archive(directory, name, config):
    """An OCI image archive of one layer, as bytes."""
    layer = subprocess.run(
        ["tar", "-C", directory, "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-cf", "-", "."],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    blobs = []

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        blobs.append((digest, data))
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(data)}

    layers = [blob(layer, "layer.v1.tar")]
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], **config},
        "rootfs": {"type": "layers", "diff_ids": [layers[0]["digest"]]},
    }
    manifest = {"schemaVersion": 2, "config": blob(json.dumps(image).encode(), "config.v1+json"), "layers": layers}
    entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
        files.update({f"blobs/sha256/{digest}": data for digest, data in blobs})
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()


@functools.cache
def busybox_archive():
    return image_archive(rootfs.template("busybox"), BUSYBOX, {"Cmd": ["/bin/sh"]})


@functools.cache
def pause_archive():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["gcc", "-static", "-Os", "-x", "c", "-o", f"{directory}/pause", "-"], input=PAUSE_PROGRAM.encode(), check=True
        )
        return image_archive(directory, PAUSE, {"Entrypoint": ["/pause"]})


def iperf_archive():
    """busybox with this machine's iperf3."""
    program = shutil.which("iperf3")
    with tempfile.TemporaryDirectory() as directory:
        root = f"{directory}/rootfs"
        rootfs.copy("busybox", root)
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
        for file in (program, *(word for word in libraries if word.startswith("/"))):
            target = pathlib.Path(root + file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        return image_archive(root, IPERF, {"Cmd": ["/bin/sh"]})


class Containerd:
    """One daemon; close() ends it and what it has left."""

    config = CONFIG
    programs = ""  # the directory with containerd and ctr; empty: this machine's
    prefix = ()  # a command that runs the daemon in other surroundings

    def __init__(self, log_level="debug"):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix=leaks.TAG, dir="/var/tmp"))
        (self.tmp / "bin").mkdir()
        (self.tmp / "bin" / SHIM.name).symlink_to(SHIM)
        (self.tmp / "cni").mkdir()
        (self.tmp / "c.toml").write_text(self.config.format(tmp=self.tmp, pause=PAUSE, log_level=log_level))
        self.log_file = self.tmp / "containerd.log"
        path = [f"{self.tmp}/bin", *filter(None, [self.programs]), os.environ["PATH"]]
        self.environment = {**os.environ, "PATH": ":".join(path)}
        self.process = None
        self.commands = []
        self.start()
        self.import_image(busybox_archive())

    def start(self):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, shutil.which("containerd", path=self.environment["PATH"]), "-c", self.tmp / "c.toml"], env=self.environment, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        harness.wait_for(lambda: self.ctr("version").status == 0, "containerd answers")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(harness.TIMEOUT)

    def import_image(self, archive, namespace="default"):
        result = self.ctr("--namespace", namespace, "image", "import", "-", input=archive)
        if result.status != 0:
            raise AssertionError(result)

    def argv(self, *arguments):
        return [shutil.which("ctr", path=self.environment["PATH"]), "--address", str(self.tmp / "c.sock"), *map(str, arguments)]

    def ctr(self, *arguments, input=None, timeout=harness.TIMEOUT, **options):
        argv = self.argv(*arguments)
        stdin = {"input": input} if input is not None else {"stdin": options.pop("stdin", subprocess.DEVNULL)}
        done = subprocess.run(argv, capture_output=True, timeout=timeout, env=self.environment, **stdin, **options)
        result = harness.Result(argv, done.returncode, done.stdout, done.stderr.decode(errors="replace"))
        self.commands.append(str(result) if len(result.raw) < 4000 else f"$ {' '.join(argv)}: {len(result.raw)} bytes")
        return result

    def popen(self, *arguments, **options):
        return subprocess.Popen(self.argv(*arguments), env=self.environment, **options)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def end_all(self, namespace="default"):
        """Takes away what a test has left."""
        ctr = functools.partial(self.ctr, "--namespace", namespace)
        for task in ctr("task", "ls", "-q").out.split():
            ctr("task", "kill", "-s", "KILL", task)
            ctr("task", "rm", "--force", task)
        for container in ctr("container", "ls", "-q").out.split():
            ctr("container", "rm", container)

    def close(self):
        if self.process.poll() is None:
            self.stop()
        mounts = [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in reversed([point for point in mounts if point.startswith(f"{self.tmp}/")]):
            subprocess.run(["umount", "-l", mount], check=False)
        subprocess.run(["rm", "-rf", "--one-file-system", self.tmp], check=True)


class ContainerdCase(harness.Case):
    """Tests that share one containerd; after each the host must be as before."""

    log_level = "debug"
    daemon = Containerd  # which

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.containerd = cls.daemon(cls.log_level)
        cls.addClassCleanup(cls.containerd.close)

    def start_containerd(self):
        """Again, after a stop: the new process is what the test began with."""
        self.before["processes"] = {line for line in self.before["processes"] if "containerd -c " not in line}
        self.containerd.start()
        process = self.containerd.process.pid
        self.before["processes"].add(f"{process} {leaks.process(process)[2]}")

    def setUp(self):
        super().setUp()
        self.containerd.commands.clear()
        self.log_start = len(self.containerd.log())
        self.addCleanup(self.containerd.end_all)
        self.ctr = self.containerd.ctr

    def run(self, result=None):
        bad = len(result.failures) + len(result.errors) if result else 0
        super().run(result)
        if result and len(result.failures) + len(result.errors) > bad and hasattr(self, "log_start"):
            print("---- ctr ----", *self.containerd.commands, "---- containerd ----", sep="\n", file=sys.stderr)
            print(self.containerd.log()[self.log_start :][-12000:], file=sys.stderr, flush=True)
        return result

    def name(self):
        return f"{leaks.TAG}{next(harness._numbers)}"

    def run_container(self, *command, flags=(), **options):
        """ctr run --rm to its end."""
        flags = ("--rm", "--runtime", "io.containerd.kata.v2", *flags)
        return self.ctr("run", *flags, BUSYBOX, self.name(), *command, **options)

    def run_sh(self, script, **options):
        return self.run_container("sh", "-c", script, **options)

    def sleeping(self, *command, flags=()):
        """A container in the background; its name."""
        name = self.name()
        command = command or ("sleep", "10000")
        self.assert_run(self.ctr("run", "-d", "--runtime", "io.containerd.kata.v2", *flags, BUSYBOX, name, *command))
        return name

    def exec(self, name, *command, flags=(), **options):
        exec_id = f"e{next(harness._numbers)}"
        return self.ctr("task", "exec", "--exec-id", exec_id, *flags, name, *command, **options)

    def status(self, name):
        for line in self.ctr("task", "ls").out.splitlines()[1:]:
            if line.split()[0] == name:
                return line.split()[2]
        return "GONE"

    def state(self, name):
        """What the shim records of its sandbox."""
        return json.loads(pathlib.Path("/run/kata", name, "state.json").read_text())

    def process_of(self, name, what):
        """The pid of the sandbox's qemu or kata-fsd."""
        for helper in self.state(name)["helpers"]:
            if what in (leaks.process(helper["pid"]) or ("", "", ""))[2]:
                return helper["pid"]
        raise AssertionError(f"{name} has no {what}")
