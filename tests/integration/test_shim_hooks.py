# SPDX-License-Identifier: Apache-2.0
"""Hooks of the host in containerd's shim: Docker connects its containers to networks by one."""
import json
import os
import signal
import subprocess

import harness
import leaks
from containerd import ContainerdCase

RUNTIME = ("--runtime", "io.containerd.kata.v2")
KINDS = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")


class HooksTest(ContainerdCase):
    def setUp(self):
        super().setUp()
        self.bundle = self.container("/bin/sleep", "10000")
        self.bundle.spec["root"]["path"] = str(self.bundle.rootfs)
        self.bundle.spec["hooks"] = {}
        self.bundle.linux["cgroupsPath"] = f"/default/{self.bundle.id}"
        self.out = self.world.tmp / "out"
        self.out.mkdir()

    def hook(self, kind, script, **more):
        entry = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": [f"PATH={os.environ['PATH']}", f"OUT={self.out}"]}
        self.bundle.spec["hooks"].setdefault(kind, []).append({**entry, **more})

    def run_bundle(self, *flags):
        self.bundle.write()
        return self.ctr("run", *flags, *RUNTIME, "--config", self.bundle.bundle / "config.json", self.bundle.id)

    def seen(self, kind):
        return json.loads((self.out / kind).read_text())

    def test_all_of_them_in_order(self):
        for kind in KINDS:
            self.hook(kind, f"cat >$OUT/{kind}; echo {kind} >>$OUT/order; readlink /proc/self/ns/net >>$OUT/{kind}-net")
        self.assert_run(self.run_bundle("-d"))
        self.assertEqual((self.out / "order").read_text().split(), list(KINDS[:4]))
        for kind, status in zip(KINDS, ("creating", "creating", "creating", "running")):
            state = self.seen(kind)
            self.assertEqual((state["id"], state["status"]), (self.bundle.id, status))
            self.assertIsNotNone(leaks.process(state["pid"]))
        pods = os.readlink(f"/proc/{self.seen('prestart')['pid']}/ns/net")
        own = os.readlink("/proc/self/ns/net")
        self.assertNotEqual(pods, own)
        nets = {kind: (self.out / f"{kind}-net").read_text().strip() for kind in KINDS[:4]}
        self.assertEqual(nets, {"prestart": own, "createRuntime": own, "createContainer": pods, "poststart": own})
        self.ctr("task", "rm", "--force", self.bundle.id)
        harness.wait_for(lambda: (self.out / "poststop").exists(), "poststop has run")
        harness.wait_for(lambda: (self.out / "order").read_text().split() == list(KINDS), "in its turn")
        self.assertEqual(self.seen("poststop")["status"], "stopped")

    def test_the_containers_own_begin_in_its_root_with_its_variables(self):
        """Those of createContainer, where the bundle names no environment; others have the shim's."""
        for kind in ("createRuntime", "createContainer"):
            self.hook(kind, f"(pwd; echo [$OF]) >{self.out}/{kind}")
            del self.bundle.spec["hooks"][kind][0]["env"]
        self.bundle.process["env"].append("OF=container")
        self.assert_run(self.run_bundle("-d"))
        self.assertEqual((self.out / "createContainer").read_text().split(), [str(self.bundle.rootfs), "[container]"])
        directory, variable = (self.out / "createRuntime").read_text().split()
        self.assertEqual((os.path.basename(directory), variable), (self.bundle.id, "[]"))

    def test_an_interface_that_a_hook_brings(self):
        """As Docker's libnetwork does: the namespace is found by the state's pid."""
        link, peer = f"kv{os.getpid() % 100000}n0a", f"kv{os.getpid() % 100000}n0b"
        self.addCleanup(subprocess.run, ["ip", "link", "del", link], stderr=subprocess.DEVNULL)
        self.hook(
            "prestart",
            'pid=$(sed "s/.*\\"pid\\":\\([0-9]*\\).*/\\1/"); exec 2>$OUT/err; set -e; '
            f"ip link add {link} type veth peer name {peer} netns $pid; ip link set {link} up; "
            f'nsenter -t $pid -n sh -c "ip link set {peer} name eth0; ip addr add 10.199.7.2/24 dev eth0; ip link set eth0 up"',
        )
        self.assert_run(self.run_bundle("-d"), 0)
        shown = self.assert_run(self.exec(self.bundle.id, "ip", "-o", "addr", "show", "dev", "eth0")).out
        self.assertIn("10.199.7.2/24", shown)

    def test_a_hook_that_fails(self):
        self.hook("createRuntime", "cat >/dev/null; echo reason >&2; exit 3")
        self.hook("poststop", "touch $OUT/poststop")
        failed = self.run_bundle("--rm")
        self.assertNotEqual(failed.status, 0)
        self.assertRegex(failed.err, "error running createRuntime hook #0: exit status 3.*reason")
        self.assertTrue((self.out / "poststop").exists())
        self.assert_nothing_left()

    def test_a_hook_that_takes_too_long(self):
        self.hook("prestart", "exec sleep 1000", timeout=1)
        self.assertRegex(self.run_bundle("--rm").err, "hook ran past specified timeout of 1.0s")

    def test_a_poststart_hook_that_fails_ends_the_container(self):
        self.hook("poststart", "exit 1")
        self.assertRegex(self.run_bundle("-d").err, "error running poststart hook #0")
        harness.wait_for(lambda: self.status(self.bundle.id) in ("STOPPED", "GONE"), "it has been ended")

    def test_poststop_after_a_shim_that_was_killed(self):
        self.hook("poststop", "cat >$OUT/poststop.new; mv $OUT/poststop.new $OUT/poststop")
        self.assert_run(self.run_bundle("-d"))
        os.kill(self.state(self.bundle.id)["sandbox"]["pid"], signal.SIGKILL)
        harness.wait_for(lambda: (self.out / "poststop").exists(), "the action delete has run it")
        self.assertEqual(self.seen("poststop")["id"], self.bundle.id)


if __name__ == "__main__":
    harness.main()
