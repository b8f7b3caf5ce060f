# SPDX-License-Identifier: Apache-2.0
"""AppArmor: the profiles of packaging/apparmor are loaded, entered and enforced, and nothing that works meets them.

Kata is installed as `make install PREFIX=/opt/kata` would, since the profiles know where an installation has its files."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
PREFIX = pathlib.Path("/opt/kata")
os.environ["KATA_RUNTIME"] = str(PREFIX / "bin/kata-runtime")
sys.path.insert(0, str(TOP / "tests/integration"))

import harness  # noqa: E402
import netns  # noqa: E402
from containerd import BUSYBOX, ContainerdCase  # noqa: E402
from disks import Disks  # noqa: E402

# What `make install` puts where.
INSTALLED = {
    "build/bin/kata-runtime": "bin",
    "build/bin/containerd-shim-kata-v2": "bin",
    "build/bin/kata-standin": "libexec/kata-containers",
    "build/bin/kata-fsd": "libexec/kata-containers",
    "build/guest/vmlinux": "share/kata-containers/vmlinux.container",
    "build/guest/kata-containers-initrd.img": "share/kata-containers/kata-containers-initrd.img",
}
POLICY = pathlib.Path("/etc/apparmor.d")
FILES = ("kata-file-server", "kata-qemu", "kata-sandbox")
NAMES = {"kata-fsd", "kata-qemu", "kata-sandbox", "kata-shim", "kata-virtiofsd"}


def run(*command, check=True):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


def setUpModule():
    assert not PREFIX.exists(), f"{PREFIX} is somebody else's"
    for source, target in INSTALLED.items():
        directory = PREFIX / target
        if directory.suffix:
            directory = directory.parent
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / source, PREFIX / target)
    shutil.copytree(TOP / "packaging/apparmor", POLICY, dirs_exist_ok=True)
    run("apparmor_parser", "-r", *(POLICY / name for name in FILES))


def tearDownModule():
    run("apparmor_parser", "-R", *(POLICY / name for name in FILES), check=False)
    for path in (TOP / "packaging/apparmor").rglob("*"):
        if path.is_file():
            (POLICY / path.relative_to(TOP / "packaging/apparmor")).unlink()
    shutil.rmtree(PREFIX)


def loaded():
    """name -> mode"""
    lines = pathlib.Path("/sys/kernel/security/apparmor/profiles").read_text().splitlines()
    return dict(re.fullmatch(r"(.*) \((\w+)\)", line).groups() for line in lines)


def label(pid):
    return pathlib.Path(f"/proc/{pid}/attr/current").read_text().strip("\0\n")


def family(pid):
    """The labels of a process's threads, and of its children."""
    found = {label(f"{pid}/task/{thread}") for thread in os.listdir(f"/proc/{pid}/task")}
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found |= family(child)
    return found


class Denials:
    """What the kernel has denied to our profiles since this was made."""

    def __init__(self):
        self.before = len(self._lines())

    @staticmethod
    def _lines():
        run("journalctl", "--sync")
        lines = run("journalctl", "--dmesg", "--output=cat", "--no-pager").stdout.splitlines()
        return [line for line in lines if 'apparmor="DENIED"' in line and re.search('(profile|label|peer)="kata-', line)]

    def since(self):
        return self._lines()[self.before :]


class Confined:
    """A test in which nothing is denied, unless it says so."""

    denied = ()  # expected ones, as regular expressions

    def setUp(self):
        self.denials = Denials()
        super().setUp()
        # The end of a sandbox counts as well. Clean-ups run from the last to the first, so this is the last that runs.
        self._cleanups.insert(0, (self._nothing_denied, (), {}))

    def _nothing_denied(self):
        lines = [line for line in self.denials.since() if not any(re.search(one, line) for one in self.denied)]
        if lines:
            self.fail("denied:\n" + "\n".join(lines))

    def helpers_of(self, record):
        """name -> pid of QEMU and the file server."""
        found = {}
        for helper in record["helpers"]:
            program = os.path.basename(os.readlink(f"/proc/{helper['pid']}/exe"))
            found["qemu" if program.startswith("qemu") else program] = helper["pid"]
        return found

    def assert_confined(self, record, sandbox, server="kata-fsd"):
        """server: the profile of the file server, whose program is called the same, but for Debian's virtiofsd."""
        helpers = self.helpers_of(record)
        self.assertEqual(family(helpers["qemu"]), {"kata-qemu (enforce)"})
        self.assertEqual(family(helpers["virtiofsd" if "virtiofsd" in server else server]), {f"{server} (enforce)"})
        pid = record["sandbox"]["pid"]
        self.assertEqual({label(f"{pid}/task/{thread}") for thread in os.listdir(f"/proc/{pid}/task")}, {f"{sandbox} (enforce)"})


class LoadedTest(Confined, harness.Case):
    def test_all_are_enforced(self):
        modes = loaded()
        self.assertEqual({name: modes.get(name) for name in NAMES}, dict.fromkeys(NAMES, "enforce"))


class ContainerTest(Confined, Disks, netns.NetworkCase):
    """kata-runtime's interface."""

    def test_volume_network_disks_and_growth(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        c = self.pod(ns)
        volume = self.world.tmp / "volume"
        volume.mkdir()
        (volume / "there").write_text("of the host\n")
        c.mount(volume, "/volume", "bind", "rw")
        self.device(c, "/dev/loop", self.loop(self.raw_image("of a loop device")))
        c.spec["mounts"].append({"source": str(self.image("files.img")), "destination": "/disk", "type": "ext4", "options": ["loop"]})
        self.start(c)
        self.assert_confined(c.record(), "kata-sandbox")
        out = self.sh_out(c, "cat /volume/there; echo new >/volume/new; ln /volume/new /volume/link; mv /volume/new /volume/old;"
                             "mkdir /volume/d; chown 5:6 /volume/d; rm /volume/link; head -c 16 /dev/loop; echo; touch /disk/x; sync; ls /disk")  # fmt: skip
        self.assertEqual(out.split("\n")[:2], ["of the host", "of a loop device"])
        self.assertEqual((volume / "old").read_text(), "new\n")
        self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 {netns.HOST4}"))
        self.assert_run(self.world.runtime("update", "--memory", 512 << 20, c.id))
        self.assert_run(c.exec_sh("exit 3"), 3)
        self.assert_run(self.world.runtime("ps", c.id))
        self.assert_run(c.kill("TERM"))
        self.assert_run(c.delete("--force"))

    def test_hooks_and_a_file_that_is_held_open(self):
        """Hooks are not confined; a file without a name is still the container's."""
        c = self.sh("exec 5<>/volume/gone; rm /volume/gone; echo kept >&5; cat /proc/self/fd/5")
        volume = self.world.tmp / "volume"
        volume.mkdir()
        c.mount(volume, "/volume", "bind", "rw")
        out = self.world.tmp / "hook"
        c.spec["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat /proc/self/attr/current >{out}"]}]}
        self.assert_run(c.run(), 0, "kept\n")
        self.assertEqual(out.read_text().strip("\0\n"), "unconfined")

    def test_virtiofsd(self):
        program = next(path for path in ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd") if os.path.exists(path))
        self.world.configure(f'[hypervisor.qemu]\nvirtio_fs_daemon = "{program}"\n')
        c = self.started()
        self.assert_confined(c.record(), "kata-sandbox", server="kata-virtiofsd")
        self.assert_run(c.exec_sh("echo x >/new && cat /new"), 0, "x\n")
        self.assert_run(c.delete("--force"))

    def test_off(self):
        self.world.configure('[hypervisor.qemu]\napparmor = "off"\n')
        c = self.started()
        for pid in (*self.helpers_of(c.record()).values(), c.record()["sandbox"]["pid"]):
            self.assertEqual(label(pid), "unconfined")


class ShimTest(Confined, ContainerdCase):
    def test_a_task_with_a_hook(self):
        bundle = self.container("/bin/sleep", "10000")
        bundle.spec["root"]["path"] = str(bundle.rootfs)
        out = self.world.tmp / "hook"
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat /proc/self/attr/current >{out}"]}
        bundle.spec["hooks"] = {"prestart": [hook]}
        bundle.linux["cgroupsPath"] = f"/default/{bundle.id}"
        bundle.write()
        runtime = ("--runtime", "io.containerd.kata.v2")
        self.assert_run(self.ctr("run", "-d", *runtime, "--config", bundle.bundle / "config.json", bundle.id))
        record = json.loads(pathlib.Path(f"/run/kata/{bundle.id}/state.json").read_text())
        self.assert_confined(record, "kata-shim")
        self.assertEqual(out.read_text().strip("\0\n"), "unconfined")
        self.assert_run(self.ctr("task", "exec", "--exec-id", "e", bundle.id, "/bin/echo", "hello"), 0, "hello\n")
        self.ctr("task", "rm", "--force", bundle.id)

    def test_an_image(self):
        """Its rootfs is an overlay that the shim mounts."""
        name = self.name()
        result = self.ctr("run", "--rm", "--runtime", "io.containerd.kata.v2", BUSYBOX, name, "sh", "-c", "echo x >/new; cat /new; exit 4")
        self.assert_run(result, 4, "x\n")


class DeniedTest(Confined, harness.Case):
    """What a program under a profile cannot do, whoever it is: root here."""

    denied = ('comm="python3"',)

    def under(self, profile, script):
        """Python, which enters the profile when it has all that it needs."""
        enter = "open('/proc/thread-self/attr/apparmor/current', 'w').write('changeprofile ' + sys.argv[1])"
        entered = "print('entered', flush=True)"
        return run("python3", "-c", f"import os, sys, socket\n{enter}\n{entered}\n{script}", profile, check=False)

    def assert_denied(self, profile, script):
        done = self.under(profile, script)
        self.assertEqual(done.stdout, "entered\n", f"{profile}: {script}: {done}")
        self.assertIn("PermissionError", done.stderr, f"{profile}: {script}: {done}")

    def test_qemu(self):
        for path in ("/etc/shadow", "/etc/passwd", "/root/.profile", "/proc/1/environ", "/dev/mem", "/usr/bin/env"):
            self.assert_denied("kata-qemu", f"open('{path}')")
        self.assert_denied("kata-qemu", "open('/tmp/kata-denied', 'w')")
        self.assert_denied("kata-qemu", "os.execv('/bin/true', ['true'])")
        self.assert_denied("kata-qemu", "socket.socket()")
        self.assert_denied("kata-qemu", "os.kill(1, 10)")
        self.assert_denied("kata-qemu", "os.setuid(5)")
        self.assertTrue(self.denials.since(), "what is denied is found, or the other tests would show nothing")
        # What it does need.
        self.assertEqual(self.under("kata-qemu", "open('/dev/kvm', 'r+b', buffering=0)").returncode, 0)

    def test_the_file_servers(self):
        for profile in ("kata-fsd", "kata-virtiofsd"):
            self.assert_denied(profile, "os.execv('/bin/true', ['true'])")
            self.assert_denied(profile, "socket.socket()")
            self.assert_denied(profile, "os.kill(1, 10)")
            self.assert_denied(profile, "open('/proc/1/mem', 'rb').read(1)")

    def test_the_sandbox_process(self):
        for profile in ("kata-sandbox", "kata-shim"):
            for path in ("/etc/x", "/usr/bin/x", "/boot/x", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern"):
                self.assert_denied(profile, f"open('{path}', 'w')")
            self.assert_denied(profile, "open('/proc/1/mem', 'rb').read(1)")
        self.assert_denied("kata-sandbox", "os.execv('/bin/true', ['true'])")


if __name__ == "__main__":
    harness.main()
