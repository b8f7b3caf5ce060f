# SPDX-License-Identifier: Apache-2.0
"""The network of pods as CNI's own plugins make it: between pods, to and from the host, published ports."""
import http.server
import json
import socket
import threading
import urllib.request

import harness
from containerd import IPERF, iperf_archive
from cri import NAMESPACE, CriCase

SERVE = "echo page >/tmp/index.html; exec httpd -f -p 80 -h /tmp"


def get(url):
    """What the host gets; nothing yet when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.read()
    except OSError:
        return b""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class NetworkTest(CriCase):
    def bracketed(self, address):
        return f"[{address}]" if ":" in address else address

    def test_pods_reach_each_other(self):
        server, client = self.run_pod("server"), self.run_pod("client")
        self.start_container(server, "main", "sh", "-c", SERVE)
        container = self.start_container(client)
        addresses = self.pod_addresses(server)
        self.assertEqual([":" in address for address in addresses], [False, True], addresses)
        for address in addresses:
            ping = self.exec_sync(container, f"ping -c 50 -i 0.02 {address}")
            self.assertIn("50 packets transmitted, 50 packets received, 0% packet loss", ping.out, ping)
            fetch = f"wget -q -O - http://{self.bracketed(address)}/"
            harness.wait_for(lambda: self.exec_sync(container, fetch).out == "page\n", f"{address} answers")

    def test_mtu(self):
        """What the plugin has set: a packet of that size passes whole, no larger one is sent."""
        pods = [self.run_pod(name) for name in ("one", "two")]
        one, two = (self.start_container(pod) for pod in pods)
        for container in (one, two):
            self.assertEqual(self.exec_sync(container, "cat /sys/class/net/eth0/mtu").out, "1400\n")
        for address, headers in zip(self.pod_addresses(pods[1]), (28, 48)):
            ping = self.exec_sync(one, f"ping -c 3 -s {1400 - headers} {address}")
            self.assertIn(" 0% packet loss", ping.out, ping)
        reassembled = "cut -d ' ' -f 16 /proc/net/snmp | sed -n 2p"
        self.assertEqual(self.exec_sync(two, reassembled).out, "0\n", "nothing came in fragments")

    def test_host_and_pod(self):
        pod = self.run_pod()
        container = self.start_container(pod, "main", "sh", "-c", SERVE)
        for address in self.pod_addresses(pod):
            url = f"http://{self.bracketed(address)}/"
            harness.wait_for(lambda: get(url) == b"page\n", f"host to pod at {address}")

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(self.client_address[0].encode())

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6

        for address, host in zip(self.pod_addresses(pod), (f"{self.subnet}.1", f"{self.subnet6}1")):
            with Server(("::", 0), Handler) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                url = f"http://{self.bracketed(host)}:{server.server_port}/"
                seen = self.exec_sync(container, f"wget -q -O - {url}")
                server.shutdown()
            self.assertEqual(seen.out.removeprefix("::ffff:"), address, seen)

    def test_a_published_port(self):
        port = free_port()
        mapping = self.api.PortMapping(container_port=80, host_port=port)
        pod = self.run_pod(config=self.pod_config(self.name(), port_mappings=[mapping]))
        self.start_container(pod, "main", "sh", "-c", SERVE)
        harness.wait_for(lambda: get(f"http://127.0.0.1:{port}/") == b"page\n", "host port to pod")
        self.assertEqual(get(f"http://{self.subnet}.1:{port}/"), b"page\n")

    def test_iperf3_between_pods(self):
        self.containerd.import_image(iperf_archive(), NAMESPACE)

        def with_iperf(container):
            container.image.image = IPERF

        server, client = self.run_pod("server"), self.run_pod("client")
        listening = self.start_container(server, "main", "iperf3", "-s", change=with_iperf)
        container = self.start_container(client, change=with_iperf)
        harness.wait_for(lambda: ":5201" in self.exec_sync(listening, "netstat -ltn").out, "iperf3 listens")
        for address in self.pod_addresses(server):
            for direction in ("", "-R"):
                report = self.assert_run(self.exec_sync(container, f"iperf3 -J -n 10M {direction} -c {address}"))
                end = json.loads(report.out)["end"]
                # The receiver does not count what comes after it was told that this was all.
                self.assertGreater(end["sum_received"]["bytes"], 5 << 20, direction)
        # Slow enough for any machine: what is lost then is lost in between.
        report = self.assert_run(self.exec_sync(container, f"iperf3 -J -u -b 5M -t 2 -c {self.pod_addresses(server)[0]}"))
        total = json.loads(report.out)["end"]["sum"]
        self.assertGreater(total["packets"], 0)
        self.assertEqual(total["lost_packets"], 0)


if __name__ == "__main__":
    harness.main()
