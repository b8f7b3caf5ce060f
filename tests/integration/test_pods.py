# SPDX-License-Identifier: Apache-2.0
"""Several containers in one virtual machine: pods of Podman's, namespaces of other containers, conmon as CRI-O drives it, and
what the command line makes of containers that come and go in any order."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading

import harness
import leaks
import rootfs
from podman import IMAGE, LIMITS, PodmanCase

leaks.counts_podmans = True
ROOT = pathlib.Path("/run/kata")
SERVER = "echo $NAME >/dev/shm/$NAME; mkdir -p /www; echo page >/www/index.html; trap 'exit 3' TERM; httpd -f -p 8080 -h /www & while :; do wait; done"
GET = "until wget -q -O - http://127.0.0.1:8080/; do sleep 0.1; done"


def sandboxes(bundles, root=ROOT):
    """For each sandbox process of the records: the ids of its containers. Of those whose bundles are below a directory: other
    tests have containers in ROOT, too."""
    found = {}
    for path in sorted(root.glob("*/state.json")):
        record = json.loads(path.read_text())
        if pathlib.Path(bundles) not in pathlib.Path(record["bundle"]).parents:
            continue
        if record["status"] != "stopped" and harness.alive(record["sandbox"]["pid"]):
            found.setdefault(record["sandbox"]["pid"], []).append(record["id"])
    return found


def cgroups_of(pid):
    """The names of the cgroups of a process, without those that nobody has made."""
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {path for line in lines if (path := line.split(":", 2)[2]) != "/"}


class PodmanPodsTest(PodmanCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.podman, "pod", "rm", "--all", "--force", "--time", "0")

    def make_pod(self, name, *flags):
        flags = ["--name", name, "--network", "none", "--infra-image", IMAGE, "--infra-command", "sleep 100000", *flags]
        self.assert_run(self.podman("pod", "create", *flags))

    def one_machine(self, count):
        if not harness.IS_KATA:
            return
        self.assertEqual([len(ids) for ids in sandboxes(self.store.tmp).values()], [count])

    def test_a_pod_from_create_to_rm(self):
        self.make_pod("kata-pod", "--hostname", "of-the-pod")
        in_pod = ["run", "--pod", "kata-pod", *LIMITS]
        self.assert_run(self.podman(*in_pod, "--detach", "--name", "kata-server", "--env", "NAME=server", IMAGE, "sh", "-c", SERVER))
        self.one_machine(2)
        script = f"{GET}; hostname; cat /dev/shm/server; ps -o args; exit 5"
        client = self.assert_run(self.podman(*in_pod, "--rm", IMAGE, "sh", "-c", script), 5)
        self.assertEqual(client.out.splitlines()[:3], ["page", "of-the-pod", "server"])
        self.assertNotIn("httpd", client.out)
        self.one_machine(2)
        self.assert_run(self.podman("exec", "kata-server", "sh", "-c", "hostname; exit 4"), 4, "of-the-pod\n")
        stats = self.assert_run(self.podman("pod", "stats", "--no-stream", "--format", "{{.Name}} {{.PIDS}}", "kata-pod")).out
        self.assertRegex(stats, r"(?m)^kata-server [1-9]")
        self.assert_run(self.podman("pod", "pause", "kata-pod"))
        self.assert_run(self.podman("pod", "unpause", "kata-pod"))
        self.assert_run(self.podman("restart", "--time", "60", "kata-server"))
        self.assert_run(self.podman("exec", "kata-server", "sh", "-c", GET), 0, "page\n")
        self.one_machine(2)
        self.assert_run(self.podman("pod", "stop", "--time", "1", "kata-pod"))
        self.assertEqual(self.podman("inspect", "--format", "{{.State.ExitCode}}", "kata-server").out, "3\n")
        self.assertEqual(sandboxes(self.store.tmp), {})
        self.assert_run(self.podman("pod", "start", "kata-pod"))
        self.assert_run(self.podman("exec", "kata-server", "sh", "-c", GET), 0, "page\n")
        # The pod's first container ends before the other.
        self.assert_run(self.podman("pod", "kill", "kata-pod"))
        self.assert_run(self.podman("pod", "rm", "--force", "--time", "0", "kata-pod"))

    def test_kube(self):
        container = {"image": IMAGE, "imagePullPolicy": "Never"}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "kata-kube"},
            "spec": {
                "shareProcessNamespace": True,
                "containers": [
                    {**container, "name": "server", "command": ["/bin/sh", "-c", SERVER], "env": [{"name": "NAME", "value": "kube"}]},
                    {**container, "name": "client", "command": ["/bin/sleep", "1000"]},
                ],
            },
        }
        play = self.world.tmp / "pod.yaml"
        play.write_text(json.dumps(pod))
        # The first container's program would be catatonit, which this host need not have.
        rootfs.copy("busybox", self.world.tmp / "pause")
        tar = subprocess.Popen(["tar", "-C", self.world.tmp / "pause", "-c", "."], stdout=subprocess.PIPE)
        image = "localhost/kata-pause:latest"
        self.assert_run(self.podman("import", "--change", 'CMD ["sleep", "100000"]', "-", image, stdin=tar.stdout))
        tar.stdout.close()
        tar.wait()
        config = self.world.tmp / "containers.conf"
        config.write_text(f'[engine]\ninfra_image = "{image}"\n')
        with_config = {"env": dict(os.environ, CONTAINERS_CONF=str(config))}
        self.assert_run(self.podman("play", "kube", "--network", "none", play, **with_config))
        self.one_machine(3)
        script = f"{GET}; cat /dev/shm/kube; hostname; ps -o args"
        looked = self.assert_run(self.podman("exec", "kata-kube-client", "/bin/sh", "-c", script)).out
        self.assertEqual(looked.splitlines()[:3], ["page", "kube", "kata-kube"])
        self.assertRegex(looked, r"(?m)^httpd -f")
        self.assertRegex(looked, r"(?m)^/bin/sleep 1000")
        self.assertIn("name: kata-kube-server", self.assert_run(self.podman("generate", "kube", "kata-kube")).out)
        self.assert_run(self.podman("play", "kube", "--down", play, **with_config))
        self.assertEqual(sandboxes(self.store.tmp), {})

    def test_namespaces_of_another_container(self):
        run = ["run", "--detach", *LIMITS]
        self.assert_run(self.podman(*run, "--network", "none", "--hostname", "of-one", "--name", "kata-one", "--env", "NAME=one",
                                    IMAGE, "sh", "-c", SERVER))  # fmt: skip
        joins = ["--network", "container:kata-one"]
        shares = ["--ipc", "container:kata-one", "--pid", "container:kata-one", "--uts", "container:kata-one"]
        script = f"{GET}; cat /dev/shm/*; hostname; ps -o args | grep -c ^httpd"
        self.assert_run(self.podman("run", "--rm", *LIMITS, *joins, *shares, IMAGE, "sh", "-c", script), 0, "page\none\nof-one\n1\n")
        # Only what is asked for.
        script = f"{GET}; ls /dev/shm; hostname; ps -o args | grep -c ^httpd"
        alone = self.podman("run", "--rm", *LIMITS, *joins, "--hostname", "mine", IMAGE, "sh", "-c", script)
        self.assert_run(alone, 1, "page\nmine\n0\n")
        self.one_machine(1)
        self.assert_run(self.podman(*run, *joins, "--name", "kata-two", IMAGE, "sleep", "1000"))
        self.one_machine(2)
        if harness.IS_KATA:
            self.assert_run(self.podman(*run, "--network", "none", "--name", "kata-other", IMAGE, "sleep", "1000"))
            both = self.podman("run", "--rm", *joins, "--ipc", "container:kata-other", IMAGE, "true")
            self.assertRegex(both.err, "ipc of [0-9a-f]* is in another virtual machine than [0-9a-f]*")
            network = self.podman("run", "--rm", "--network", "none", "--pid", "container:kata-one", IMAGE, "true")
            self.assertRegex(network.err, "containers of one virtual machine share its network")
            self.assert_run(self.podman("rm", "--force", "--time", "0", "kata-other"))
        # The one whose namespaces they are starts again, in a machine of its own; the other stays where it is.
        self.assert_run(self.podman("restart", "--time", "60", "kata-one"))
        self.assert_run(self.podman("exec", "kata-two", "echo", "still"), 0, "still\n")
        self.assert_run(self.podman("exec", "kata-one", "sh", "-c", GET), 0, "page\n")
        if harness.IS_KATA:
            self.assertEqual([len(ids) for ids in sandboxes(self.store.tmp).values()], [1, 1])
        self.assert_run(self.podman("rm", "--force", "--time", "0", "kata-two"))
        self.assert_run(self.podman("rm", "--force", "--time", "0", "kata-one"))


class JoinedCase(harness.Case):
    """Containers of the command line, of which the others have namespaces of the first."""

    def first(self, *args):
        container = self.container(*(args or ("/bin/sleep", "1000")))
        container.namespace("network")
        return container

    def joining(self, other, *args, types=("network",)):
        container = self.container(*(args or ("/bin/sleep", "1000")))
        for type in types:
            container.namespace(type, f"/proc/{other.state()['pid']}/ns/{'net' if type == 'network' else type}")
        return container

    def sandbox(self, container):
        return container.record()["sandbox"]["pid"]


class JoinedTest(JoinedCase):
    def hook(self, container):
        """A poststop hook that says whose it is."""
        script = f"cat >/dev/null; echo {container.id} >>{self.world.tmp}/poststop"
        container.spec["hooks"] = {"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
        return container

    def test_each_is_a_container_of_its_own(self):
        a = self.start(self.hook(self.first("/bin/sh", "-c", "httpd -p 8080 -h /bin; sleep 1000")))
        b = self.hook(self.joining(a, "/bin/sh", "-c", "trap 'exit 7' TERM; touch /ready; while :; do sleep 0.1; done", types=("network", "ipc")))
        b.linux["resources"]["memory"] = {"limit": 64 << 20}
        self.start(b)
        c = self.start(self.hook(self.joining(b, types=("network", "pid"))))
        self.assertEqual(b.exec_sh("wget -q -O - http://127.0.0.1:8080/busybox | wc -c").out, a.exec_sh("wc -c </bin/busybox").out)
        listed = json.loads(self.world.runtime("list", "--format", "json").out)
        self.assertEqual({(one["id"], one["status"]) for one in listed}, {(one.id, "running") for one in (a, b, c)})
        self.assertEqual(len({one["pid"] for one in listed}), 3)
        # Each has the processes and the cgroup that it would have with the reference.
        harness.wait_for((b.rootfs / "ready").exists, "it runs")
        self.assertTrue(any("sleep 1000" in line for line in c.processes()))
        self.assertTrue(any("trap" in line for line in c.processes()))
        self.assertFalse(any("httpd" in line for line in c.processes()))
        for one in (a, b, c):
            self.assertIn(f"/{one.id}", cgroups_of(one.state()["pid"]))
        self.assert_run(b.exec_sh("cat /sys/fs/cgroup/memory.max"), 0, f"{64 << 20}\n")
        self.assert_run(self.world.runtime("update", "--memory", "80M", b.id))
        self.assert_run(b.exec_sh("cat /sys/fs/cgroup/memory.max"), 0, f"{80 << 20}\n")
        self.assert_run(self.world.runtime("pause", b.id))
        self.assertEqual([one.status() for one in (a, b, c)], ["running", "paused", "running"])
        self.assert_run(self.world.runtime("resume", b.id))
        # The first goes, and comes again.
        self.assert_run(a.delete(), 1, err="not stopped")
        self.assert_run(a.kill())
        a.wait_for("stopped")
        self.assertEqual(b.status(), "running")
        if harness.IS_KATA:
            # Before anybody knew of the end.
            self.assertIn(f"/{b.id}", cgroups_of(self.sandbox(b)))
            self.assertNotIn(f"/{a.id}", cgroups_of(self.sandbox(b)))
        self.assert_run(a.delete())
        self.assertFalse((self.world.root / a.id).exists())
        self.assertEqual([str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/{a.id}")], [])
        again = self.joining(c)
        again.id = a.id
        again.linux["cgroupsPath"] = f"/{a.id}"
        self.start(self.hook(again))
        self.assert_run(again.exec_sh("echo again; exit 3"), 3, "again\n")
        # A process of b's pid namespace, which ends with b.
        self.assert_run(b.kill("TERM"))
        b.wait_for("stopped")
        c.wait_for("stopped")
        if harness.IS_KATA:
            self.assertEqual((b.record()["exitStatus"], c.record()["exitStatus"]), (7, 137))
            self.assertIn(f"/{a.id}", cgroups_of(self.sandbox(again)))
        self.assert_run(b.delete())
        self.assert_run(again.exec_sh("echo still"), 0, "still\n")
        self.assert_run(again.delete("--force"))
        self.assert_run(c.delete())
        self.assertEqual((self.world.tmp / "poststop").read_text().split(), [a.id, b.id, a.id, c.id])
        self.assert_nothing_left(a, b, c)

    def test_in_the_foreground(self):
        """Each has its own output, status and end."""
        a = self.start(self.first())
        b = self.joining(a, "/bin/sh", "-c", "cat; echo err >&2; exit 6")
        self.assert_run(b.run(input=b"in\n"), 6, "in\n", "^err$")
        self.assertEqual(a.status(), "running")
        c = self.joining(a, "/no/such/program")
        self.assert_run(c.run(), 1, err="no such file or directory")
        self.assertEqual(a.status(), "running")
        self.assert_run(a.delete("--force"))
        self.assert_nothing_left()


@harness.kata_only
class JoinedFaultsTest(JoinedCase):
    def test_the_sandbox_process_is_killed(self):
        a, b = self.first("/bin/sh", "-c", "touch /ready; sleep 1000"), None
        runs = [a.popen_run("--keep", stderr=subprocess.PIPE)]
        harness.wait_for((a.rootfs / "ready").exists, "it runs")
        b = self.joining(a, "/bin/sh", "-c", "touch /ready; sleep 1000")
        runs.append(b.popen_run("--keep", stderr=subprocess.PIPE))
        harness.wait_for((b.rootfs / "ready").exists, "the other runs")
        os.kill(self.sandbox(b), signal.SIGKILL)
        for run in runs:
            _, err = run.communicate(timeout=harness.TIMEOUT)
            self.assertEqual((harness.status_of(run.returncode), b"sandbox" in err), (137, True), err)
        self.assertEqual([a.status(), b.status()], ["stopped", "stopped"])
        for one in (b, a):
            self.assert_run(one.delete())
        self.assert_nothing_left()

    def test_a_sandbox_process_that_hangs(self):
        """It is killed, and all with it: nothing else would free the container."""
        a = self.start(self.first())
        b = self.start(self.joining(a))
        os.kill(self.sandbox(a), signal.SIGSTOP)
        self.assert_run(a.delete("--force"))
        self.assertEqual(b.status(), "stopped")
        self.assert_run(b.delete())
        self.assert_nothing_left()

    def test_a_create_that_is_killed(self):
        """At any moment: the others do not notice, and delete takes back what it has made."""
        a = self.start(self.first())
        script = "while kill -0 $PPID; do sleep 0.05; done"
        b = self.joining(a)
        b.spec["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "touch " + str(self.world.tmp / "hook") + "; " + script]}]}
        b.write()
        creating = self.world.popen("create", "--bundle", b.bundle, b.id, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for((self.world.tmp / "hook").exists, "its hook runs")
        creating.kill()
        creating.wait()
        self.assert_run(b.delete("--force"))
        self.assert_nothing_left_of(b)
        self.assert_run(a.exec_sh("echo still"), 0, "still\n")
        # Its record is lost while it runs.
        b = self.start(self.joining(a))
        (self.world.root / b.id / "state.json").unlink()
        self.assert_run(b.delete("--force"))
        self.assert_nothing_left_of(b)
        self.assert_run(a.exec_sh("echo still"), 0, "still\n")
        self.assert_run(a.delete("--force"))
        self.assert_nothing_left()

    def assert_nothing_left_of(self, container):
        self.assertFalse((self.world.root / container.id).exists())
        self.assertEqual([str(path) for path in pathlib.Path("/sys/fs/cgroup").glob(f"**/{container.id}")], [])
        standins = [line for line in subprocess.check_output(["ps", "-eo", "args"], text=True).splitlines() if line.startswith(("kata-standin", "/")) and "kata-standin" in line]  # fmt: skip
        self.assertEqual([line for line in standins if container.id in line.split()], [])

    def test_a_create_while_the_others_end(self):
        """It succeeds, or it says why not; nothing hangs, and nothing is left."""
        for _ in range(3):
            a = self.start(self.first())
            b = self.joining(a)
            b.write()
            # No pipe: the container would hold it.
            with open(b.bundle / "stderr", "wb") as err:
                creating = self.world.popen("create", "--bundle", b.bundle, b.id, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=err)  # fmt: skip
            self.assert_run(a.delete("--force"))
            if creating.wait(harness.TIMEOUT) == 0:
                self.assertEqual(b.status(), "created")
                self.assert_run(b.start())
                self.assert_run(b.delete("--force"))
            else:
                self.assertIn("level=error msg=", (b.bundle / "stderr").read_text())
                self.assertFalse((self.world.root / b.id).exists())
            self.assert_nothing_left(a, b)

    def test_many_at_once(self):
        """Creates and deletes side by side in one machine."""
        a = self.start(self.first())
        others = [self.joining(a) for _ in range(6)]
        for other in others:
            other.write()
        self.at_once(lambda other: self.assert_run(self.world.runtime("create", "--bundle", other.bundle, other.id, detached=True)), others)
        self.at_once(lambda other: self.assert_run(other.start()), others)
        self.assertEqual({self.sandbox(other) for other in others}, {self.sandbox(a)})
        # The first among them, so that the sandbox moves while others go.
        self.at_once(lambda one: self.assert_run(one.delete("--force")), [*others[:5], a])
        self.assert_run(others[5].exec_sh("echo still"), 0, "still\n")
        self.assert_run(others[5].delete("--force"))
        self.assert_nothing_left()

    def at_once(self, function, containers):
        failures = []

        def call(container):
            try:
                function(container)
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=call, args=[container]) for container in containers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_what_cannot_be_joined(self):
        a = self.start(self.first())
        strangers = self.joining(a, types=("network",))
        strangers.namespace("ipc", "/proc/1/ns/ipc")
        self.assert_run(strangers.create(), 1, err="/proc/1/ns/ipc is not the ipc namespace of a container")
        # Of another root: the sandbox is not found, and the network has its machine already.
        other_root = self.world.tmp / "other-root"
        foreign = self.joining(a, types=("network", "uts"))
        foreign.write()
        refused = subprocess.run([harness.RUNTIME, "--root", other_root, "create", "--bundle", foreign.bundle, foreign.id],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=harness.TIMEOUT)  # fmt: skip
        self.assertIn(b"is not the uts namespace of a container", refused.stderr)
        gone = self.joining(a)
        self.assert_run(a.delete("--force"))
        self.assert_run(gone.create(), 1, err="ns/net")
        self.assert_nothing_left()



class ConmonTest(harness.Case):
    """conmon with the flags, the annotations and the pinned namespaces of CRI-O."""

    def setUp(self):
        super().setUp()
        self.pins = subprocess.Popen(["unshare", "--net", "--ipc", "--uts", "sleep", "1000"])
        self.addCleanup(self.end, self.pins)
        own = os.stat("/proc/self/ns/uts").st_ino
        harness.wait_for(lambda: os.stat(f"/proc/{self.pins.pid}/ns/uts").st_ino != own, "the pod's namespaces are there")
        for name in ("exits", "sockets", "persist"):
            (self.world.tmp / name).mkdir()

    def end(self, process):
        process.kill()
        process.wait()

    def in_pod(self, type, sandbox, *args):
        container = self.container(*args)
        kind = {"io.kubernetes.cri-o.ContainerType": type, "io.kubernetes.cri-o.SandboxID": sandbox or container.id}
        container.spec["annotations"] = kind
        for name in ("network", "ipc", "uts"):
            # A link of CRI-O's to a namespace that is no process's.
            path = self.world.tmp / f"{name}ns"
            if not path.is_symlink():
                path.symlink_to(f"/proc/{self.pins.pid}/ns/{'net' if name == 'network' else name}")
            container.namespace(name, path)
        container.spec["hostname"] = "of-the-pod"
        return container

    def conmon(self, container, *flags):
        """Creates the container, and returns the pid of conmon, which stays."""
        container.write()
        container.log = container.bundle / "log"
        reads, writes = os.pipe()
        argv = ["conmon", "-b", container.bundle, "-c", container.id, "--exit-dir", self.world.tmp / "exits", "-l", container.log,
                "--log-level", "info", "-n", f"name-{container.id}", "-P", container.bundle / "conmon.pid", "-p", container.pid_file,
                "--persist-dir", self.world.tmp / "persist", "-r", harness.RUNTIME, "--runtime-arg", f"--root={self.world.root}",
                "--socket-dir-path", self.world.tmp / "sockets", "-u", container.id, *flags]  # fmt: skip
        if harness.CONFIG and harness.IS_KATA:
            argv += ["--runtime-arg", f"--config={harness.CONFIG}"]
        env = dict(os.environ, _OCI_SYNCPIPE=str(writes))
        done = subprocess.run(list(map(str, argv)), env=env, pass_fds=[writes], cwd=container.bundle, stdin=subprocess.DEVNULL, timeout=harness.TIMEOUT)
        os.close(writes)
        # conmon keeps the other end.
        told = json.loads(os.read(reads, 4096))
        os.close(reads)
        self.assertEqual(done.returncode, 0, told)
        self.assertEqual(told.get("pid", told.get("data")), container.state()["pid"], told)
        self.assert_run(container.start())

    def exit_file(self, container):
        path = self.world.tmp / "exits" / container.id
        harness.wait_for(path.exists, "conmon tells the exit")
        return path.read_text()

    def logged(self, container):
        """(stream, text) of each line, in Kubernetes' form."""
        lines = [line.split(" ", 3) for line in container.log.read_text().splitlines()]
        return [(line[1], line[3]) for line in lines]

    def test_a_pod(self):
        infra = self.in_pod("sandbox", None, "/bin/sleep", "100000")
        self.conmon(infra)
        server = self.in_pod("container", infra.id, "/bin/sh", "-c", "echo up; echo err >&2; httpd -f -p 8080 -h /bin")
        self.conmon(server)
        script = "until wget -q -O /dev/null http://127.0.0.1:8080/sh; do sleep 0.1; done; hostname; readlink /proc/self/ns/ipc; cat; exit 3"
        client = self.in_pod("container", infra.id, "/bin/sh", "-c", script)
        self.conmon(client, "-i", "--leave-stdin-open")
        harness.wait_for(lambda: len(self.logged(client)) >= 2, "it gets the page")
        host, ipc = [text for _, text in self.logged(client)]
        if harness.IS_KATA:
            self.assertEqual(host, "of-the-pod")
            self.assertEqual([sorted(ids) for ids in sandboxes(self.world.tmp, self.world.root).values()], [sorted(one.id for one in (infra, server, client))])
        self.assertEqual(server.exec_sh("readlink /proc/self/ns/ipc").out, f"{ipc}\n")
        self.assertLessEqual({("stdout", "up"), ("stderr", "err")}, set(self.logged(server)))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as attach:
            # The path may be longer than an address of a socket.
            directory = os.open(self.world.tmp / "sockets" / client.id, os.O_PATH)
            attach.connect(f"/proc/self/fd/{directory}/attach")
            os.close(directory)
            attach.send(b"by attach\n")
            harness.wait_for(lambda: ("stdout", "by attach") in self.logged(client), "it is in the log")
            attach.shutdown(socket.SHUT_WR)
        self.assert_run(client.kill("KILL"))
        self.assertEqual(self.exit_file(client), "137")
        self.assert_run(infra.kill("KILL"))
        self.assertEqual(self.exit_file(infra), "137")
        self.assertEqual(server.status(), "running")
        self.assert_run(infra.delete())
        self.assert_run(server.exec_sh("wget -q -O /dev/null http://127.0.0.1:8080/sh && echo serves"), 0, "serves\n")
        self.assert_run(server.kill("KILL"))
        self.assertEqual(self.exit_file(server), "137")
        for container in (client, server):
            self.assert_run(container.delete())

    def test_a_pod_without_a_container_of_its_own(self):
        """As CRI-O makes it if it does not need that one: only the namespaces say that they are of one pod."""
        server = self.in_pod("container", "the-pod", "/bin/sh", "-c", "exec httpd -f -p 8080 -h /bin")
        self.conmon(server)
        script = "until wget -q -O /dev/null http://127.0.0.1:8080/sh; do sleep 0.1; done; readlink /proc/self/ns/ipc"
        client = self.in_pod("container", "the-pod", "/bin/sh", "-c", script)
        self.conmon(client)
        self.assertEqual(self.exit_file(client), "0")
        self.assertEqual(self.logged(client), [("stdout", server.exec_sh("readlink /proc/self/ns/ipc").out.strip())])
        self.assert_run(client.delete())
        self.assert_run(server.delete("--force"))
        self.assertEqual(self.exit_file(server), "137")


if __name__ == "__main__":
    harness.main()
