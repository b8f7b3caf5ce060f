# SPDX-License-Identifier: Apache-2.0
"""Where the processes of a sandbox are among the host's cgroups, what else may be there, and that nothing of it stays."""
import glob
import json
import os
import pathlib
import signal
import subprocess

import harness
import leaks
from containerd import SHIM, ContainerdCase
from cri import CriCase

CGROUPS = pathlib.Path("/sys/fs/cgroup")
# With version 2 alone there is one, and what is below it are its cgroups.
ALONE = CGROUPS / "cgroup.procs"
HIERARCHIES = [ALONE] if ALONE.exists() else list(CGROUPS.glob("*/cgroup.procs"))


def members(path, file="cgroup.procs"):
    """The ids in a cgroup, one set for each hierarchy that has it."""
    return [
        set(map(int, (procs.parent / path.lstrip("/") / file).read_text().split()))
        for procs in HIERARCHIES
        if (procs.parent / path.lstrip("/") / file).exists()
    ]


def directories(path):
    return [str(procs.parent / path.lstrip("/")) for procs in HIERARCHIES if (procs.parent / path.lstrip("/")).exists()]


def vcpu_threads(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task")
    return {int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().startswith("CPU ")}


class StayMixin:
    """Checks of one sandbox: state is its state.json."""

    def pids(self, state):
        helpers = {helper["pid"]: leaks.process(helper["pid"])[2] for helper in state["helpers"]}
        qemu = next(pid for pid, command in helpers.items() if "qemu" in command)
        return state["sandbox"]["pid"], qemu, set(helpers)

    def assert_all_in(self, state, path):
        process, _, helpers = self.pids(state)
        found = members(path)
        self.assertEqual(len(found), len(HIERARCHIES), f"{path} is in every hierarchy")
        for inside in found:
            self.assertLessEqual({process, *helpers}, inside)

    def assert_split(self, state, path, overhead):
        process, qemu, helpers = self.pids(state)
        vcpus = vcpu_threads(qemu)
        self.assertTrue(vcpus)
        for procs in HIERARCHIES:
            above, below = (procs.parent / name.lstrip("/") for name in (overhead, path))
            inside = set(map(int, (above / "cgroup.procs").read_text().split()))
            self.assertIn(process, inside)
            self.assertLessEqual(helpers - {qemu}, inside)
            if (below / "tasks").exists():
                self.assertEqual(set(map(int, (below / "tasks").read_text().split())) & vcpus, vcpus)
                self.assertNotIn(qemu, set(map(int, (below / "tasks").read_text().split())))
            else:
                self.assertIn(qemu, set(map(int, (below / "cgroup.procs").read_text().split())))


class Freezer:
    """Freezes and thaws a cgroup of one hierarchy; on this host there may be one of each version."""

    def __init__(self, hierarchy, file, freeze, thaw):
        self.hierarchy, self.file, self.words = hierarchy, file, {True: freeze, False: thaw}

    def directory(self, path):
        return self.hierarchy / path.lstrip("/")

    def set(self, path, frozen):
        (self.directory(path) / self.file).write_text(self.words[frozen])


def freezers():
    """Of the hierarchies of this host: only below their roots do the files tell."""
    found = []
    for hierarchy in (procs.parent for procs in HIERARCHIES):
        probe = hierarchy / f"{leaks.TAG}probe"
        probe.mkdir()
        if (probe / "freezer.state").exists():
            found.append(Freezer(hierarchy, "freezer.state", "FROZEN", "THAWED"))
        elif (probe / "cgroup.freeze").exists():
            found.append(Freezer(hierarchy, "cgroup.freeze", "1", "0"))
        probe.rmdir()
    return found


def assert_no_overhead():
    """No other test has a sandbox whose overhead is apart, so the last sandbox here removes the directory of all."""
    harness.wait_for(lambda: not directories("/kata_overhead"), "the parent of all overheads is gone")


class ShimTest(ContainerdCase, StayMixin):
    def test_everything_is_in_the_sandboxs(self):
        name = self.sleeping()
        self.assert_all_in(self.state(name), f"/default/kata_{name}")
        self.assert_run(self.ctr("task", "kill", "-s", "KILL", name))
        self.assert_run(self.ctr("task", "rm", "--force", name))
        harness.wait_for(lambda: not directories(f"/default/kata_{name}"), "the cgroups are gone")

    def test_only_the_vcpus(self):
        config = self.world.tmp / "configuration.toml"
        config.write_text("[runtime]\nsandbox_cgroup_only = false\n")
        name = self.name()
        flags = ("--runtime-config-path", config, "--runtime", "io.containerd.kata.v2")
        self.assert_run(self.ctr("run", "-d", *flags, "example.test/busybox:latest", name, "sleep", "1000"))
        self.assert_split(self.state(name), f"/default/kata_{name}", f"/kata_overhead/{name}")
        self.ctr("task", "rm", "--force", name)
        harness.wait_for(lambda: not directories(f"/default/kata_{name}"), "the cgroups are gone")
        assert_no_overhead()

    def test_a_shim_that_is_killed(self):
        name = self.sleeping()
        self.assertTrue(directories(f"/default/kata_{name}"))
        os.kill(self.state(name)["sandbox"]["pid"], signal.SIGKILL)
        harness.wait_for(lambda: self.status(name) in ("STOPPED", "GONE"), "containerd has noticed")
        harness.wait_for(lambda: not directories(f"/default/kata_{name}"), "the action delete has removed the cgroups")

    def test_a_start_that_fails(self):
        def there():
            return [directory for procs in HIERARCHIES for directory in glob.glob(f"{procs.parent}/default/*")]

        before = there()
        self.assertNotEqual(self.run_container("/no/such/command").status, 0)
        harness.wait_for(lambda: there() == before, "nothing stays")


    def test_a_cgroup_that_is_frozen_before(self):
        parent = f"/{leaks.TAG}parent"
        for freezer in freezers():
            with self.subTest(hierarchy=freezer.hierarchy):
                freezer.directory(parent).mkdir()
                freezer.set(parent, True)
                try:
                    failed = self.run_container("true", flags=("--cgroup", f"{parent}/c"))
                finally:
                    freezer.set(parent, False)
                self.assertNotEqual(failed.status, 0)
                self.assertRegex(failed.err, "container's cgroup unexpectedly frozen")
                self.assertEqual([path for path in freezer.directory(parent).iterdir() if path.is_dir()], [])
                freezer.directory(parent).rmdir()

    def test_a_shim_that_is_frozen(self):
        """The action `delete` ends it, also with version 1, whose frozen processes do not die."""
        for freezer in freezers():
            with self.subTest(hierarchy=freezer.hierarchy):
                name = self.sleeping()
                shim = self.state(name)["sandbox"]["pid"]
                bundle = self.containerd.tmp / "state/io.containerd.runtime.v2.task/default" / name
                freezer.set(f"/default/kata_{name}", True)
                arguments = ["-namespace", "default", "-address", self.containerd.tmp / "c.sock", "-id", name]
                done = subprocess.run(
                    [SHIM, *arguments, "-bundle", bundle, "delete"], cwd=bundle, capture_output=True, timeout=harness.TIMEOUT
                )
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertFalse(harness.alive(shim))
                self.ctr("task", "rm", "--force", name)
                harness.wait_for(lambda: not directories(f"/default/kata_{name}"), "the cgroups are gone")


class PodTest(CriCase, StayMixin):
    def test_the_pods_own(self):
        """In the cgroup that the kubelet has made for the pod, beside what a runtime of processes would use."""
        parent = f"/{leaks.TAG}pod"
        config = self.pod_config(self.name())
        config.linux.cgroup_parent = parent
        pod, _ = self.run_pod(config=config)
        state = json.loads(pathlib.Path("/run/kata", pod, "state.json").read_text())
        self.assert_all_in(state, f"{parent}/kata_{pod}")
        self.end_pod(pod)
        harness.wait_for(lambda: not directories(parent), "also the parent, which the shim has made")


@harness.kata_only
class RuntimeTest(harness.Case, StayMixin):
    def test_everything_is_in_the_containers(self):
        c = self.started()
        self.assert_all_in(c.record(), f"/{c.id}")
        self.assertIn(c.state()["pid"], members(f"/{c.id}")[0])
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left()

    def test_only_the_vcpus(self):
        self.world.configure("[runtime]\nsandbox_cgroup_only = false\n")
        c = self.started()
        self.assert_split(c.record(), f"/{c.id}", f"/kata_overhead/{c.id}")
        self.assertIn(c.state()["pid"], members(f"/{c.id}")[0], "the stand-in is where engines look")
        # A new vCPU goes where the others are.
        self.assert_run(self.world.runtime("update", "--cpu-quota", "100000", c.id))
        self.assert_split(c.record(), f"/{c.id}", f"/kata_overhead/{c.id}")
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left()
        assert_no_overhead()

    def test_a_sandbox_process_that_is_killed(self):
        self.world.configure("[runtime]\nsandbox_cgroup_only = false\n")
        c = self.started()
        os.kill(c.record()["sandbox"]["pid"], signal.SIGKILL)
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left()
        assert_no_overhead()


@harness.kata_only
class FrozenTest(harness.Case):
    """With version 1 nothing in a frozen cgroup dies of SIGKILL, and whoever enters one stands still."""

    def setUp(self):
        super().setUp()
        self.freezers = freezers()
        self.assertTrue(self.freezers)
        self.parent = f"/{leaks.TAG}parent"

    def below(self, *command):
        c = self.container(*(command or ("/bin/sleep", "1000")))
        c.linux["cgroupsPath"] = f"{self.parent}/{c.id}"
        return c

    def test_before_the_start(self):
        for freezer in self.freezers:
            c = self.below("/bin/true")
            own = c.linux["cgroupsPath"]
            for frozen, words in ((own, "container's cgroup unexpectedly frozen\"\n"), (self.parent, "frozen: .*parent is")):
                with self.subTest(hierarchy=freezer.hierarchy, frozen=frozen):
                    freezer.directory(frozen).mkdir(parents=True)
                    freezer.set(frozen, True)
                    try:
                        self.assert_run(c.run(), 1, err=words)
                    finally:
                        freezer.set(frozen, False)
                        for path in dict.fromkeys((frozen, self.parent)):
                            freezer.directory(path).rmdir()
                    self.assert_nothing_left()

    def test_a_container_that_is_frozen(self):
        for freezer in self.freezers:
            with self.subTest(hierarchy=freezer.hierarchy):
                c = self.started()
                other = self.world.popen("exec", c.id, "/bin/sleep", "1000")
                harness.wait_for(lambda: "/bin/sleep 1000" in c.processes()[1:], "the exec runs")
                standin = c.state()["pid"]
                freezer.set(c.id, True)
                self.assertEqual(c.status(), "paused", "as with runc")
                self.assert_run(c.exec("/bin/true"), 255, err="cannot exec in a paused container")
                self.assert_run(c.exec("/bin/true", flags=("--ignore-paused",)), 255, err="frozen on the host")
                self.assert_run(self.world.runtime("ps", c.id), 1, err="frozen on the host")
                self.assert_run(c.delete(), 1, err="not stopped: paused")
                self.assert_run(c.kill("CONT"), 0)
                self.assertTrue(harness.alive(standin))
                self.assert_run(c.delete("--force"))
                self.assertEqual(other.wait(harness.TIMEOUT), 137)
                self.assert_nothing_left(c)

    def test_what_is_frozen_above_it_stays(self):
        for freezer in self.freezers:
            with self.subTest(hierarchy=freezer.hierarchy):
                self.world.configure("[runtime]\nsandbox_cgroup_only = false\n")
                freezer.directory(self.parent).mkdir()
                c = self.start(self.below())
                freezer.set(self.parent, True)
                self.assertEqual(c.status(), "paused")
                self.assert_run(self.world.runtime("resume", c.id), 1, err="frozen on the host")
                self.assert_run(c.delete("--force"))
                self.assertIn((freezer.directory(self.parent) / freezer.file).read_text().strip(),
                              ("FROZEN", "FREEZING", "1"), "FREEZING: the processes that were moved out have just gone")
                freezer.set(self.parent, False)
                freezer.directory(self.parent).rmdir()
                self.assert_nothing_left(c)

    def test_resume_and_kill_thaw(self):
        for freezer in self.freezers:
            with self.subTest(hierarchy=freezer.hierarchy):
                c = self.sh("trap 'exit 5' TERM; while :; do sleep 0.1; done")
                self.start(c)
                freezer.set(c.id, True)
                self.assert_run(self.world.runtime("resume", c.id))
                self.assertEqual(c.status(), "running")
                freezer.set(c.id, True)
                self.assert_run(c.kill("KILL"))
                c.wait_for("stopped")
                self.assert_run(c.delete())
                self.assert_nothing_left(c)


@harness.kata_only
class OthersTest(harness.Case):
    def test_a_parent_whose_cpuset_is_empty(self):
        """As version 1 makes them: nobody can enter it, nor what is below it."""
        parent = f"/{leaks.TAG}parent"
        hierarchies = [procs.parent for procs in HIERARCHIES if (procs.parent / "cpuset.sched_load_balance").exists()]
        for hierarchy in hierarchies:
            (hierarchy / parent.lstrip("/")).mkdir()
            self.assertEqual((hierarchy / parent.lstrip("/") / "cpuset.cpus").read_text().strip(), "")
        c = self.sh("echo hello")
        c.linux["cgroupsPath"] = f"{parent}/deep/{c.id}"
        self.assert_run(c.run(), 0, "hello\n")
        for hierarchy in hierarchies:
            for name in ("cpuset.cpus", "cpuset.mems"):
                own = (hierarchy / parent.lstrip("/") / name).read_text()
                self.assertEqual(own, (hierarchy / name).read_text())
            (hierarchy / parent.lstrip("/")).rmdir()
        self.assert_nothing_left()

    def test_a_cgroup_that_is_not_empty(self):
        words = r"level=warning msg=\"container's cgroup is not empty: \d+ process\(es\) found"
        first = self.started()
        second = self.sh("echo hello")
        second.linux["cgroupsPath"] = f"/{first.id}"
        self.assert_run(second.run(), 0, "hello\n", err=words)
        log = self.world.tmp / "log"
        third = self.sh("true")
        third.linux["cgroupsPath"] = f"/{first.id}"
        third.write()
        result = self.world.runtime("--log", log, "run", "--bundle", third.bundle, third.id)
        self.assert_run(result, 0)
        self.assertRegex(log.read_text(), words)
        self.assert_run(first.delete("--force"))
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
