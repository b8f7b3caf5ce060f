# SPDX-License-Identifier: Apache-2.0
"""Pods of containerd 2.1, with and without a container that stands for the pod."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import grpc

import harness
import leaks
import nri
import rootfs
import ttrpc
from containerd import ContainerdCase
from containerd2 import Containerd2, Containerd2WithSnapshotters
from cri import CriCase
from disks import Disks
from test_cri_files import CLIENT, SERVER


class Containerd2Case(CriCase):
    daemon = Containerd2

    def machines(self):
        return sum("qemu-system" in command for command in leaks.descendants().values())

    def assert_pod_works(self, handler):
        """Two containers, localhost and shared memory, exec, logs."""
        config = self.pod_config(f"{self.name()}-pod")
        config.dns_config.servers.append("10.1.2.3")
        config.dns_config.searches.append("example.test")
        pod = self.run_pod(config=config, handler=handler)
        script = "echo to stdout; echo page >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"
        server = self.start_container(pod, "server", "sh", "-c", script)
        client = self.start_container(pod, "client")
        harness.wait_for(
            lambda: self.exec_sync(client, "wget -q -O - http://127.0.0.1:8080/").out == "page\n", "localhost is shared"
        )
        self.assert_run(self.exec_sync(server, "echo shm >/dev/shm/file"), 0)
        self.assert_run(self.exec_sync(client, "cat /dev/shm/file; hostname; cat /etc/hostname"), 0,
                        f"shm\n{config.hostname}\n{config.hostname}\n")  # fmt: skip
        self.assert_run(self.exec_sync(client, "cat /etc/resolv.conf"), 0, "search example.test\nnameserver 10.1.2.3\n")
        self.assertIn("127.0.0.1", self.exec_sync(client, "cat /etc/hosts").out)
        self.assert_run(self.exec_sync(client, "exit 6"), 6)
        self.assertEqual(self.log_of(pod, "server"), [("stdout", "to stdout")])
        self.assertEqual(self.machines(), 1)
        address = self.pod_addresses(pod)[0]
        self.assertIn(address, self.exec_sync(client, "ip addr").out)
        return pod, server, client


class ShimSandboxerTest(Containerd2Case):
    """`sandboxer = "shim"`: no container of the pod's own, and a bundle without a config.json."""

    def test_a_pod_and_two_containers(self):
        pod, server, client = self.assert_pod_works("kata")
        self.assertFalse(list(self.containerd.tmp.glob(f"state/*/k8s.io/{pod[0]}/config.json")))
        self.call("StopContainer", container_id=server, timeout=0)
        self.assertEqual(self.exited(server).exit_code, 137)
        self.assert_run(self.exec_sync(client, "echo goes on"), 0, "goes on\n")
        status = self.call("PodSandboxStatus", pod_sandbox_id=pod[0], verbose=True)
        self.assertEqual(status.status.state, self.api.SANDBOX_READY)
        self.call("StopPodSandbox", pod_sandbox_id=pod[0])
        self.assertEqual(
            self.call("PodSandboxStatus", pod_sandbox_id=pod[0]).status.state, self.api.SANDBOX_NOTREADY
        )
        self.assertEqual(self.machines(), 0)
        self.end_pod(pod[0])
        self.assert_nothing_left()

    def test_containerd_may_restart(self):
        pod = self.run_pod()
        container = self.start_container(pod)
        for how in (signal.SIGTERM, signal.SIGKILL):
            self.containerd.stop(how)
            self.start_containerd()
            status = self.call("PodSandboxStatus", pod_sandbox_id=pod[0])
            self.assertEqual(status.status.state, self.api.SANDBOX_READY)
            self.assert_run(self.exec_sync(container, "echo still here"), 0, "still here\n")
        ending = self.start_container(pod, "ending", "sh", "-c", "while [ ! -e /end ]; do sleep 0.1; done; exit 9")
        self.assert_run(self.exec_sync(ending, "(sleep 1; touch /end) >/dev/null 2>&1 &"), 0)
        self.containerd.stop(signal.SIGKILL)
        self.assertEqual(self.wait_at_shim(pod[0], ending), 9)
        self.start_containerd()
        self.assertEqual(self.exited(ending).exit_code, 9, "it ended while nobody looked")
        later = self.start_container(pod, "later", "sh", "-c", "exit 5")
        self.assertEqual(self.exited(later).exit_code, 5)
        self.call("StopContainer", container_id=container, timeout=0)
        self.assertEqual(self.exited(container).exit_code, 137)
        self.end_pod(pod[0])
        self.assert_nothing_left()

    def test_statistics(self):
        """Of the pod's cgroup on the host, where a kubelet has made one, and of each container."""
        config = self.pod_config(self.name())
        config.linux.cgroup_parent = f"/{leaks.TAG}pod"
        pod = self.run_pod(config=config)
        container = self.start_container(pod, "main", "sh", "-c", "dd if=/dev/zero of=/dev/null count=100000; sleep 1000")
        harness.wait_for(
            lambda: self.call("ContainerStats", container_id=container).stats.cpu.usage_core_nano_seconds.value > 0,
            "it has used the processor",
        )
        stats = self.call("PodSandboxStats", pod_sandbox_id=pod[0]).stats
        self.assertEqual(stats.attributes.id, pod[0])
        self.assertGreater(stats.linux.cpu.usage_core_nano_seconds.value, 0)
        self.assertGreater(stats.linux.memory.usage_bytes.value, 0)
        self.assertEqual([one.attributes.id for one in stats.linux.containers], [container])
        self.assertGreater(stats.linux.process.process_count.value, 0)
        self.end_pod(pod[0])
        self.assert_nothing_left()

    def test_what_a_pod_asks_for(self):
        """Kernel parameters, and a shared pid namespace."""
        config = self.pod_config(self.name())
        config.linux.sysctls["net.ipv4.ip_unprivileged_port_start"] = "7"
        pod = self.run_pod(config=config)

        def shared(container):
            container.linux.security_context.namespace_options.pid = self.api.POD

        self.start_container(pod, "one", "sleep", "7777", change=shared)
        other = self.start_container(pod, "two", change=shared)
        self.assertIn("sleep 7777", self.exec_sync(other, "ps -o args").out)
        self.assert_run(self.exec_sync(other, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), 0, "7\n")

    def test_the_configuration_file_of_the_handler(self):
        """containerd tells of it when it starts the shim; no call of the Sandbox service does.

        It has no container: containerd 2.1 takes the options for runc's there."""
        words = "kata.test=from-the-handlers-file"
        (self.containerd.tmp / "configuration.toml").write_text(f'[hypervisor.qemu]\nkernel_params = "{words}"\n')
        self.run_pod(handler="kata-configured")
        self.assertTrue(any("qemu-system" in one and words in one for one in leaks.descendants().values()))

    def test_a_pod_that_cannot_be(self):
        """It is an error, and nothing of it stays."""
        config = self.pod_config(self.name())
        config.linux.security_context.namespace_options.pid = self.api.NODE
        with self.assertRaises(grpc.RpcError) as failure:
            self.run_pod(config=config)
        self.assertIn("hostPID", failure.exception.details())
        self.assert_nothing_left()

    def test_a_shim_that_is_killed(self):
        pod = self.run_pod()
        self.start_container(pod)
        record = pathlib.Path("/run/kata", pod[0], "state.json")
        shim = harness.json.loads(record.read_text())["sandbox"]["pid"]
        os.kill(shim, signal.SIGKILL)
        harness.wait_for(lambda: self.machines() == 0, "the machine goes with it")

        def not_ready():
            try:
                return self.call("PodSandboxStatus", pod_sandbox_id=pod[0]).status.state == self.api.SANDBOX_NOTREADY
            except grpc.RpcError as error:
                self.assertIn("ttrpc: closed", error.details())  # for a moment
                return False

        harness.wait_for(not_ready, "the pod is not ready")
        self.end_pod(pod[0])
        self.assert_nothing_left()


class UserNamespaceTest(Containerd2Case):
    """`hostUsers: false`: the pod's root is nobody on the host, and its volumes belong to root there."""

    FIRST = 300000

    def mappings(self):
        return [self.api.IDMapping(host_id=self.FIRST, container_id=0, length=65536)]

    def ask_for_users(self, security_context, pid):
        options = security_context.namespace_options
        options.pid = pid
        options.userns_options.mode = self.api.POD
        options.userns_options.uids.extend(self.mappings())
        options.userns_options.gids.extend(self.mappings())

    def two(self, handler, pid):
        """Two containers with a volume of the disk at /data, one of memory at /memory, and programs in /debian."""
        volumes = self.world.tmp / f"pods/{handler}/volumes/kubernetes.io~empty-dir"
        self.data, memory = volumes / "data", volumes / "memory"
        for path in (self.data, memory):
            path.mkdir(parents=True)
        (self.data / "of-root").write_text("root\n")
        (self.data / "of-root").chmod(0o600)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs", memory], check=True)
        self.addCleanup(subprocess.run, ["umount", memory], check=True)

        def change(container):
            self.ask_for_users(container.linux.security_context, pid)
            container.linux.security_context.capabilities.add_capabilities.extend(["SYS_ADMIN", "NET_ADMIN"])
            mounts = [("/data", self.data), ("/memory", memory), ("/debian", rootfs.template("programs"))]
            for path, source in [*mounts, ("/debian/mnt", self.data)]:
                mount = container.mounts.add(container_path=path, host_path=str(source), readonly=path == "/debian")
                mount.uidMappings.extend(self.mappings())
                mount.gidMappings.extend(self.mappings())

        config = self.pod_config(f"{self.name()}-{handler}")
        self.ask_for_users(config.linux.security_context, pid)
        pod = self.run_pod(config=config, handler=handler)
        return [self.start_container(pod, name, change=change) for name in ("first", "second")]

    def begin(self, container, script):
        limit = 5 * harness.TIMEOUT
        return self.begin_call("ExecSync", limit, container_id=container, cmd=["sh", "-c", script], timeout=int(limit))

    def assert_pod_works(self, handler, pid):
        first, second = self.two(handler, pid)
        for container in (first, second):
            self.assert_run(self.exec_sync(container, "id -u; tr -s ' ' </proc/self/uid_map"), 0, f"0\n 0 {self.FIRST} 65536\n")
            # Of the image, of the volumes, of what containerd and the runtime have mounted.
            self.assert_run(self.exec_sync(container, "stat -c %u:%g / /bin/busybox /data /data/of-root /memory /etc/hosts"),
                            0, 6 * "0:0\n")  # fmt: skip
        self.assert_run(self.exec_sync(first, "cat /data/of-root; chown 5:6 /data/of-root; hostname mine"), 0, "root\n")
        self.assert_run(self.exec_sync(second, "hostname"), 0, "mine\n")
        made = "mkdir -p /data/dir /memory/dir; touch /data/dir/file /bin/file /memory/dir/file; chmod 4755 /data/dir/file"
        self.assert_run(self.exec_sync(first, made))
        self.assert_run(self.exec_sync(second, "stat -c '%u:%g %a' /data/dir/file /data/of-root /memory/dir/file"), 0,
                        "0:0 4755\n5:6 600\n0:0 644\n")  # fmt: skip
        inside = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in self.data.rglob("*")}
        self.assertEqual(inside, {"of-root": (5, 6), "dir": (0, 0), "file": (0, 0)})
        # The network is the pod's own, and so its root's.
        network = "ip link add kata0 type dummy && ip link del kata0; httpd -p 80 -h /tmp && wget -q -O - 127.0.0.1:80/x 2>&1"
        self.assertIn("404", self.assert_run(self.exec_sync(first, network), 1).out)
        # A user of the container, who may not.
        denied = "chroot /debian setpriv --reuid 1000 --regid 1000 --clear-groups sh -c"
        self.assert_run(self.exec_sync(first, f"{denied} 'cat /mnt/of-root || touch /mnt/new'"), 1)
        # The same file in both: a lock, and a socket.
        lock = "exec 9<>/mnt/lock; flock 9; mkfifo /mnt/held /mnt/end; echo >/mnt/held; read x </mnt/end"
        held = self.begin(first, f"chroot /debian bash -c '{lock}'")
        harness.wait_for((self.data / "held").exists, "it has the lock")
        self.assert_run(self.exec_sync(second, "read x </data/held; chroot /debian flock --nonblock /mnt/lock true"), 1)
        self.assert_run(self.exec_sync(second, "echo >/data/end"))
        self.assertEqual(held.result().exit_code, 0)
        (self.data / "server.pl").write_text(SERVER)
        (self.data / "client.pl").write_text(CLIENT)
        server = self.begin(first, "chroot /debian perl /mnt/server.pl")
        harness.wait_for((self.data / "ready").exists, "it listens")
        self.assert_run(self.exec_sync(second, "chroot /debian perl /mnt/client.pl"), 0, "got 1\ngot 2\ngot 3\n")
        self.assertEqual(server.result().exit_code, 0)
        return first, second

    def test_a_shared_pid_namespace(self):
        first, second = self.assert_pod_works("kata", self.api.POD)
        self.assertEqual(self.exec_sync(first, "ps -o args").out.count("sleep 10000"), 2)

    def test_with_a_pause_container(self):
        self.assert_pod_works("kata-pause", self.api.CONTAINER)


class InjectedTest(Disks, Containerd2Case):
    """What others than the kubelet put into a container: CDI, and plugins of NRI."""

    def write_cdi(self):
        """A device of CDI: variables, a mount, a node like a device of every host, a disk, and a hook."""
        loop = str(self.loop(self.raw_image("of a disk")))
        (self.world.tmp / "thing").write_text("a thing\n")
        edits = {
            "env": ["CDI=one"],
            "mounts": [{"hostPath": str(self.world.tmp / "thing"), "containerPath": "/thing", "options": ["ro", "bind"]}],
            "deviceNodes": [{"path": "/dev/like-null", "hostPath": "/dev/null"},
                            {"path": "/dev/disk", "hostPath": loop, "permissions": "r"}],
            "hooks": [{"hookName": "createRuntime", "path": "/bin/sh", "args": ["sh", "-c", f"cat >{self.world.tmp}/hooked"]}],
        }  # fmt: skip
        spec = {"cdiVersion": "0.6.0", "kind": "tests.example/thing", "containerEdits": {"env": ["ALL=yes"]},
                "devices": [{"name": "one", "containerEdits": edits}]}  # fmt: skip
        directory = self.containerd.tmp / "cdi"
        directory.mkdir()
        self.addCleanup(shutil.rmtree, directory)
        (directory / "thing.json").write_text(json.dumps(spec))

    def plugin(self, adjust):
        directory = self.world.tmp / "messages"
        directory.mkdir()
        (envelopes,) = ttrpc.load_messages(directory, "ttrpc")
        plugin = nri.Plugin(self.containerd.tmp / "nri.sock", nri.load_messages(directory), envelopes, adjust)
        self.addCleanup(plugin.close)
        return plugin

    def test_cdi_and_nri(self):
        self.write_cdi()
        (self.world.tmp / "of-nri").write_text("of nri\n")
        seen = []

        def adjust(request, adjustment):
            seen.append(request.container.name)
            adjustment.annotations["tests.example/a"] = "b"
            adjustment.env.add(key="NRI", value="adjusted")
            adjustment.mounts.add(destination="/nri", type="bind", source=str(self.world.tmp / "of-nri"), options=["bind", "ro"])
            adjustment.rlimits.add(type="RLIMIT_NOFILE", hard=222, soft=111)
            linux = adjustment.linux
            linux.devices.add(path="/dev/of-nri", type="c", major=1, minor=5)
            linux.resources.memory.limit.value = 96 << 20
            linux.resources.cpu.quota.value, linux.resources.cpu.period.value = 50000, 100000

        plugin = self.plugin(adjust)
        pod = self.run_pod()
        container = self.start_container(pod, change=lambda config: config.CDI_devices.add(name="tests.example/thing=one"))
        self.assertEqual(seen, ["main"])
        self.assert_run(self.exec_sync(container, "echo $ALL $CDI; cat /thing; head -c 9 /dev/disk; echo x >/dev/like-null"), 0,
                        "yes one\na thing\nof a disk")  # fmt: skip
        self.assertNotEqual(self.exec_sync(container, "echo x >/dev/disk").status, 0)
        self.assertEqual(json.loads((self.world.tmp / "hooked").read_text())["annotations"]["tests.example/a"], "b")
        self.assert_run(self.exec_sync(container, "echo $NRI; cat /nri; head -c 3 /dev/of-nri | od -A n -t x1; ulimit -n; ulimit -Hn"),
                        0, "adjusted\nof nri\n 00 00 00\n111\n222\n")  # fmt: skip
        limits = "cd /sys/fs/cgroup; cat memory.max cpu.max"
        self.assert_run(self.exec_sync(container, limits), 0, f"{96 << 20}\n50000 100000\n")

        def more(resources):
            resources.memory.limit.value = 128 << 20
            resources.cpu.quota.value, resources.cpu.period.value = 70000, 100000

        self.assertEqual(len(plugin.update(container, more).failed), 0)
        self.assert_run(self.exec_sync(container, limits), 0, f"{128 << 20}\n70000 100000\n")
        self.end_pod(pod[0])
        self.assert_nothing_left()


class SnapshottersTest(ContainerdCase):
    """Root file systems that come as mounts of other types than overlay alone."""

    daemon = Containerd2WithSnapshotters
    SCRIPT = "echo new >/new; echo x >>/etc/passwd; tail -n 1 /etc/passwd; rm /bin/vi; test -e /bin/vi || cat /new; grep ' / ' /proc/mounts"

    def run_with(self, snapshotter):
        return self.assert_run(self.run_sh(self.SCRIPT, flags=("--snapshotter", snapshotter))).out

    def test_blockfile(self):
        """An image of a disk for each snapshot, which becomes the guest's."""
        self.assertRegex(self.run_with("blockfile"), r"^x\nnew\n/dev/vda / ext4 rw")

    def test_erofs(self):
        """An overlay of layers that are files of erofs, mounted on the host."""
        self.assertRegex(self.run_with("erofs"), r"^x\nnew\n\w+ / virtiofs rw")
        # containerd keeps layers mounted as long as they are there.
        layers = self.ctr("snapshots", "--snapshotter", "erofs", "ls").out.splitlines()[1:]
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        self.assertIn(f"- erofs {self.containerd.tmp}/", mounts)
        self.assert_run(self.ctr("snapshots", "--snapshotter", "erofs", "rm", *(line.split()[0] for line in layers)))


class PauseContainerTest(Containerd2Case):
    """`sandboxer = "podsandbox"`, containerd's default."""

    def test_a_pod_and_two_containers(self):
        pod, _, _ = self.assert_pod_works("kata-pause")
        self.end_pod(pod[0])
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
