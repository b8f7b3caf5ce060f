# SPDX-License-Identifier: Apache-2.0
"""Scopes of systemd for containerd's tasks and the pods of its CRI plugin: what the shim makes of cgroup paths of that form."""
import os
import pathlib
import signal
import subprocess

import grpc

import harness
import leaks
from containerd import BUSYBOX, Containerd, ContainerdCase
from containerd2 import Containerd2
from cri import CriCase
from systemd import Systemd

SLICE = "tests-one.slice"
ENDS_WITH_5 = "trap 'echo ending; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
# Handlers with options of their own, by how a pod is made and what they say.
HANDLERS = "".join(
    f"""
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{sandboxer}-{value}]
runtime_type = "io.containerd.kata.v2"
sandboxer = "{sandboxer}"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{sandboxer}-{value}.options]
SystemdCgroup = {value}
"""
    for sandboxer in ("podsandbox", "shim")
    for value in ("true", "false")
)


class OnSystemd(Containerd):
    """The daemon is on the other host, and so is ctr, whose FIFOs are in its /run."""

    def __init__(self, log_level):
        self.systemd = Systemd()
        self.prefix = self.systemd.prefix
        super().__init__(log_level)

    def argv(self, *arguments):
        return [*self.prefix, *super().argv(*arguments)]

    def stop(self, how=signal.SIGTERM):
        """The process that entered the host does not pass signals on."""
        for child in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            os.kill(int(child), how)
        self.process.wait(harness.TIMEOUT)

    def close(self):
        try:
            super().close()
        finally:
            self.systemd.close()


class ShimTest(ContainerdCase):
    """A cgroup path of systemd's form is all that tells the shim."""

    daemon = OnSystemd

    def setUp(self):
        super().setUp()
        self.systemd = self.containerd.systemd
        self.task = self.name()
        self.unit = f"ctr-{self.task}.scope"

    def command(self, script, *flags):
        flags = ("--runtime", "io.containerd.kata.v2", "--cgroup", f"{SLICE}:ctr:{self.task}", *flags)
        return ("run", *flags, BUSYBOX, self.task, "sh", "-c", script)

    def assert_no_unit(self):
        harness.wait_for(lambda: self.systemd.units(self.unit) == [], "systemd has forgotten the scope")

    def test_systemctl_stop(self):
        child = self.containerd.popen(*self.command(ENDS_WITH_5, "--rm"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        self.assertEqual(self.systemd.show(self.unit, "Slice", "Delegate"), {"Slice": SLICE, "Delegate": "yes"})
        members = "\n".join(self.systemd.members(self.unit))
        for what in ("containerd-shim-kata-v2", "qemu", "kata-fsd"):
            self.assertIn(what, members)
        self.assertEqual(len(members.splitlines()), 4, "kata-fsd is two, and who asked systemd is not there any more")
        self.assert_run(self.systemd.systemctl("stop", self.unit))
        self.assertEqual(child.communicate(timeout=harness.TIMEOUT)[0], b"ending\n", "once")
        self.assertEqual(child.returncode, 5)
        self.assert_no_unit()

    def test_a_shim_that_is_killed(self):
        self.assert_run(self.ctr(*self.command("sleep 1000", "-d")))
        self.assert_run(self.systemd.systemctl("kill", "--signal=KILL", self.unit))
        harness.wait_for(lambda: self.status(self.task) in ("STOPPED", "GONE"), "containerd has noticed")
        self.ctr("task", "rm", "--force", self.task)
        self.assert_no_unit()


class PodTest(CriCase):
    daemon = OnSystemd

    def test_systemctl_stop(self):
        """A kubelet with the systemd driver names a slice for the pod; the sandbox is a scope in it."""
        systemd = self.containerd.systemd
        config = self.pod_config(self.name())
        config.linux.cgroup_parent = f"/tests.slice/{SLICE}"
        pod = self.run_pod(config=config)
        container = self.start_container(pod, "main", "sh", "-c", ENDS_WITH_5)
        harness.wait_for(lambda: self.log_of(pod, "main") == [("stdout", "ready")], "it runs")
        unit = f"cri-containerd-{pod[0]}.scope"
        self.assertEqual(systemd.units("cri-containerd*"), [unit])
        self.assertEqual(systemd.show(unit, "Slice")["Slice"], SLICE)
        self.assert_run(systemd.systemctl("stop", unit))
        self.assertEqual(self.exited(container).exit_code, 5)
        status = lambda: self.call("PodSandboxStatus", pod_sandbox_id=pod[0]).status.state  # noqa: E731
        harness.wait_for(lambda: status() == self.api.SANDBOX_NOTREADY, "the pause container has ended, too")
        self.assertEqual([text for stream, text in self.log_of(pod, "main") if stream == "stdout"], ["ready", "ending"])
        self.end_pod(pod[0])
        harness.wait_for(lambda: systemd.units("cri-containerd*") == [], "systemd has forgotten the scope")
        harness.wait_for(lambda: systemd.run("ls", "/run/kata").out == "", "nothing is left of the sandbox")


class OnSystemd2(OnSystemd, Containerd2):
    config = Containerd2.config + HANDLERS


class OptionsTest(CriCase):
    """SystemdCgroup in a handler's options, which containerd passes on since 1.7."""

    daemon = OnSystemd2

    def test_they_agree_with_the_path(self):
        config = self.pod_config(self.name())
        config.linux.cgroup_parent = f"/tests.slice/{SLICE}"
        pod, _ = self.run_pod(config=config, handler="podsandbox-true")
        self.assertEqual(self.containerd.systemd.units("cri-containerd*"), [f"cri-containerd-{pod}.scope"])

    def test_they_do_not_agree(self):
        """Refused before a VM is started."""
        for value, parent in (("true", f"/{leaks.TAG}pod"), ("false", f"/tests.slice/{SLICE}")):
            for sandboxer in ("podsandbox", "shim"):
                with self.subTest(f"{sandboxer}-{value}"):
                    config = self.pod_config(self.name())
                    config.linux.cgroup_parent = parent
                    with self.assertRaisesRegex(grpc.RpcError, f"SystemdCgroup = {value}, but linux.cgroupsPath is"):
                        self.call("RunPodSandbox", config=config, runtime_handler=f"{sandboxer}-{value}")
                    self.assertEqual(self.containerd.systemd.run("ls", "/run/kata").out, "")


if __name__ == "__main__":
    harness.main()
