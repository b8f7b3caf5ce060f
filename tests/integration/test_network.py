# SPDX-License-Identifier: Apache-2.0
"""The network of a pod in the guest: what is in the namespace when the VM starts, and what comes and goes later."""
import hashlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import harness
import netns
from harness import kata_only
from netns import HOST4, HOST6, NET4, NET6, NetworkCase, ip, qdiscs


# Answers queries for addresses of IPv4 with 10.1.2.3, by UDP and TCP, at an address of the loopback.
NAME_SERVER = """
import socket, threading
def answer(query):
    question = query[12:]
    is_a = question.split(b"\\0", 1)[1][:2] == b"\\0\\1"
    found = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + bytes((10, 1, 2, 3)) if is_a else b""
    return query[:2] + b"\\x81\\x80\\0\\1\\0" + bytes([is_a]) + b"\\0" * 4 + question + found
def tcp(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            size = int.from_bytes(connection.recv(2, socket.MSG_WAITALL), "big")
            reply = answer(connection.recv(size, socket.MSG_WAITALL))
            connection.sendall(len(reply).to_bytes(2, "big") + reply)
listener = socket.create_server(("127.0.0.11", 53))
threading.Thread(target=tcp, args=(listener,), daemon=True).start()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.11", 53))
print("ready", flush=True)
while True:
    query, client = udp.recvfrom(65535)
    udp.sendto(answer(query), client)
"""


class StartTest(NetworkCase):
    def test_addresses_and_routes(self):
        ns = self.net.namespace()
        self.net.veth(ns, mac="02:00:0a:b1:00:05", mtu=1400)
        ip("route", "add", "10.9.0.0/16", "via", f"{NET4}.9", "mtu", "1300", ns=ns)
        ip("route", "add", "10.8.0.0/16", "dev", "eth0", "src", f"{NET4}.5", ns=ns)
        ip("neigh", "add", f"{NET4}.77", "lladdr", "02:00:00:00:00:77", "dev", "eth0", "nud", "permanent", ns=ns)
        c = self.started_pod(ns)
        link = self.sh_out(c, "ip addr show eth0")
        self.assertRegex(link, r"UP.* mtu 1400")
        for part in ("02:00:0a:b1:00:05", f"inet {NET4}.5/24 scope global", f"inet6 {NET6}::5/64 scope global"):
            self.assertIn(part, link)
        self.assertNotIn("tentative", link.split(f"{NET6}::5")[1].split("\n")[0])
        routes = self.sh_out(c, "ip route").splitlines()
        for route in (f"default via {HOST4} dev eth0", f"{NET4}.0/24 dev eth0 scope link  src {NET4}.5",
                      f"10.8.0.0/16 dev eth0 scope link  src {NET4}.5", f"10.9.0.0/16 via {NET4}.9 dev eth0"):  # fmt: skip
            self.assertTrue(any(line.startswith(route) for line in routes), (route, routes))
        self.assertIn(f"default via {HOST6} dev eth0", self.sh_out(c, "ip -6 route"))
        self.assertIn("02:00:00:00:00:77", self.sh_out(c, f"grep {NET4}.77 /proc/net/arp"))
        # What only connects the VM is no interface of the pod.
        self.assertEqual(self.sh_out(c, "ls /sys/class/net").split(), ["eth0", "lo"])

    def test_an_engines_name_server(self):
        """As Docker's, which is in the pod's namespace at 127.0.0.11: the guest has a loopback of its own."""
        ns = self.net.namespace()
        self.net.veth(ns)
        server = subprocess.Popen(["ip", "netns", "exec", ns, "python3", "-c", NAME_SERVER], stdout=subprocess.PIPE)
        self.addCleanup(lambda: (server.kill(), server.wait(), server.stdout.close()))
        self.assertEqual(server.stdout.readline(), b"ready\n")
        resolv_conf = self.world.tmp / "resolv.conf"
        resolv_conf.write_text("# nameserver 127.0.0.11\nnameserver 192.0.2.1\n")
        c = self.pod(ns)
        c.mount(resolv_conf, "/etc/resolv.conf", "bind", "ro")
        self.assert_run(c.create())
        # Docker writes it when it has connected the container to its networks, after it has been created.
        resolv_conf.write_text("nameserver 127.0.0.11\noptions ndots:0\n")
        self.assert_run(c.start())
        self.assertIn("Address: 10.1.2.3", self.sh_out(c, "nslookup other"))
        self.assertIn("PING other (10.1.2.3)", c.exec_sh("ping -c 1 -W 1 other").out)
        self.assertIn("Address: 10.1.2.3", self.assert_run(c.exec_sh("nslookup other", flags=("--user", "1000:1000"))).out)
        query = r"\0\037\1\2\1\0\0\1\0\0\0\0\0\0\5other\7example\0\0\1\0\1"
        by_tcp = f"printf '{query}' | nc 127.0.0.11 53 | tail -c 4 | od -A n -t u1"
        self.assertEqual(self.sh_out(c, by_tcp).split(), ["10", "1", "2", "3"])
        many = "for i in $(seq 20); do nslookup name$i >/tmp/$i & done; wait; grep -l 10.1.2.3 /tmp/* | wc -l"
        self.assertEqual(self.sh_out(c, many), "20\n")

    @kata_only
    def test_peers_and_routes_that_lead_nowhere(self):
        ns = self.net.namespace()
        self.net.veth(ns, addresses=False)
        # The host is the peer; what it cannot answer is not sent to it.
        for command in ("link set eth0 up", "address add 10.178.0.1 peer {0} dev eth0", "route add default via {0}",
                        "route add unreachable 10.66.0.0/16", "route add throw 10.67.0.0/16"):  # fmt: skip
            ip(*command.format(HOST4).split(), ns=ns)
        ip("route", "add", "10.178.0.1", "dev", self.net.bridge)
        c = self.started_pod(ns)
        self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 {HOST4}"))
        self.assertIn("No route to host", c.exec_sh("ping -c 1 -W 2 10.66.0.1 2>&1").out)
        log = (self.world.root / c.id / "sandbox.log").read_text()
        self.assertEqual(log.count("the route to 10.67.0.0/16 is not in the guest"), 1)
        # Without any address it is no interface of the pod, and the guest must not keep those it had.
        ip("address", "flush", "dev", "eth0", ns=ns)
        harness.wait_for(lambda: "10.178.0.1" not in self.sh_out(c, "ip addr show eth0; ip route"), "they are gone")

    def with_ipv6(self, c):
        """The interfaces that have an IPv6 address."""
        return set(self.sh_out(c, "awk '{print $6}' /proc/net/if_inet6").split())

    def test_ipv6_is_switched_off(self):
        ns = self.net.namespace()
        netns.disable_ipv6(ns, "all")
        self.net.veth(ns, addresses=False)
        for command in (f"address add {NET4}.5/24 dev eth0", "link set eth0 up"):
            ip(*command.split(), ns=ns)
        c = self.started_pod(ns)
        self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 {HOST4}"))
        self.assertEqual(self.with_ipv6(c), set())

    def test_ipv6_is_switched_off_on_one_interface(self):
        ns = self.net.namespace()
        self.net.veth(ns, addresses=False)
        self.net.veth(ns, "eth1", 6, route=False)
        netns.disable_ipv6(ns, "eth0")
        for command in (f"address add {NET4}.5/24 dev eth0", "link set eth0 up"):
            ip(*command.split(), ns=ns)
        c = self.started_pod(ns)
        self.assertEqual(self.with_ipv6(c), {"lo", "eth1"})
        netns.disable_ipv6(ns, "eth0", "0")
        harness.wait_for(lambda: "eth0" in self.with_ipv6(c), "IPv6 is on again")

    def test_packets_of_every_size_both_ways(self):
        for mtu in (1400, 9000):
            ns = self.net.namespace()
            self.net.veth(ns, mtu=mtu)
            c = self.started_pod(ns)
            for host, peer, size in ((HOST4, f"{NET4}.5", mtu - 28), (HOST6, f"{NET6}::5", mtu - 48)):
                self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 3 -s {size} {host}"))
                self.assertIn(" 0% packet loss", netns.ping(peer, size))
            self.assert_run(c.delete("--force"))

    def test_bytes_arrive_whole(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        c = self.started_pod(ns)
        got = []
        serve = threading.Thread(target=netns.receive_all(7777, got))
        serve.start()
        self.addCleanup(serve.join)
        sent = self.sh_out(c, f"dd if=/dev/urandom of=/big bs=1M count=20 2>/dev/null; nc {HOST4} 7777 </big; sha256sum </big")
        serve.join(60)
        self.assertEqual(sent.split()[0], hashlib.sha256(b"".join(got)).hexdigest())
        # And into the guest.
        data = os.urandom(20 << 20)
        listening = c.world.popen("exec", c.id, "/bin/sh", "-c", "nc -l -p 7778 | sha256sum", stdout=subprocess.PIPE)
        self.await_out(c, "cat /proc/net/tcp /proc/net/tcp6", ":1E62 ")
        with socket.create_connection((f"{NET4}.5", 7778), 30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(listening.communicate(timeout=60)[0].split()[0].decode(), hashlib.sha256(data).hexdigest())

    def test_two_pods(self):
        pods = []
        for last in (5, 6):
            ns = self.net.namespace()
            self.net.veth(ns, last=last)
            pods.append(self.started_pod(ns))
        for c, other in ((pods[0], 6), (pods[1], 5)):
            self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 3 {NET4}.{other}"))
            self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 3 {NET6}::{other}"))

    @kata_only
    def test_several_interfaces_and_queues(self):
        self.world.configure("[hypervisor.qemu]\ndefault_vcpus = 2\n")
        ns = self.net.namespace()
        for number in range(6):
            self.net.veth(ns, f"net{number}", 10 + number, route=False)
        ip("link", "add", "unused0", "type", "ifb", ns=ns)  # it has no address
        c = self.started_pod(ns)
        for number in range(6):
            self.assertIn(f"{NET4}.{10 + number}/24", self.sh_out(c, f"ip addr show net{number}"))
            self.assertIn(" 0% packet loss", netns.ping(f"{NET4}.{10 + number}"))
        self.assertEqual(self.sh_out(c, "ls /sys/class/net | tr '\\n' ' '; ls -d /sys/class/net/net0/queues/rx-* | wc -l").split(),
                         ["lo", *(f"net{n}" for n in range(6)), "2"])  # fmt: skip

    def test_kinds_of_interfaces(self):
        """Those that this kernel has; ipvlan and vlan it may lack."""
        ns = self.net.namespace()
        end = self.net.veth(ns, "parent", addresses=False)
        ip("link", "set", "parent", "up", ns=ns)
        ip("link", "set", end, "promisc", "on")
        for number, kind in enumerate(("macvlan", "macvtap")):
            ip("link", "add", kind, "link", "parent", "type", kind, "mode", "bridge", ns=ns)
            self.net.address(ns, kind, 20 + number, route=False)
        netns.run("ip", "netns", "exec", ns, "ip", "tuntap", "add", "tap0", "mode", "tap")
        ip("address", "add", "10.178.0.1/24", "dev", "tap0", ns=ns)
        c = self.started_pod(ns)
        self.assertEqual(self.sh_out(c, "ls /sys/class/net").split(), ["lo", "macvlan", "macvtap", "tap0"])
        for number, kind in enumerate(("macvlan", "macvtap")):
            self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 -I {kind} {HOST4}"), kind)

    @kata_only
    def test_a_kind_that_cannot_be_attached(self):
        ns = self.net.namespace()
        ip("link", "add", "odd0", "type", "ifb", ns=ns)
        ip("address", "add", "10.179.0.1/24", "dev", "odd0", ns=ns)
        c = self.pod(ns)
        self.assert_run(c.create(), 1, err="unsupported network interface odd0: a link of the kind ifb")
        self.assert_nothing_left_of(ns)

    def assert_nothing_left_of(self, ns):
        self.assertFalse([name for name in netns.links(ns) if "kata" in name])
        for link in netns.links(ns):
            self.assertEqual(qdiscs(ns, link), [], link)

    @kata_only
    def test_one_namespace_belongs_to_one_vm(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        first = self.started_pod(ns)
        second = self.pod(ns)
        self.assert_run(second.create())
        self.assert_run(second.start())
        self.assertEqual(second.record()["sandbox"], first.record()["sandbox"])
        self.assertIn(" 0% packet loss", self.sh_out(second, f"ping -c 2 {HOST4}"))
        self.assert_run(second.delete("--force"))
        # Those of another root do not share it.
        other = harness.World()
        self.addCleanup(other.close)
        refused = other.container("/bin/true")
        refused.namespace("network", self.net.path(ns))
        self.assert_run(refused.create(), 1, err="network interface eth0: it belongs to another VM")
        # The failed one has taken nothing from the first.
        self.assertIn(" 0% packet loss", self.sh_out(first, f"ping -c 2 {HOST4}"))

    @kata_only
    def test_no_network_of_its_own(self):
        for path in (None, f"/proc/{os.getpid()}/ns/net", ""):
            c = self.container("/bin/ls", "/sys/class/net")
            c.linux["namespaces"] = [n for n in c.linux["namespaces"] if n["type"] != "network"]
            if path is not None:
                c.namespace("network", path)
            self.assert_run(c.run(), 0, "lo\n")

    @kata_only
    def test_nothing_is_left_in_the_namespace(self):
        self.world.configure("[hypervisor.qemu]\ntx_rate_limiter_max_rate = 1000000000\n")
        ns = self.net.namespace()
        self.net.veth(ns)
        for end in ("delete", "kill"):
            c = self.started_pod(ns)
            self.assertEqual(qdiscs(ns, "eth0"), ["ingress", "tbf"])
            if end == "kill":
                os.kill(c.record()["sandbox"]["pid"], signal.SIGKILL)
            self.assert_run(c.delete("--force"))
            self.assert_nothing_left_of(ns)
            self.assertIn(f"{NET4}.5/24", ip("address", "show", "eth0", ns=ns))

    @kata_only
    def test_vmm_is_in_the_namespace(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        c = self.started_pod(ns)
        inode = os.stat(self.net.path(ns)).st_ino
        qemu = [helper["pid"] for helper in c.record()["helpers"]
                if "qemu" in pathlib.Path(f"/proc/{helper['pid']}/comm").read_text()]  # fmt: skip
        self.assertEqual([os.stat(f"/proc/{pid}/ns/net").st_ino for pid in qemu], [inode])
        self.assertNotEqual(os.stat(f"/proc/{c.record()['sandbox']['pid']}/ns/net").st_ino, inode)


@kata_only
class ModelsTest(NetworkCase):
    def test_macvtap(self):
        self.world.configure('[runtime]\ninternetworking_model = "macvtap"\n')
        ns = self.net.namespace()
        self.net.veth(ns, mac="02:00:0a:b1:00:05")
        for end in ("delete", "kill"):
            c = self.started_pod(ns)
            self.assertIn("02:00:0a:b1:00:05", self.sh_out(c, "ip link show eth0"))
            self.assertNotIn("02:00:0a:b1:00:05", ip("link", "show", "eth0", ns=ns))
            for address in (HOST4, HOST6):
                self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 -s 1400 {address}"))
            if end == "kill":
                os.kill(c.record()["sandbox"]["pid"], signal.SIGKILL)
            self.assert_run(c.delete("--force"))
            self.assertIn("02:00:0a:b1:00:05", ip("link", "show", "eth0", ns=ns))
            self.assertEqual(netns.links(ns), ["lo", "eth0"])

    def test_none(self):
        self.world.configure('[runtime]\ninternetworking_model = "none"\ndisable_new_netns = true\n')
        ns = self.net.namespace()
        self.net.veth(ns)
        c = self.started_pod(ns)
        self.assertEqual(self.sh_out(c, "ls /sys/class/net"), "lo\n")
        self.assertEqual(qdiscs(ns, "eth0"), [])
        host = os.stat("/proc/self/ns/net").st_ino
        for helper in c.record()["helpers"]:
            if "qemu" in pathlib.Path(f"/proc/{helper['pid']}/comm").read_text():
                self.assertEqual(os.stat(f"/proc/{helper['pid']}/ns/net").st_ino, host)

    def test_rates(self):
        """16 Mbit/s are 2 MB/s: 8 MB take some 4 s, and without a limit a fraction of one."""
        self.world.configure("[hypervisor.qemu]\nrx_rate_limiter_max_rate = 16000000\ntx_rate_limiter_max_rate = 16000000\n")
        ns = self.net.namespace()
        self.net.veth(ns)
        c = self.started_pod(ns)
        got = []
        serve = threading.Thread(target=netns.receive_all(7777, got))
        serve.start()
        self.addCleanup(serve.join)
        began = time.monotonic()
        self.assert_run(c.exec_sh(f"dd if=/dev/zero bs=1M count=8 2>/dev/null | nc {HOST4} 7777"))
        serve.join(60)
        # Never faster: that is not a question of how busy the machine is.
        self.assertEqual(sum(map(len, got)), 8 << 20)
        self.assertGreater(time.monotonic() - began, 3)
        listening = c.world.popen("exec", c.id, "/bin/sh", "-c", "nc -l -p 7778 | wc -c", stdout=subprocess.PIPE)
        self.await_out(c, "cat /proc/net/tcp /proc/net/tcp6", ":1E62 ")
        began = time.monotonic()
        with socket.create_connection((f"{NET4}.5", 7778), 30) as connection:
            connection.sendall(bytes(8 << 20))
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(listening.communicate(timeout=60)[0], b"8388608\n")
        self.assertGreater(time.monotonic() - began, 3)

    def test_dan(self):
        dans = self.world.tmp / "dans"
        dans.mkdir()
        self.world.configure(f'[runtime]\ndan_conf = "{dans}"\n')
        tap = f"kt{os.getpid() % 100000}"
        ip("tuntap", "add", tap, "mode", "tap")
        self.addCleanup(ip, "link", "del", tap)
        ip("link", "set", tap, "master", self.net.bridge, "up")
        c = self.container("/bin/sleep", "1000")
        for kind in c.process["capabilities"].values():
            kind.append("CAP_NET_RAW")
        device = {"name": "dan0", "guest_mac": "02:00:00:00:00:31",
                  "device": {"type": "host-tap", "tap_name": tap, "queue_num": 1, "queue_size": 256},
                  "network_info": {"interface": {"ip_addresses": [f"{NET4}.31/24", f"{NET6}::31/64"], "mtu": 1450, "ntype": "tuntap"},
                                   "routes": [{"dest": "10.9.0.0/16", "gateway": HOST4, "source": "", "scope": 0}],
                                   "neighbors": [{"ip_address": f"{NET4}.78", "hardware_addr": "02:00:00:00:00:78"}]}}  # fmt: skip
        (dans / f"{c.id}.json").write_text(json.dumps({"netns": None, "devices": [device]}))
        self.start(c)
        link = self.sh_out(c, "ip addr show dan0")
        for part in ("mtu 1450", f"{NET4}.31/24", f"{NET6}::31/64", "02:00:00:00:00:31"):
            self.assertIn(part, link)
        self.assertIn(f"10.9.0.0/16 via {HOST4}", self.sh_out(c, "ip route"))
        self.assertIn("02:00:00:00:00:78", self.sh_out(c, f"grep {NET4}.78 /proc/net/arp"))
        self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 {HOST4}"))

        other = self.container("/bin/true")
        (dans / f"{other.id}.json").write_text(json.dumps({"devices": [{**device, "device": {"type": "vhost-user", "path": "/x"}}]}))
        self.assert_run(other.create(), 1, err=f"{other.id}.json: device 0: dan0: vhost-user devices are not supported")


@kata_only
class ChangesTest(NetworkCase):
    """The namespace changes while the pod runs."""

    def test_an_interface_comes_and_goes(self):
        ns = self.net.namespace()
        c = self.started_pod(ns)
        self.assertEqual(self.sh_out(c, "ls /sys/class/net"), "lo\n")
        for last in (5, 6):
            # As engines do it: the link first, what it is for a moment later.
            end = self.net.veth(ns, "eth0", last)
            self.await_out(c, "ip addr show eth0; ip route", rf"{re.escape(NET4)}\.{last}/24(?s:.*)default via")
            self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 {HOST4}"))
            self.assertIn(" 0% packet loss", netns.ping(f"{NET6}::{last}"))
            ip("link", "del", end)
            harness.wait_for(lambda: "eth0" not in self.sh_out(c, "ls /sys/class/net"), "the card is unplugged", 60)
            harness.wait_for(lambda: netns.links(ns) == ["lo"], "the tap is gone")

    def test_an_interface_from_the_start_goes(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        c = self.started_pod(ns)
        elsewhere = self.net.namespace()
        ip("link", "set", "eth0", "netns", elsewhere, ns=ns)
        harness.wait_for(lambda: "eth0" not in self.sh_out(c, "ls /sys/class/net"), "the card is unplugged", 60)
        # And back: its addresses and filters were lost on the way.
        ip("link", "set", "eth0", "netns", ns, ns=elsewhere)
        self.net.address(ns)
        self.await_out(c, "ip addr show eth0; ip route", rf"{re.escape(NET4)}\.5/24(?s:.*)default via")
        self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 {HOST4}"))

    def test_addresses_and_routes_change(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        c = self.started_pod(ns)
        ip("address", "add", f"{NET4}.50/24", "dev", "eth0", ns=ns)
        ip("route", "add", "10.9.0.0/16", "via", HOST4, ns=ns)
        self.await_out(c, "ip addr show eth0; ip route", rf"{re.escape(NET4)}\.50/24(?s:.*)10\.9\.0\.0/16 via")
        ip("route", "del", "10.9.0.0/16", ns=ns)
        ip("address", "del", f"{NET4}.50/24", "dev", "eth0", ns=ns)
        harness.wait_for(lambda: not re.search(r"\.50/24|10\.9\.0", self.sh_out(c, "ip addr show eth0; ip route")), "it is gone")
        ip("link", "set", "eth0", "mtu", "1280", ns=ns)
        self.await_out(c, "ip link show eth0", "mtu 1280")
        self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 {HOST4}"))

    def test_a_storm(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        c = self.started_pod(ns)
        lines = "".join(f"route add 10.200.{n}.0/24 via {HOST4}\n" for n in range(200))
        lines += "".join(f"route del 10.200.{n}.0/24 via {HOST4}\n" for n in range(1, 200))
        netns.run("ip", "-n", ns, "-batch", "-", input=lines)
        harness.wait_for(lambda: re.findall(r"10\.200\.\d+", self.sh_out(c, "ip route")) == ["10.200.0"], "it has settled")

    def test_hooks_make_the_network(self):
        """Docker's way: the namespace is new and empty, and a hook finds it by the container's pid."""
        for kind in ("prestart", "createRuntime"):
            script = self.world.tmp / f"hook-{kind}"
            end = f"kv{os.getpid() % 100000}n0{kind[0]}"
            self.net.ends.append(end)
            script.write_text(
                "#!/bin/sh -e\npid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/')\n"
                f"ip link add {end} type veth peer name {end}p\nip link set {end} master {self.net.bridge} up\n"
                f"ip link set {end}p netns $pid name eth0\n"
                "n() { nsenter --net=/proc/$pid/ns/net ip \"$@\"; }\n"
                f"n addr add {NET4}.8/24 dev eth0\nn link set eth0 up\nn route add default via {HOST4}\n"
            )
            script.chmod(0o755)
            c = self.sh(f"ip addr show eth0 | grep 'inet '; ip route | grep default; ping -c 2 {HOST4} | grep loss")
            for capabilities in c.process["capabilities"].values():
                capabilities.append("CAP_NET_RAW")
            c.spec["hooks"] = {kind: [{"path": str(script), "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}]}
            result = self.assert_run(c.run())
            self.assertRegex(result.out, rf"{re.escape(NET4)}\.8/24(?s:.*)default via {HOST4}(?s:.*) 0% packet loss")

    def test_a_machine_without_places(self):
        self.world.configure("[hypervisor.qemu]\ndefault_bridges = 0\n")
        ns = self.net.namespace()
        self.net.veth(ns)
        c = self.started_pod(ns)
        self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 {HOST4}"))
        # Not on the bridge: a link that is not the guest's has the host's own stack behind it, which answers ARP.
        ip("link", "add", "eth1", "type", "veth", "peer", "name", "other", ns=ns)
        ip("address", "add", "10.180.0.1/24", "dev", "eth1", ns=ns)
        log = self.world.root / c.id / "sandbox.log"
        harness.wait_for(lambda: "network interface eth1: this machine has no places" in log.read_text(), "it is said")
        self.assertIn(" 0% packet loss", self.sh_out(c, f"ping -c 2 {HOST4}"))


if __name__ == "__main__":
    harness.main()
