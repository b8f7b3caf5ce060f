# SPDX-License-Identifier: Apache-2.0
# lab: trixie
"""The engines of the host's own Debian, with systemd and cgroup version 2: Docker by both ways, Podman, quadlets."""
import os
import pathlib
import subprocess

import harness
import leaks
import podman
import test_docker
from podman import IMAGE

leaks.counts_podmans = True


def no_programs(directory):
    """The host's own ones are in PATH."""


class DockerByPathTest(test_docker.ByPathTest):
    programs = staticmethod(no_programs)
    beside = "crun"


class DockerByTypeTest(test_docker.ByTypeTest):
    programs = staticmethod(no_programs)


PAGE = "echo page of $NAME >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"
SUBNETS = ["--ipv6", "--subnet", "10.177.89.0/24", "--subnet", "fd17:89::/64"]


class PodmanTest(podman.PodmanCase):
    """As root, with networks of netavark's in nftables."""

    cgroup_manager = "systemd"
    runtime = harness.RUNTIME

    @classmethod
    def setUpClass(cls):
        os.environ["NETAVARK_FW"] = "nftables"
        cls.addClassCleanup(os.environ.pop, "NETAVARK_FW")
        super().setUpClass()

    @classmethod
    def argv(cls, *arguments):
        argv = super().argv(*arguments)
        argv[argv.index("--runtime") + 1] = cls.runtime
        argv[1:1] = ["--network-config-dir", str(cls.store.tmp / "networks")]
        return argv

    def fetched(self, container, host):
        script = f"wget -q -O - http://{host}:8080/ 2>&1"
        return harness.wait_for(
            lambda: (out := self.podman("exec", container, "sh", "-c", script).out).startswith("page") and out.strip(),
            f"{container} gets the page of {host}",
        )

    def test_names_families_and_ports(self):
        net = f"net{os.getpid()}"
        self.assert_run(self.podman("network", "create", *SUBNETS, net))
        self.addCleanup(self.podman, "network", "rm", "--force", "--time", "0", net)
        for name, runtime, port in (("in-vm", harness.RUNTIME, 18080), ("runc", "runc", 18081), ("crun", "crun", 18082)):
            type(self).runtime = runtime
            self.addCleanup(setattr, type(self), "runtime", harness.RUNTIME)
            flags = ["--network", net, "--publish", f"{port}:8080", "--env", f"NAME={name}"]
            self.assert_run(self.podman("run", "--detach", "--name", name, *flags, IMAGE, "sh", "-c", PAGE))
        type(self).runtime = harness.RUNTIME
        six = self.podman("inspect", "--format", "{{.NetworkSettings.Networks.%s.GlobalIPv6Address}}" % net, "in-vm").out.strip()
        for container, host, page in (("in-vm", "runc", "runc"), ("in-vm", "crun", "crun"), ("runc", "in-vm", "in-vm"), ("crun", "in-vm", "in-vm"),
                                      ("runc", f"[{six}]", "in-vm"), ("in-vm", f"[{six}]", "in-vm")):  # fmt: skip
            self.assertEqual(self.fetched(container, host), f"page of {page}")
        for address in ("10.177.89.1:18080", "[fd17:89::1]:18080"):
            done = subprocess.run(["busybox", "wget", "-q", "-O", "-", f"http://{address}/"], capture_output=True, text=True)
            self.assertEqual(done.stdout, "page of in-vm\n", done.stderr)
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        self.assertIn("table inet netavark", tables)
        self.assertRegex(self.podman("stats", "--no-stream", "--format", "{{.Name}}").out, r"(?m)^in-vm$")
        self.assert_run(self.podman("rm", "--force", "--time", "0", "in-vm"))
        self.assertEqual(self.fetched("runc", "crun"), "page of crun")

    def test_a_user_namespace_that_podman_chooses(self):
        for kind in ("uid", "gid"):
            path = pathlib.Path(f"/etc/sub{kind}")
            text = path.read_text()
            self.addCleanup(path.write_text, text)
            path.write_text(text + "containers:2147483647:2147483648\n")
        volume = self.world.tmp / "volume"
        volume.mkdir()
        (volume / "of-root").write_text("of root\n")
        (volume / "of-root").chmod(0o600)
        script = "cat /v/of-root; id -u; stat -c %u:%g / /bin/busybox /v/of-root; touch /made /v/made; tr -s ' ' </proc/self/uid_map"
        flags = self.run_flags("--rm", "--userns=auto:size=4096", "--volume", f"{volume}:/v:idmap")
        result = self.assert_run(self.podman(*flags, IMAGE, "sh", "-c", script))
        self.assertRegex(result.out, r"^of root\n0\n(0:0\n){3} 0 \d{6,} 4096\n$")
        self.assertEqual((volume / "made").stat().st_uid, 0)


class QuadletTest(podman.PodmanCase):
    """A .container file, of which Podman's generator makes a unit of systemd's."""

    cgroup_manager = "systemd"
    UNITS = pathlib.Path("/run/containers/systemd")

    def systemctl(self, *arguments):
        done = subprocess.run(["systemctl", "--no-pager", *arguments], capture_output=True, text=True)
        self.world.log.append(f"systemctl {arguments}: {done}")
        return done

    def show(self, name):
        return self.systemctl("show", "--value", "--property", name, "kata-web.service").stdout.strip()

    def test_a_service(self):
        words = self.argv()
        self.UNITS.mkdir(parents=True, exist_ok=True)
        unit = self.UNITS / "kata-web.container"
        self.addCleanup(self.systemctl, "daemon-reload")
        self.addCleanup(unit.unlink)
        unit.write_text(
            f"[Container]\nImage={IMAGE}\nContainerName=kata-web\nNetwork=none\nGlobalArgs={' '.join(words[1:])}\n"
            f"""Exec=sh -c 'trap "exit 0" TERM; echo began; while :; do sleep 0.2; done'\n"""
            "[Service]\nRestart=on-failure\nTimeoutStartSec=900\n"
        )
        self.assertEqual(self.systemctl("daemon-reload").returncode, 0)
        self.addCleanup(self.systemctl, "stop", "kata-web.service")
        self.assertEqual(self.systemctl("start", "kata-web.service").returncode, 0)
        self.assertEqual(self.show("ActiveState"), "active")
        self.assert_run(self.podman("exec", "kata-web", "sh", "-c", "exit 4"), 4)
        # A failure, after which systemd starts it again.
        self.assert_run(self.podman("kill", "kata-web"))
        harness.wait_for(lambda: self.show("NRestarts") == "1" and self.show("ActiveState") == "active", "it runs again")
        self.assertEqual(self.systemctl("stop", "kata-web.service").returncode, 0)
        self.assertEqual((self.show("ActiveState"), self.show("Result")), ("inactive", "success"))
        self.assertEqual(self.podman("ps", "--all", "--quiet").out, "")


if __name__ == "__main__":
    harness.main()
