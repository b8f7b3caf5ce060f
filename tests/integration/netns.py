# SPDX-License-Identifier: Apache-2.0
"""A network of the tests' own on the host: namespaces, a bridge, links into pods. All of it goes with close().

And NetworkCase, for tests whose containers are in it."""
import itertools
import json
import os
import re
import socket
import subprocess

import harness
import leaks

_numbers = itertools.count(1)


def _claimed_number():
    """A number that no other process has, of those that make such networks at the same time. Two bridges of the host
    with one address would answer for each other: the reply to a pod of the one leaves by the other."""
    for number in range(1, 255):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0kata-containers-tests-network-{number}")
        except OSError:
            claim.close()
            continue
        return number, claim
    raise AssertionError("all networks of the tests are taken")


# The socket holds the number until this process ends.
NUMBER, _claim = _claimed_number()
NET4, NET6 = f"10.177.{NUMBER}", f"fd17:{NUMBER:x}"
HOST4, HOST6 = f"{NET4}.1", f"{NET6}::1"


def ip(*arguments, ns=None):
    return run("ip", *(["-n", ns] if ns else []), *arguments)


def run(*argv, **options):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=60, **options)
    if done.returncode != 0:
        raise AssertionError(f"$ {' '.join(map(str, argv))}\n{done.stdout}{done.stderr}")
    return done.stdout


def disable_ipv6(ns, interface, value="1"):
    run("ip", "netns", "exec", ns, "sh", "-c", f"echo {value} >/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")


def ping(address, size=56):
    """From the host."""
    return run("busybox", "ping6" if ":" in address else "ping", "-c", "2", "-s", size, address)


def links(ns=None):
    return [link["ifname"] for link in json.loads(ip("-json", "link", ns=ns))]


def qdiscs(ns, link):
    """The disciplines of a link but those that it has by itself."""
    shown = json.loads(run("tc", "-n", ns, "-json", "qdisc", "show", "dev", link))
    return sorted(entry["kind"] for entry in shown if entry["kind"] not in ("noqueue", "pfifo_fast", "fq_codel", "mq"))


class Network:
    """A bridge that is the host's side, and namespaces of pods."""

    def __init__(self):
        number = f"{os.getpid() % 100000}n{next(_numbers)}"
        self.bridge = f"kb{number}"
        self.prefix = f"{leaks.TAG}net{next(_numbers)}"
        self.namespaces = []
        self.ends = []
        ip("link", "add", self.bridge, "type", "bridge")
        ip("address", "add", f"{HOST4}/24", "dev", self.bridge)
        ip("address", "add", f"{HOST6}/64", "dev", self.bridge, "nodad")
        ip("link", "set", self.bridge, "mtu", "9000", "up")

    def namespace(self):
        name = f"{self.prefix}-{len(self.namespaces)}"
        ip("netns", "add", name)
        self.namespaces.append(name)
        ip("link", "set", "lo", "up", ns=name)
        return name

    @staticmethod
    def path(ns):
        return f"/run/netns/{ns}"

    def veth(self, ns, name="eth0", last=5, mtu=1500, route=True, mac=None, addresses=True):
        """A link into the pod: NET4.LAST and NET6::LAST on it, the host's end on the bridge."""
        end = f"kv{os.getpid() % 100000}n{next(_numbers)}"
        ip("link", "add", end, "mtu", mtu, "type", "veth", "peer", "name", name, "mtu", mtu, "netns", ns,
           *(["address", mac] if mac else []))  # fmt: skip
        self.ends.append(end)
        ip("link", "set", end, "master", self.bridge, "up")
        if addresses:
            self.address(ns, name, last, route)
        return end

    def address(self, ns, name="eth0", last=5, route=True):
        ip("address", "add", f"{NET4}.{last}/24", "dev", name, ns=ns)
        ip("address", "add", f"{NET6}::{last}/64", "dev", name, "nodad", ns=ns)
        ip("link", "set", name, "up", ns=ns)
        if route:
            ip("route", "add", "default", "via", HOST4, ns=ns)
            ip("-6", "route", "add", "default", "via", HOST6, ns=ns)

    def close(self):
        for ns in self.namespaces:
            subprocess.run(["ip", "netns", "del", ns], capture_output=True)
        # A pair goes with either end; the namespace's end goes a moment after its namespace.
        for link in (*self.ends, self.bridge):
            subprocess.run(["ip", "link", "del", link], capture_output=True)


def receive_all(port, out):
    """One connection on the host's address; what came is appended to out."""
    listener = socket.create_server((HOST4, port))
    listener.settimeout(60)

    def serve():
        connection, _ = listener.accept()
        with connection, listener:
            while data := connection.recv(65536):
                out.append(data)

    return serve


class NetworkCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.net = Network()
        self.addCleanup(self.net.close)
        # Containers first, then their namespaces.
        self.addCleanup(self.world.close_containers)

    def pod(self, ns, *args, path=None):
        c = self.container(*(args or ("/bin/sleep", "1000")))
        c.namespace("network", path or self.net.path(ns))
        for kind in c.process["capabilities"].values():
            kind.append("CAP_NET_RAW")  # of ping
        return c

    def started_pod(self, ns, **options):
        return self.start(self.pod(ns, **options))

    def sh_out(self, c, script):
        return self.assert_run(c.exec_sh(script)).out

    def await_out(self, c, script, pattern):
        return harness.wait_for(lambda: re.search(pattern, c.exec_sh(script).out), f"{script}: {pattern}", 30)
