# SPDX-License-Identifier: Apache-2.0
"""Podman and kata-runtime as an ordinary user, who has subordinate ids and nothing else."""
import json
import os
import pathlib
import socket
import stat
import subprocess
import urllib.request

import harness
import leaks
import rootfs
from podman import IMAGE, LIMITS
from rootless import FIRST_ID, USER, RootlessCase, RootlessUser
from terminal import Terminal


def ids_of(pid):
    """uid, gid, the groups and the capabilities of a process, as the host has them."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["Uid"].split()[0]), int(fields["Gid"].split()[0]), fields["Groups"].split(), int(fields["CapEff"], 16)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class PodmanTest(RootlessCase):
    def record(self, container):
        return json.loads((self.user.run / "kata" / container / "state.json").read_text())

    def test_run(self):
        volume = self.tmp / "volume"
        volume.mkdir(mode=0o755)
        os.chown(volume, USER, USER)
        script = "id -u; echo err >&2; touch /data/root /data/other; chown 7:8 /data/other; stat -c %u:%g /data/other; exit 6"
        result = self.podman(*self.run_flags("--rm", "--volume", f"{volume}:/data"), IMAGE, "sh", "-c", script)
        self.assert_run(result, 6, "0\n7:8\n", "(?m)^err$")
        owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in volume.iterdir()}
        self.assertEqual(owners, {"root": (USER, USER), "other": (FIRST_ID + 6, FIRST_ID + 7)})
        self.assert_run(self.podman(*self.run_flags("--rm"), IMAGE, "no-such-program"), 127, err="not found")

    def test_a_container_from_start_to_end(self):
        inside, outside = self.tmp / "inside", self.tmp / "outside"
        inside.write_text("from the host\n")
        port = free_port()
        flags = ["run", "--detach", "--name", "one", "--health-cmd", "test -e /made/file", "--publish", f"127.0.0.1:{port}:80", *LIMITS]
        self.assert_run(self.podman(*flags, IMAGE, "sh", "-c",
                                    "mkdir /made; echo made >/made/file; httpd -h /made; echo up; trap 'echo stopping; exit 9' TERM; while :; do sleep 0.1; done"))  # fmt: skip
        with subprocess.Popen(self.argv("logs", "--follow", "one"), stdout=subprocess.PIPE) as follow:
            self.assertEqual(follow.stdout.readline(), b"up\n")
            follow.kill()
        self.assert_run(self.podman("exec", "one", "sh", "-c", "cat /etc/resolv.conf; exit 4"), 4)
        self.assert_run(self.podman("exec", "--user", "1000", "one", "id", "-u"), 0, "1000\n")
        self.assert_run(self.podman("exec", "one", "no-such-program"), 127)
        # slirp4netns has made an interface and routes.
        self.assertIn("10.0.2.100/24", self.podman("exec", "one", "ip", "-4", "address", "show", "tap0").out)
        self.assertIn("default via 10.0.2.2", self.podman("exec", "one", "ip", "route").out)
        # By slirp4netns's forwarder, which connects in the container's network namespace.
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/file", timeout=harness.TIMEOUT) as answer:
            self.assertEqual(answer.read(), b"made\n")
        self.assert_run(self.podman("cp", inside, "one:/made/copy"))
        self.assert_run(self.podman("exec", "one", "cat", "/made/copy"), 0, "from the host\n")
        self.assert_run(self.podman("cp", "one:/made/file", outside))
        self.assertEqual((outside.read_text(), outside.stat().st_uid), ("made\n", USER))
        self.assert_run(self.podman("healthcheck", "run", "one"))
        self.assertRegex(self.assert_run(self.podman("top", "one", "-o", "pid,args")).out, r"(?m)^ *1 sh -c mkdir")
        container = self.podman("inspect", "--format", "{{.Id}}", "one").out.strip()
        if harness.IS_KATA:
            self.look_at_processes(self.record(container))
        self.assert_run(self.podman("stop", "--time", "60", "one"))
        self.assert_run(self.podman("wait", "one"), 0, "9\n")
        self.assert_run(self.podman("logs", "one"), 0, "up\nstopping\n")
        self.assert_run(self.podman("start", "one"))
        self.assert_run(self.podman("kill", "one"))
        self.assert_run(self.podman("wait", "one"), 0, "137\n")
        self.assert_run(self.podman("rm", "one"))
        self.assertFalse((self.user.run / "kata" / container).exists())

    def look_at_processes(self, record):
        """QEMU has an id of its own, without a capability; all others are the user's."""
        names = {pathlib.Path(f"/proc/{helper['pid']}/comm").read_text().strip(): helper["pid"] for helper in record["helpers"]}
        qemu = next(pid for name, pid in names.items() if name.startswith("qemu"))
        self.assertEqual(ids_of(qemu), (FIRST_ID + 65535, FIRST_ID + 65535, [], 0))
        self.assertEqual(ids_of(record["sandbox"]["pid"])[0], USER)
        self.assertEqual(ids_of(names["kata-fsd"])[::3], (USER, 0))
        state = self.user.run / "kata"
        self.assertEqual((state.stat().st_uid, stat.S_IMODE(state.stat().st_mode)), (USER, 0o1700))

    def test_what_the_network_reaches(self):
        """A server of the host's, by slirp4netns, in a container with other ids, which gets its network after its creation."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            flags = ["run", "--rm", "--interactive", "--userns", "keep-id", "--network", "slirp4netns:allow_host_loopback=true", *LIMITS]
            script = f"id -u; touch /tmp/mine && stat -c %u /tmp/mine; nc 10.0.2.2 {port}"
            with subprocess.Popen(self.argv(*flags, IMAGE, "sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as podman:
                server.settimeout(harness.TIMEOUT)
                with server.accept()[0] as client:
                    client.sendall(b"from the host\n")
                    client.shutdown(socket.SHUT_WR)
                    out, _ = podman.communicate(timeout=harness.TIMEOUT)
        self.assertEqual((out.decode(), podman.returncode), (f"{USER}\n{USER}\nfrom the host\n", 0))

    def test_a_terminal(self):
        terminal = Terminal()
        self.addCleanup(terminal.close)
        argv = self.argv("run", "--rm", "--interactive", "--tty", "--network", "none", *LIMITS, IMAGE, "sh", "-c", "tty; read line; echo got $line")
        podman = subprocess.Popen(argv, **terminal.options())
        terminal.expect(b"/dev/pts/0")
        terminal.type(b"words\n")
        terminal.expect(b"got words")
        self.assertEqual(podman.wait(harness.TIMEOUT), 0)

    @harness.kata_only
    def test_the_sandbox_process_is_killed(self):
        """Nothing of it is left when Podman has forgotten the container."""
        container = self.assert_run(self.podman("run", "--detach", IMAGE, "sleep", "1000")).out.strip()
        record = self.record(container)
        os.kill(record["sandbox"]["pid"], 9)
        self.assert_run(self.podman("wait", container), 0, "137\n")
        self.assert_run(self.podman("rm", "--force", "--time", "0", container))
        self.assertFalse(any(harness.alive(helper["pid"]) for helper in record["helpers"]))
        self.assertFalse((self.user.run / "kata" / container).exists())


class StorageTest(RootlessCase):
    """The kernel's overlay, mounted in the user's namespace."""

    storage = ("--storage-driver", "overlay")

    def test_a_rootfs(self):
        script = "echo more >>/etc/group; rm /etc/hostname; mkdir /new; chown 5:6 /new; stat -c %u:%g /new; mv /new /moved; ls -d /moved"
        self.assert_run(self.podman(*self.run_flags("--rm"), IMAGE, "sh", "-c", script), 0, "5:6\n/moved\n")


class FuseStorageTest(StorageTest):
    """fuse-overlayfs, whose files have no handles."""

    storage = (*StorageTest.storage, "--storage-opt", "overlay.mount_program=/usr/bin/fuse-overlayfs")


class CgroupTest(RootlessCase):
    """A host with cgroup version 2 alone, where the user has a cgroup that somebody has delegated."""

    @classmethod
    def setUpClass(cls):
        cls.slice = harness.cgroup2() / f"{leaks.TAG}user.slice"
        (cls.slice / "own").mkdir(parents=True)
        cls.addClassCleanup(lambda: [directory.rmdir() for directory in (cls.slice / "own", cls.slice)])
        for path in (cls.slice, *(cls.slice / name for name in ("cgroup.procs", "cgroup.subtree_control", "own", "own/cgroup.procs"))):
            os.chown(path, USER, USER)
        cls.setup = "umount -R -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"
        super().setUpClass()

    @classmethod
    def argv(cls, *arguments):
        enter = f'echo 0 >"{cls.slice}/own/cgroup.procs" && exec "$@"'
        return ["sh", "-c", enter, "sh", *super().argv(*arguments)]

    def test_pause(self):
        container = self.assert_run(self.podman(*self.run_flags("--detach"), IMAGE, "sleep", "1000")).out.strip()
        pid = int(self.podman("inspect", "--format", "{{.State.Pid}}", container).out)
        where = next(line for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::"))
        self.assertIn(container, where)
        self.assertTrue(where[3:].startswith(f"/{self.slice.name}/"), where)
        self.assert_run(self.podman("pause", container))
        self.assertEqual(self.podman("inspect", "--format", "{{.State.Status}}", container).out, "paused\n")
        self.assert_run(self.podman("unpause", container))
        self.assert_run(self.podman("exec", container, "echo", "hello"), 0, "hello\n")
        self.assert_run(self.podman("rm", "--force", "--time", "0", container))


@harness.kata_only
class NamespaceTest(harness.Case):
    """kata-runtime itself, in a user namespace that maps the user alone."""

    def setUp(self):
        super().setUp()
        self.place = harness.World()
        self.addCleanup(self.place.close)
        self.user = RootlessUser(self.place.tmp)
        self.addCleanup(self.user.end)

    def call(self, *argv, **options):
        result = self.user.call(*argv, **options)
        self.world.log.append(str(result))
        return result

    def bundle(self):
        bundle = self.user.home / "bundle"
        bundle.mkdir()
        rootfs.copy("busybox", bundle / "rootfs")
        subprocess.run(["chown", "-R", f"{USER}:{USER}", bundle], check=True)
        return bundle

    def spec(self, bundle, *prefix):
        (bundle / "config.json").unlink(missing_ok=True)
        self.assert_run(self.call(*prefix, self.user.runtime, "spec", "--rootless", "--bundle", bundle))
        path = bundle / "config.json"
        spec = json.loads(path.read_text())
        spec["process"].update(terminal=False, args=["sh", "-c", "id -u; touch /new; stat -c %u /new; exit 3"])
        spec["root"]["readonly"] = False
        spec["linux"]["cgroupsPath"] = "user.slice:libpod:one"
        path.write_text(json.dumps(spec))

    def test_run(self):
        bundle = self.bundle()
        unshare = ["unshare", "--user", "--map-root-user"]
        # With the option that Podman gives where a systemd of the user's runs; scopes are not asked for.
        run = [self.user.runtime, "--systemd-cgroup", "run", "--bundle", bundle, "one"]
        self.spec(bundle, *unshare)
        self.assert_run(self.call(*unshare, *run), 3, "0\n0\n")
        self.assertEqual((bundle / "rootfs/new").stat().st_uid, USER)
        # There is nobody else as whom QEMU could run.
        self.assertEqual(list((self.user.run / "kata").iterdir()), [])
        needed = "uid %d cannot start a virtual machine, which needs root, if only that of a user namespace: use Podman" % USER
        self.assert_run(self.call(*run), 1, "", needed)
        # A config.json that was made outside has the ids of there.
        self.spec(bundle)
        self.assert_run(self.call(*unshare, *run), 1, "", rf"linux.uidMappings: this user namespace lacks an id from {USER} on")
        self.assert_run(self.call(*unshare, self.user.runtime, "--root", "/proc/none", *run[1:]), 1)

    def test_check(self):
        outside = self.call(self.user.runtime, "check")
        self.assert_run(outside, 1)
        self.assertRegex(outside.out, rf"(?m)^FAIL +user: uid {USER}\n.*`podman unshare kata-runtime check`")
        inside = self.call("unshare", "--user", "--map-root-user", self.user.runtime, "check")
        self.assert_run(inside)
        self.assertRegex(inside.out, r"(?m)^ok +user: root of a user namespace$")


if __name__ == "__main__":
    harness.main()
