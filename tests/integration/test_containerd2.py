# SPDX-License-Identifier: Apache-2.0
"""Pods of containerd 2.1, with and without a container that stands for the pod."""
import os
import pathlib
import signal
import subprocess

import grpc

import harness
import leaks
from containerd2 import Containerd2
from cri import CriCase


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


class PauseContainerTest(Containerd2Case):
    """`sandboxer = "podsandbox"`, containerd's default."""

    def test_a_pod_and_two_containers(self):
        pod, _, _ = self.assert_pod_works("kata-pause")
        self.end_pod(pod[0])
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
