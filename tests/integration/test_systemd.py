# SPDX-License-Identifier: Apache-2.0
"""--systemd-cgroup: the scope of a container in the host's systemd, from its start to its end."""
import signal
import subprocess

import harness
from podman import IMAGE, PodmanCase
from systemd import Systemd

SLICE = "tests-one.slice"
PATH = f"/tests.slice/{SLICE}"
ENDS_WITH_5 = "trap 'echo ending; exit 5' TERM; echo ready; while :; do sleep 0.1; done"


class SystemdCase(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.systemd = Systemd()
        cls.addClassCleanup(cls.systemd.close)

    def setUp(self):
        super().setUp()
        self.world.prefix = self.systemd.prefix
        argv = self.world.argv
        self.world.argv = lambda *arguments: [*argv("--systemd-cgroup"), *map(str, arguments)]

    def in_a_scope(self, container):
        container.linux["cgroupsPath"] = f"{SLICE}:c:{container.id}"
        container.unit = f"c-{container.id}.scope"
        return container

    def sleeping(self):
        return self.start(self.in_a_scope(self.container("/bin/sleep", "1000")))

    def stranger(self, unit, becomes="active", properties=()):
        """A process of somebody else's in a scope of this name."""
        argv = [*self.systemd.prefix, "systemd-run", "--quiet", "--scope", f"--unit={unit}", *properties, "sleep", "1000"]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(child.wait)
        self.addCleanup(self.systemd.systemctl, "stop", unit)
        harness.wait_for(lambda: self.systemd.show(unit, "ActiveState")["ActiveState"] == becomes, f"the stranger is {becomes}")

    def assert_no_unit(self, container):
        harness.wait_for(lambda: self.systemd.units(container.unit) == [], "systemd has forgotten the scope")


class ScopeTest(SystemdCase):
    def test_what_systemd_knows(self):
        c = self.in_a_scope(self.container("/bin/sleep", "1000"))
        c.spec["annotations"] = {
            "org.systemd.property.TimeoutStopUSec": "uint64 12000000",
            "org.systemd.property.KillSignal": "2",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
        }
        self.start(c)
        names = ("ActiveState", "Slice", "Delegate", "DefaultDependencies", "ControlGroup", "TimeoutStopUSec", "KillSignal")
        names += ("CollectMode", "Transient", "MemoryAccounting", "TasksAccounting")
        self.assertEqual(
            self.systemd.show(c.unit, *names),
            {"ActiveState": "active", "Slice": SLICE, "Delegate": "yes", "DefaultDependencies": "no", "Transient": "yes",
             "ControlGroup": f"{PATH}/{c.unit}", "TimeoutStopUSec": "12s", "KillSignal": "2", "MemoryAccounting": "yes",
             "CollectMode": "inactive-or-failed", "TasksAccounting": "yes"},
        )  # fmt: skip
        if harness.IS_KATA:
            members = "\n".join(self.systemd.members(c.unit))
            for what in ("kata-standin", "sandbox-process", "qemu", "kata-fsd"):
                self.assertIn(what, members)
            self.assertNotIn("create", members, "who asked systemd is not there any more")
        self.assert_run(c.exec("/bin/echo", "hello"), 0, "hello\n")
        self.assert_run(c.delete("--force"))
        self.assert_no_unit(c)

    @harness.kata_only
    def test_limits(self):
        c = self.in_a_scope(self.container("/bin/sleep", "1000"))
        c.linux["resources"].update(
            memory={"limit": 256 << 20}, cpu={"quota": 150000, "period": 100000, "shares": 512, "cpus": "0"}, pids={"limit": 77}
        )
        self.start(c)
        limits = self.systemd.show(c.unit, "TasksMax", "CPUWeight", "CPUQuotaPerSecUSec", "AllowedCPUs", "MemoryMax")
        memory = int(limits.pop("MemoryMax"))
        self.assertIn(memory >> 20, range(2048 + 256 + 512, 4096), "the VM's, too")
        self.assertEqual(
            limits, {"TasksMax": str(77 + 256), "CPUWeight": "20", "CPUQuotaPerSecUSec": "1.500000s", "AllowedCPUs": "0"}
        )
        update = self.world.runtime("--systemd-cgroup", "update", "--pids-limit", "33", "--cpu-quota", "50000", c.id)
        self.assert_run(update)
        self.assertEqual(
            self.systemd.show(c.unit, "TasksMax", "CPUQuotaPerSecUSec"),
            {"TasksMax": str(33 + 256), "CPUQuotaPerSecUSec": "500ms"},
        )

    def test_without_a_path(self):
        c = self.sh("exit 3")
        del c.linux["cgroupsPath"]
        c.unit = f"{'kata' if harness.IS_KATA else 'runc'}-{c.id}.scope"
        self.assert_run(c.create())
        self.assertEqual(self.systemd.show(c.unit, "Slice")["Slice"], "system.slice")
        self.assert_run(c.start())
        c.wait_for("stopped")
        self.assert_run(c.delete())
        self.assert_no_unit(c)

    def test_systemctl_stop(self):
        """The container's own process is told to end, and its status is its own."""
        c = self.in_a_scope(self.sh(ENDS_WITH_5))
        child = c.popen_run(stdout=subprocess.PIPE)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        self.assert_run(self.systemd.systemctl("stop", c.unit))
        self.assertEqual(child.communicate(timeout=harness.TIMEOUT)[0], b"ending\n", "once")
        self.assertEqual(child.returncode, 5)
        self.assert_no_unit(c)

    def test_another_signal_that_stops(self):
        """As Podman asks for it. All processes of the container get it, also where the first one does not end by it."""
        number = int(signal.SIGRTMIN + 3)
        c = self.in_a_scope(self.sh("echo ready; sleep 1000; echo $?; exit 6"))
        c.spec["annotations"] = {"org.systemd.property.KillSignal": str(number)}
        child = c.popen_run(stdout=subprocess.PIPE)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        self.assert_run(self.systemd.systemctl("stop", c.unit))
        self.assertEqual(child.communicate(timeout=harness.TIMEOUT)[0], b"%d\n" % (128 + number))
        self.assertEqual(child.returncode, 6)
        self.assert_no_unit(c)

    def test_stop_of_one_of_several_in_a_machine(self):
        """The others go on, and so does their machine, in another's scope."""
        script = "trap 'exit 5' TERM; touch /ready; while :; do sleep 0.1; done"
        one, other = (self.in_a_scope(self.sh(script)) for _ in range(2))
        one.namespace("network")
        self.start(one)
        other.namespace("network", f"/proc/{one.state()['pid']}/ns/net")
        self.start(other)
        for container in (one, other):
            harness.wait_for((container.rootfs / "ready").exists, "it runs")
        self.assert_run(self.systemd.systemctl("stop", one.unit))
        one.wait_for("stopped")
        self.assert_no_unit(one)
        self.assert_run(other.exec("/bin/echo", "still"), 0, "still\n")
        if harness.IS_KATA:
            self.assertEqual(one.record()["exitStatus"], 5)
            self.assertIn("qemu", "\n".join(self.systemd.members(other.unit)))
        self.assert_run(one.delete())
        self.assert_run(self.systemd.systemctl("stop", other.unit))
        other.wait_for("stopped")
        if harness.IS_KATA:
            self.assertEqual(other.record()["exitStatus"], 5)
        self.assert_run(other.delete())
        self.assert_no_unit(other)
        self.assert_nothing_left()

    def test_a_scope_of_somebody_else(self):
        c = self.in_a_scope(self.container("/bin/true"))
        self.stranger(c.unit)
        if harness.IS_KATA:
            self.assert_run(c.create(), 1, err=f"unable to start unit .*{c.unit} was already loaded")
            self.assert_run(c.delete("--force"))
            self.assertFalse((self.world.root / c.id).exists())
        self.assertEqual(self.systemd.show(c.unit, "ActiveState")["ActiveState"], "active")

    @harness.kata_only
    def test_one_that_has_failed_makes_room(self):
        c = self.in_a_scope(self.sh("echo hello"))
        self.stranger(c.unit, becomes="failed", properties=("--property=RuntimeMaxSec=1ms",))
        self.assert_run(c.run(), 0, "hello\n")
        self.assert_no_unit(c)

    @harness.kata_only
    def test_processes_that_are_killed(self):
        c = self.sleeping()
        pid = c.record()["sandbox"]["pid"]
        self.assert_run(self.systemd.run("kill", "-KILL", pid))
        self.assert_run(c.delete("--force"))
        self.assert_no_unit(c)
        c = self.sleeping()
        (self.world.root / c.id / "state.json").unlink()
        self.assert_run(c.delete("--force"))
        self.assert_no_unit(c)
        self.assert_nothing_left()

    def test_a_create_that_fails(self):
        c = self.in_a_scope(self.container("/no/such/command"))
        self.assertNotEqual(c.run().status, 0)
        self.assert_no_unit(c)

    def test_names_and_properties_that_are_refused(self):
        for path in ("/a/b", "a:b", "a--b.slice:c:d", "x.slice:c:d e", "noslice:c:d", "-x.slice:c:d", "x.slice:../c:d"):
            with self.subTest(path):
                c = self.container("/bin/true")
                c.linux["cgroupsPath"] = path
                self.assert_run(c.create(), 1, err="cgroupsPath|slice name|not valid|[Ii]nvalid")
                self.assertFalse((self.world.root / c.id).exists())
        for name, text in (("TimeoutStopUSec", "'x'"), ("No", "1"), ("KillSignal", "uint64"), ("NoSuchProperty", "1")):
            with self.subTest(name):
                c = self.in_a_scope(self.container("/bin/true"))
                c.spec["annotations"] = {f"org.systemd.property.{name}": text}
                self.assertNotEqual(c.create().status, 0)
                self.assert_no_unit(c)


class DelegatedTest(harness.Case):
    """A service may make its own cgroups in what systemd has delegated to it, and needs no scope for them."""

    def test_a_delegated_cgroup(self):
        systemd = Systemd()
        self.addCleanup(systemd.close)
        unit = f"delegated-{self.world.tmp.name}.scope"
        # Its own processes in a cgroup beside the container's, as version 2 wants it.
        enter = f'd=/sys/fs/cgroup/system.slice/{unit}/main; mkdir $d && echo 0 >$d/cgroup.procs && exec "$@"'
        scope = ("systemd-run", "--quiet", "--scope", f"--unit={unit}", "--property=Delegate=yes", "sh", "-c", enter, "sh")
        c = self.sh(ENDS_WITH_5)
        c.linux["cgroupsPath"] = c.id
        self.world.prefix = [*systemd.prefix, *scope]
        child = c.popen_run(stdout=subprocess.PIPE)
        self.assertEqual(child.stdout.readline(), b"ready\n")
        self.world.prefix = systemd.prefix
        pid = c.state()["pid"]
        cgroups = systemd.run("cat", f"/proc/{pid}/cgroup").out.splitlines()
        self.assertIn(f"0::/system.slice/{unit}/{c.id}", cgroups)
        self.assert_run(systemd.systemctl("stop", unit))
        self.assertEqual(child.communicate(timeout=harness.TIMEOUT)[0], b"ending\n")
        c.delete("--force")
        harness.wait_for(lambda: systemd.units(unit) == [], "systemd has forgotten the scope")


class PodmanTest(PodmanCase):
    """With the cgroup manager that Podman chooses by itself on such a host."""

    cgroup_manager = "systemd"

    @classmethod
    def setUpClass(cls):
        cls.systemd = Systemd()
        cls.addClassCleanup(cls.systemd.close)
        cls.prefix = cls.systemd.prefix
        super().setUpClass()

    def test_systemctl_stop(self):
        container = self.podman(*self.run_flags("--detach"), IMAGE, "sh", "-c", ENDS_WITH_5).out.strip()
        harness.wait_for(lambda: self.podman("logs", container).out == "ready\n", "it runs")
        unit = f"libpod-{container}.scope"
        self.assertEqual(self.systemd.show(unit, "Slice", "KillSignal"), {"Slice": "machine.slice", "KillSignal": "15"})
        self.assert_run(self.systemd.systemctl("stop", unit))
        self.assert_run(self.podman("wait", container), 0, "5\n")
        self.assert_run(self.podman("logs", container), 0, "ready\nending\n")
        self.assert_run(self.podman("rm", container))
        harness.wait_for(lambda: self.systemd.units("libpod*") == [], "systemd has forgotten all of it")

    def test_a_pod(self):
        infra = ["--infra-image", IMAGE, "--infra-command", "sleep 100000"]
        pod = self.assert_run(self.podman("pod", "create", "--name", "kata-pod", "--network", "none", *infra)).out.strip()
        run = ["run", "--detach", "--pod", "kata-pod", "--name", "kata-in-pod"]
        container = self.assert_run(self.podman(*run, IMAGE, "sh", "-c", ENDS_WITH_5)).out.strip()
        unit = f"libpod-{container}.scope"
        self.assertEqual(self.systemd.show(unit, "Slice")["Slice"], f"machine-libpod_pod_{pod}.slice")
        self.assertEqual(len([name for name in self.systemd.units("libpod-*.scope") if "conmon" not in name]), 2)
        harness.wait_for(lambda: self.podman("logs", container).out == "ready\n", "it runs")
        self.assert_run(self.podman("pod", "stop", "--time", "60", "kata-pod"))
        self.assertEqual(self.podman("inspect", "--format", "{{.State.ExitCode}}", container).out, "5\n")
        self.assert_run(self.podman("pod", "start", "kata-pod"))
        self.assert_run(self.podman("pod", "rm", "--force", "--time", "0", "kata-pod"))
        harness.wait_for(lambda: self.systemd.units("libpod*.scope") == [], "systemd has forgotten all of it")


@harness.kata_only
class WithoutTest(harness.Case):
    """Hosts whose systemd does not run, or does not answer."""

    def on_a_host(self, script):
        """With a /run of its own, made by this script."""
        prepare = f'mount -t tmpfs tmpfs /run && {script} && exec "$@"'
        self.world.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", prepare, "sh"]

    def create(self):
        c = self.container("/bin/true")
        c.linux["cgroupsPath"] = f"{SLICE}:c:{c.id}"
        c.write()
        result = self.world.runtime("--systemd-cgroup", "create", "--bundle", c.bundle, c.id, detached=True)
        self.assertEqual(result.status, 1, result)
        self.assert_nothing_left()
        return result.err

    def test_it_does_not_run(self):
        self.on_a_host("true")
        self.assertIn("systemd not running on this host, cannot use systemd cgroups manager", self.create())

    def test_it_is_not_there(self):
        self.on_a_host("mkdir -p /run/systemd/system")
        self.assertRegex(self.create(), "unable to start unit .*: cannot connect to systemd: No such file or directory")

    def test_it_does_not_answer(self):
        listener = self.world.tmp / "listener.py"
        listener.write_text(
            "import os, socket, sys\nsilent = socket.socket(socket.AF_UNIX)\nos.makedirs('/run/systemd/system')\n"
            "silent.bind('/run/systemd/private')\nsilent.listen()\nos.set_inheritable(silent.fileno(), True)\n"
            "os.execvp(sys.argv[1], sys.argv[1:])\n"
        )
        self.on_a_host("true")
        self.world.prefix += ["python3", str(listener)]
        self.world.configure("[runtime]\ntimeout_factor = 0.1\n")
        self.assertRegex(self.create(), "unable to start unit .*: systemd.* no.* answer .*timeout_factor in .runtime. makes that longer")


if __name__ == "__main__":
    harness.main()
