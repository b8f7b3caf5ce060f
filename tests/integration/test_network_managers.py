# SPDX-License-Identifier: Apache-2.0
"""Networks as those make them that manage containers: containerd's namespaces, CNI plugins."""
import json
import os
import signal
import socket
import subprocess

import harness
import netns
from containerd import ContainerdCase
from netns import HOST4, NET4, NUMBER, NetworkCase, qdiscs

CNI = "/usr/lib/cni"


@harness.kata_only
class ShimTest(ContainerdCase):
    """The same by way of containerd-shim-kata-v2."""

    def setUp(self):
        super().setUp()
        self.net = netns.Network()
        self.addCleanup(self.net.close)
        self.addCleanup(self.containerd.end_all)

    def with_namespace(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        return ns, ["--with-ns", f"network:{self.net.path(ns)}", "--cap-add", "CAP_NET_RAW"]

    def test_a_namespace(self):
        ns, flags = self.with_namespace()
        result = self.assert_run(self.run_sh(f"ip addr show eth0; ip route; ping -c 2 {HOST4}", flags=flags))
        for part in (f"{NET4}.5/24", f"default via {HOST4}", " 0% packet loss"):
            self.assertIn(part, result.out)
        self.assertEqual(qdiscs(ns, "eth0"), [])

    def test_a_shim_that_is_killed(self):
        ns, flags = self.with_namespace()
        name = self.sleeping(flags=flags)
        self.assertEqual(qdiscs(ns, "eth0"), ["ingress"])
        os.kill(self.state(name)["sandbox"]["pid"], signal.SIGKILL)
        harness.wait_for(lambda: qdiscs(ns, "eth0") == [], "containerd has called the shim's delete")

    def test_the_hosts_network(self):
        result = self.run_container("true", flags=["--net-host"])
        self.assertNotEqual(result.status, 0)
        self.assertIn("the pod wants the host's network, which a VM cannot share", result.err)


class CniTest(NetworkCase):
    """Debian's CNI plugins, called as an engine calls them."""

    def cni(self, command, plugin, config, ns, interface="eth0"):
        environment = {"CNI_COMMAND": command, "CNI_CONTAINERID": ns, "CNI_NETNS": self.net.path(ns),
                       "CNI_IFNAME": interface, "CNI_PATH": CNI, "PATH": os.environ["PATH"]}  # fmt: skip
        done = subprocess.run([f"{CNI}/{plugin}"], input=json.dumps({"cniVersion": "0.4.0", "name": "kata", **config}),
                              capture_output=True, text=True, env=environment, timeout=60)  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def ipam(self, *ranges):
        return {"type": "host-local", "dataDir": str(self.world.tmp / "ipam"),
                "ranges": [[{"subnet": subnet}] for subnet in ranges],
                "routes": [{"dst": "0.0.0.0/0"}]}  # fmt: skip

    def test_bridge_and_portmap(self):
        bridge = f"kc{os.getpid() % 100000}"
        self.net.ends.append(bridge)
        config = {"type": "bridge", "bridge": bridge, "isGateway": True, "ipMasq": False, "mtu": 1400,
                  "ipam": self.ipam(f"10.188.{NUMBER}.0/24", f"fd88:{NUMBER:x}::/64")}  # fmt: skip
        pods = []
        for _ in range(2):
            ns = self.net.namespace()
            result = self.cni("ADD", "bridge", config, ns)
            self.addCleanup(self.cni, "DEL", "bridge", config, ns)
            pods.append((ns, result, self.started_pod(ns)))
        addresses = [result["ips"][0]["address"].split("/")[0] for _, result, _ in pods]
        for (_, _, c), other in zip(pods, reversed(addresses)):
            self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 -s 1372 {other}"))
            self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 fd88:{NUMBER:x}::1"))
        # A port of the host's that leads to the pod.
        ns, result, c = pods[0]
        mapping = {"type": "portmap", "backend": "iptables", "prevResult": result,
                   "capabilities": {"portMappings": True}, "snat": True,
                   "runtimeConfig": {"portMappings": [{"hostPort": 17080, "containerPort": 80, "protocol": "tcp"}]}}  # fmt: skip
        self.cni("ADD", "portmap", mapping, ns)
        self.addCleanup(self.cni, "DEL", "portmap", mapping, ns)
        c.world.popen("exec", c.id, "/bin/sh", "-c", "echo from the pod | nc -l -p 80", stdout=subprocess.DEVNULL)
        self.await_out(c, "cat /proc/net/tcp /proc/net/tcp6", ":0050 ")
        with socket.create_connection((f"10.188.{NUMBER}.1", 17080), 30) as connection:
            self.assertEqual(connection.makefile().read(), "from the pod\n")

    def test_macvlan(self):
        config = {"type": "macvlan", "master": self.net.bridge, "mode": "bridge", "ipam": self.ipam(f"10.189.{NUMBER}.0/24")}
        pods = []
        for _ in range(2):
            ns = self.net.namespace()
            result = self.cni("ADD", "macvlan", config, ns)
            self.addCleanup(self.cni, "DEL", "macvlan", config, ns)
            pods.append((result["ips"][0]["address"].split("/")[0], self.started_pod(ns)))
        self.assertIn(" 0% packet loss", self.sh_out(pods[0][1], f"ping -c 2 {pods[1][0]}"))


if __name__ == "__main__":
    harness.main()
