# SPDX-License-Identifier: Apache-2.0
# lab: none: it wants packages of another suite; test_engines.py has the same for the suite's own
"""What people do with Docker every day, with the runtime by its path and as containerd's type, beside runc's containers."""
import json

import harness
from disks import Disks
from docker import BY_PATH, BY_TYPE, IMAGE, DockerCase

PAGE = "mkdir -p /www; echo page of $NAME >/www/index.html; httpd -f -p 8080 -h /www & while :; do wait; done"
SERVER = f"""
echo $WHO $A; cat /thing /data/given; head -c 9 /dev/disk; echo; touch /data/made
trap 'echo ending; exit 9' TERM
{PAGE}
"""
SUBNETS = ["--ipv6", "--subnet", "10.177.88.0/24", "--subnet", "fd17:88::/64"]


class Everyday(Disks, DockerCase):
    """runtime: by which way. beside: the runtime of the other container."""

    beside = "runc"

    def thing(self):
        """A device of CDI: a variable, a mount, and a disk of the host's."""
        loop = str(self.loop(self.raw_image("of a disk")))
        (self.world.tmp / "thing").write_text("a thing\n")
        edits = {
            "env": ["A=cdi"],
            "mounts": [{"hostPath": str(self.world.tmp / "thing"), "containerPath": "/thing", "options": ["ro", "bind"]}],
            "deviceNodes": [{"path": "/dev/disk", "hostPath": loop, "permissions": "r"}],
        }
        directory = self.engine.tmp / "cdi"
        directory.mkdir(exist_ok=True)
        spec = {"cdiVersion": "0.6.0", "kind": "tests.example/thing", "devices": [{"name": "one", "containerEdits": edits}]}
        (directory / "thing.json").write_text(json.dumps(spec))

    def fetched(self, container, host):
        script = f"wget -q -O - http://{host}:8080/ 2>&1"
        return harness.wait_for(
            lambda: (out := self.docker("exec", container, "sh", "-c", script).out).startswith("page") and out.strip(),
            f"{container} gets the page of {host}",
        )

    def test_a_container_from_start_to_end(self):
        self.thing()
        volume = self.world.tmp / "volume"
        volume.mkdir()
        (volume / "given").write_text("given\n")
        self.assert_run(self.docker("network", "create", *SUBNETS, "net"))
        run = ["run", "--detach", "--network", "net", "--publish", "8080"]
        self.assert_run(self.docker(*run, "--runtime", self.beside, "--name", "other", "--env", "NAME=other", IMAGE, "sh", "-c", PAGE))
        flags = ["--volume", f"{volume}:/data", "--device", "tests.example/thing=one", "--memory", "128m", "--read-only",
                 "--tmpfs", "/www", "--tmpfs", "/tmp", "--health-cmd", "test -e /tmp/well", "--health-interval", "1s"]  # fmt: skip
        self.assert_run(self.docker(*run, "--runtime", self.runtime, "--name", "vm", "--env", "NAME=vm", *flags, IMAGE, "sh",
                                    "-c", SERVER))  # fmt: skip
        # Names and both families, both ways, and by ports of the host.
        six = {name: self.inspect(name, ".NetworkSettings.Networks.net.GlobalIPv6Address") for name in ("vm", "other")}
        for container, host, page in (("vm", "other", "other"), ("vm", "vm", "vm"), ("other", "vm", "vm")):
            self.assertEqual(self.fetched(container, host), f"page of {page}")
            self.assertEqual(self.fetched(container, f"[{six[host]}]"), f"page of {page}")
        for port in self.assert_run(self.docker("port", "vm", "8080")).out.split():
            local = port.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
            self.assert_run(self.engine.run("busybox", "wget", "-q", "-O", "-", f"http://{local}/"), 0, "page of vm\n")
        self.assertEqual(self.docker("logs", "vm").out, "image cdi\na thing\ngiven\nof a disk\n")
        self.assertTrue((volume / "made").exists())
        # Another network, later.
        self.assert_run(self.docker("network", "create", "later"))
        self.assert_run(self.docker("network", "connect", "later", "vm"))
        harness.wait_for(lambda: "eth1" in self.docker("exec", "vm", "ip", "addr").out, "it is in the other network")
        self.assert_run(self.docker("network", "disconnect", "later", "vm"))
        harness.wait_for(lambda: "eth1" not in self.docker("exec", "vm", "ip", "addr").out, "it has left that")
        # Processes, files, limits.
        self.assert_run(self.docker("exec", "--user", "1000", "--env", "X=y", "vm", "sh", "-c", "id -u; echo $X; exit 4"), 4, "1000\ny\n")
        version = self.docker("version", "--format", "{{.Server.Version}}").out
        missing = 127 if int(version.split(".")[0]) >= 28 else 126  # runc's, as that Docker tells it
        self.assertEqual(self.docker("exec", "vm", "no-such-program").status, missing)
        self.assert_run(self.docker("exec", "--interactive", "vm", "wc", "-c", input=bytes(1000000)), 0, "1000000\n")
        self.assert_run(self.docker("cp", volume / "given", "vm:/data/copy"))
        self.assert_run(self.docker("cp", "vm:/bin/busybox", "-"))
        self.assertEqual((volume / "copy").read_text(), "given\n")
        self.assert_run(self.docker("update", "--memory", "200m", "--memory-swap", "400m", "vm"))
        self.assert_run(self.docker("exec", "vm", "cat", "/sys/fs/cgroup/memory.max"), 0, f"{200 << 20}\n")
        stats = self.docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}").out
        self.assertRegex(stats, r"(?m)^vm [1-9]")
        self.assertRegex(stats, r"(?m)^other [1-9]")
        self.assert_run(self.docker("exec", "vm", "touch", "/tmp/well"))
        harness.wait_for(lambda: self.inspect("vm", ".State.Health.Status") == "healthy", "it is well")
        self.assert_run(self.docker("pause", "vm"))
        self.assertEqual(self.inspect("vm", ".State.Status"), "paused")
        self.assert_run(self.docker("unpause", "vm"))
        # The end, and another start.
        self.assert_run(self.docker("stop", "--time", "60", "vm"))
        self.assertEqual(self.inspect("vm", ".State.ExitCode"), "9")
        self.assertEqual(self.docker("logs", "vm").out.splitlines()[-1], "ending")
        self.assert_run(self.docker("start", "vm"))
        self.assertEqual(self.fetched("vm", "other"), "page of other")
        self.assertEqual(self.fetched("other", "vm"), "page of vm")
        self.assert_run(self.docker("kill", "vm"))
        self.assert_run(self.docker("wait", "vm"), 0, "137\n")
        self.assert_run(self.docker("rm", "--force", "vm", "other"))


@harness.kata_only
class ByPathTest(Everyday):
    runtime = BY_PATH

    def test_namespaces_of_another_container(self):
        """A container that starts again leaves the other in its old machine, with the network and the names of that."""
        self.assert_run(self.docker("network", "create", "net"))
        run = ["run", "--detach", "--runtime", self.runtime]
        flags = ["--network", "net", "--ipc", "shareable", "--env", "NAME=one"]
        self.assert_run(self.docker(*run, "--name", "one", *flags, IMAGE, "sh", "-c", f"echo shm >/dev/shm/file; {PAGE}"))
        self.assert_run(self.docker("run", "--detach", "--runtime", self.beside, "--network", "net", "--name", "other",
                                    "--env", "NAME=other", IMAGE, "sh", "-c", PAGE))  # fmt: skip
        joins = ["--network", "container:one"]
        self.assert_run(self.docker(*run, "--name", "two", *joins, "--ipc", "container:one", IMAGE, "sleep", "1000"))
        sandbox = {name: self.sandbox(name) for name in ("one", "two")}
        self.assertEqual(sandbox["one"], sandbox["two"])
        self.assertEqual(self.fetched("two", "127.0.0.1"), "page of one")
        self.assertEqual(self.fetched("two", "other"), "page of other")
        self.assertEqual(self.fetched("other", "one"), "page of one")
        self.assert_run(self.docker("exec", "two", "cat", "/dev/shm/file"), 0, "shm\n")
        look = ["run", "--rm", "--runtime", self.runtime, "--pid", "container:one", *joins, IMAGE, "ps", "-o", "args"]
        self.assertIn("httpd -f -p 8080", self.assert_run(self.docker(*look)).out)
        alone = self.docker("run", "--rm", "--runtime", self.runtime, "--pid", "container:one", IMAGE, "true")
        self.assert_run(alone, 125, err="containers of one virtual machine share its network")
        self.assert_run(self.docker("restart", "--time", "0", "one"))
        self.assertEqual(self.sandbox("two"), sandbox["two"])
        self.assertNotEqual(self.sandbox("one"), sandbox["one"])
        self.assert_run(self.docker("exec", "two", "cat", "/dev/shm/file"), 0, "shm\n")
        self.assertEqual(self.fetched("other", "one"), "page of one")
        self.assert_run(self.docker("restart", "--time", "0", "two"))
        self.assertEqual(self.sandbox("two"), self.sandbox("one"))
        self.assertEqual(self.fetched("two", "127.0.0.1"), "page of one")
        self.assertEqual(self.fetched("two", "other"), "page of other")
        self.assert_run(self.docker("rm", "--force", "one", "two", "other"))

    def sandbox(self, container):
        """The sandbox process in whose record the container is."""
        found = list(self.engine.tmp.glob(f"exec/**/{self.inspect(container, '.Id')}/state.json"))
        self.assertEqual(len(found), 1)
        return json.loads(found[0].read_text())["sandbox"]["pid"]


@harness.kata_only
class ByTypeTest(Everyday):
    runtime = BY_TYPE

    def test_statuses(self):
        run = ["run", "--rm", "--runtime", "kata-v2"]  # the same, by the name that setup has given it
        script = "cat; echo err >&2; exit 6"
        self.assert_run(self.docker(*run, "--interactive", IMAGE, "sh", "-c", script, input=b"in\n"), 6, "in\n", "^err$")
        self.assert_run(self.docker(*run, IMAGE, "no-such-program"), 127, err="not found")
        self.assert_run(self.docker(*run, IMAGE, "/etc/passwd"), 126, err="permission denied")


del Everyday  # which unittest would run, too

if __name__ == "__main__":
    harness.main()
