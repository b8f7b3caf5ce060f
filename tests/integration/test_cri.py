# SPDX-License-Identifier: Apache-2.0
"""Kubernetes' pods: several containers in one virtual machine, driven through containerd's CRI plugin."""
import json
import os
import pathlib
import signal
import subprocess

import grpc

import harness
import leaks
from cri import CriCase


class PodTest(CriCase):
    def test_two_containers(self):
        pod = self.run_pod()
        volume = self.world.tmp / "volume"
        volume.mkdir()

        def with_volume(container):
            container.mounts.add(container_path="/volume", host_path=str(volume))

        script = "echo to stdout; echo to stderr >&2; echo page >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"
        server = self.start_container(pod, "server", "sh", "-c", script, change=with_volume)
        client = self.start_container(pod, "client", change=with_volume)
        harness.wait_for(
            lambda: self.exec_sync(client, "wget -q -O - http://127.0.0.1:8080/").out == "page\n", "localhost is shared"
        )
        self.assert_run(self.exec_sync(server, "echo shared >/volume/file; echo shm >/dev/shm/file"), 0)
        self.assert_run(self.exec_sync(client, "cat /volume/file /dev/shm/file; hostname"), 0,
                        f"shared\nshm\n{pod[1].hostname}\n")  # fmt: skip
        self.assertEqual((volume / "file").read_text(), "shared\n")
        self.assertNotIn("sleep", self.exec_sync(server, "ps").out, "own pid namespaces")
        self.assert_run(self.exec_sync(client, "exit 6"), 6)
        # Of two streams it is not known which is read first.
        self.assertEqual(sorted(self.log_of(pod, "server")), [("stderr", "to stderr"), ("stdout", "to stdout")])
        self.assertEqual(self.machines(), 1)

    def machines(self):
        return sum("qemu-system" in command for command in harness.leaks.descendants().values())

    def test_shared_pid_namespace(self):
        pod = self.run_pod()

        def shared(container):
            container.linux.security_context.namespace_options.pid = self.api.POD

        self.start_container(pod, "one", "sleep", "7777", change=shared)
        other = self.start_container(pod, "two", change=shared)
        self.assertIn("sleep 7777", self.exec_sync(other, "ps -o args").out)

    def test_stop_and_status(self):
        pod = self.run_pod()
        loop = "while :; do sleep 0.1; done"
        polite = self.start_container(pod, "polite", "sh", "-c", f"trap 'exit 3' TERM; touch /ready; {loop}")
        stubborn = self.start_container(pod, "stubborn", "sh", "-c", f"trap '' TERM; touch /ready; {loop}")
        short = self.start_container(pod, "short", "sh", "-c", "exit 4")
        self.assertEqual(self.exited(short).exit_code, 4)
        for container, status in ((polite, 3), (stubborn, 137)):
            harness.wait_for(lambda: self.exec_sync(container, "test -e /ready").status == 0, "the trap is set")
            self.call("StopContainer", container_id=container, timeout=1)
            self.assertEqual(self.exited(container).exit_code, status)
        self.call("RemoveContainer", container_id=polite)
        again = self.start_container(pod, "again")
        self.assert_run(self.exec_sync(again, "echo again"), 0, "again\n")

    def test_what_a_removed_container_leaves_on_the_host(self):
        """Nothing, while its pod goes on: no file that the file server has open, no place where it was shared."""
        pod = self.run_pod()
        state = json.loads(pathlib.Path("/run/kata", pod[0], "state.json").read_text())
        shared = f"/proc/{state['sandbox']['pid']}/root/run/kata/{pod[0]}/shared"
        daemons = [pid for pid, command in leaks.descendants().items() if "kata-fsd" in command and pod[0] in command]

        def open_files(device):
            links = [f"/proc/{pid}/fd/{fd}" for pid in daemons for fd in os.listdir(f"/proc/{pid}/fd")]
            return sum(os.path.exists(link) and os.stat(link).st_dev == device for link in links)

        names = sorted(os.listdir(shared))
        for _ in range(2):
            container = self.start_container(pod)
            self.exec_sync(container, "ls -R / >/dev/null")
            overlay = os.stat(f"{shared}/{container}/rootfs").st_dev
            self.assertGreater(open_files(overlay), 10)
            self.call("StopContainer", container_id=container)
            self.call("RemoveContainer", container_id=container)
            harness.wait_for(lambda: open_files(overlay) == 0, "the file server has closed the container's files")
            self.assertEqual(sorted(os.listdir(shared)), names)

    def test_limits_and_stats(self):
        pod = self.run_pod()

        def limited(container):
            container.linux.resources.memory_limit_in_bytes = 64 << 20
            container.linux.resources.cpu_quota = 50000
            container.linux.resources.cpu_period = 100000

        container = self.start_container(pod, change=limited)
        read = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max"
        self.assert_run(self.exec_sync(container, read), 0, f"{64 << 20}\n50000 100000\n")
        resources = self.api.LinuxContainerResources(memory_limit_in_bytes=96 << 20, cpu_quota=20000, cpu_period=100000)
        self.call("UpdateContainerResources", container_id=container, linux=resources)
        self.assert_run(self.exec_sync(container, read), 0, f"{96 << 20}\n20000 100000\n")
        stats = self.call("ContainerStats", container_id=container).stats
        self.assertGreater(stats.cpu.usage_core_nano_seconds.value, 0)
        self.assertGreater(stats.memory.usage_bytes.value, 0)
        self.assertLess(stats.memory.usage_bytes.value, 96 << 20)

    def test_out_of_memory(self):
        pod = self.run_pod()

        def limited(container):
            container.linux.resources.memory_limit_in_bytes = 32 << 20

        eat = "dd if=/dev/zero bs=200M count=1 | wc -c"
        container = self.start_container(pod, "main", "sh", "-c", f"exec {eat.split('|')[0]}", change=limited)
        status = self.exited(container)
        self.assertEqual((status.exit_code, status.reason), (137, "OOMKilled"))

    def test_files_of_the_manager(self):
        config = self.pod_config(self.name())
        config.dns_config.servers.append("192.0.2.53")
        config.dns_config.searches.append("cluster.test")
        pod = self.run_pod(config=config)
        container = self.start_container(pod)
        self.assertEqual(
            self.exec_sync(container, "cat /etc/resolv.conf").out, "search cluster.test\nnameserver 192.0.2.53\n"
        )
        self.assertIn(config.hostname, self.exec_sync(container, "cat /etc/hostname").out)

    def test_volumes(self):
        """As the kubelet lays them out: a secret that is renewed, and an emptyDir in memory."""
        base = self.world.tmp / "pods/uid/volumes"
        secret = base / "kubernetes.io~secret/s"
        memory = base / "kubernetes.io~empty-dir/m"
        for directory in (secret / "..1", memory):
            directory.mkdir(parents=True)
        (secret / "..1/key").write_text("old")
        (secret / "..data").symlink_to("..1")
        (secret / "key").symlink_to("..data/key")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=2770,gid=2000", "tmpfs", memory], check=True)
        self.addCleanup(subprocess.run, ["umount", memory], check=True)

        def with_volumes(container):
            container.mounts.add(container_path="/secret", host_path=str(secret), readonly=True)
            container.mounts.add(container_path="/memory", host_path=str(memory))

        pod = self.run_pod()
        one = self.start_container(pod, "one", change=with_volumes)
        two = self.start_container(pod, "two", change=with_volumes)
        self.assert_run(self.exec_sync(one, "cat /secret/key; echo x >/secret/new"), 1, "old", "Read-only file system")
        (secret / "..2").mkdir()
        (secret / "..2/key").write_text("new")
        (secret / "..tmp").symlink_to("..2")
        (secret / "..tmp").rename(secret / "..data")
        harness.wait_for(lambda: self.exec_sync(one, "cat /secret/key").out == "new", "the update is seen")
        self.assert_run(self.exec_sync(one, "echo in memory >/memory/file; df -k /memory | tail -n 1"), 0)
        self.assert_run(self.exec_sync(one, "stat -c '%a %g' /memory"), 0, "2770 2000\n")
        self.assertIn("8192", self.exec_sync(one, "df -k /memory | tail -n 1").out)
        self.assert_run(self.exec_sync(two, "cat /memory/file"), 0, "in memory\n")
        self.assertEqual(os.listdir(memory), [], "it is the guest's memory")

    def test_host_network_is_refused(self):
        config = self.pod_config(self.name())
        config.hostname = ""
        config.linux.security_context.namespace_options.network = self.api.NODE
        with self.assertRaisesRegex(grpc.RpcError, "host.*network|network.*host"):
            self.run_pod(config=config)
        self.assert_nothing_left()

    def test_exec_sync_never_hangs(self):
        """Its stdin is closed while the process ends."""
        container = self.start_container(self.run_pod())
        for number in range(200):
            reply = self.call("ExecSync", container_id=container, cmd=["echo", str(number)], timeout=60)
            self.assertEqual((reply.exit_code, reply.stdout), (0, f"{number}\n".encode()))

    def test_containerd_restarts(self):
        pod = self.run_pod()
        volume = self.world.tmp / "volume"
        volume.mkdir()

        def with_volume(container):
            container.mounts.add(container_path="/volume", host_path=str(volume))

        container = self.start_container(pod)
        loop = "while [ ! -e /volume/end ]; do sleep 0.1; done; exit 9"
        ending = self.start_container(pod, "ending", "sh", "-c", loop, change=with_volume)
        self.containerd.stop(signal.SIGKILL)
        (volume / "end").touch()
        self.assertEqual(self.wait_at_shim(pod[0], ending), 9)
        self.start_containerd()
        self.assert_run(self.exec_sync(container, "echo still here"), 0, "still here\n")
        self.assertEqual(self.exited(ending).exit_code, 9)
        self.assertEqual(self.container_status(container).state, self.api.CONTAINER_RUNNING)
        again = self.start_container(pod, "again")
        self.assert_run(self.exec_sync(again, "echo again"), 0, "again\n")

    def test_a_vm_that_is_killed(self):
        pod = self.run_pod()
        containers = [self.start_container(pod, name) for name in ("one", "two")]
        os.kill(self.process_of(pod[0], "qemu"), signal.SIGKILL)
        for container in containers:
            self.assertEqual(self.exited(container).exit_code, 137)


if __name__ == "__main__":
    harness.main()
