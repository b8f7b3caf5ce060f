# SPDX-License-Identifier: Apache-2.0
"""An engine with this runtime in the place of its own: Podman, with conmon."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import harness
import leaks
from disks import Disks
from podman import IMAGE, LIMITS, PodmanCase
from terminal import Terminal

leaks.counts_podmans = True


class PodmanTest(Disks, PodmanCase):
    def test_run(self):
        result = self.podman(*self.run_flags("--rm", "--env", "A=b"), IMAGE, "sh", "-c", "echo $WHO $A; echo err >&2; exit 6")
        self.assert_run(result, 6, "image b\n", "^err$")

    def test_statuses_of_what_cannot_start(self):
        self.assert_run(self.podman(*self.run_flags("--rm"), IMAGE, "no-such-program"), 127, err="not found")
        self.assert_run(self.podman(*self.run_flags("--rm"), IMAGE, "/etc/passwd"), 126, err="permission denied")

    @harness.kata_only
    def test_a_virtual_machine_that_does_not_move(self):
        """Nothing of it is left when Podman has forgotten the container."""
        container = self.assert_run(self.podman(*self.run_flags("--detach"), IMAGE, "sleep", "1000")).out.strip()
        state = json.loads(pathlib.Path("/run/kata", container, "state.json").read_text())
        helpers = [helper["pid"] for helper in state["helpers"]]
        for pid in helpers:
            os.kill(pid, signal.SIGSTOP)
        self.assert_run(self.podman("rm", "--force", "--time", "0", container))
        harness.wait_for(lambda: not any(harness.alive(pid) for pid in helpers), "the machine has ended")
        harness.wait_for(lambda: not pathlib.Path("/run/kata", container).exists(), "its record has gone")

    def test_devices(self):
        """A block device that is asked for, and all devices of the host, of which no disk may be a guest's."""
        loop = str(self.loop(self.raw_image("of the host")))
        flags = self.run_flags("--rm", "--device", f"{loop}:/dev/mine:r")
        self.assert_run(self.podman(*flags, IMAGE, "head", "-c", "11", "/dev/mine"), 0, "of the host")
        script = "test -c /dev/fuse && echo fuse; test -b /dev/mine && echo mine; ls /sys/block"
        result = self.assert_run(self.podman(*self.run_flags("--rm", "--privileged"), IMAGE, "sh", "-c", script))
        if harness.IS_KATA:
            self.assertEqual(result.out.split()[:1], ["fuse"])
            self.assertNotIn("vda", result.out)

    def test_a_container_from_start_to_end(self):
        volume = self.world.tmp / "volume"
        volume.mkdir()
        self.assert_run(self.podman(*self.run_flags("--detach", "--name", "kata-one", "--volume", f"{volume}:/data"), IMAGE,
                                    "sh", "-c", "echo started; trap 'echo stopping; exit 9' TERM; while :; do sleep 0.1; done"))  # fmt: skip
        self.assert_run(self.podman("exec", "kata-one", "sh", "-c", "echo from inside >/data/file; exit 4"), 4)
        self.assertEqual((volume / "file").read_text(), "from inside\n")
        self.assert_run(self.podman("exec", "kata-one", "no-such-program"), 127)
        self.assert_run(self.podman("exec", "kata-one", "/etc/passwd"), 126)
        self.assert_run(self.podman("exec", "--user", "1000", "--workdir", "/tmp", "kata-one", "sh", "-c", "id -u; pwd"), 0, "1000\n/tmp\n")
        self.assertIn("running", self.podman("inspect", "--format", "{{.State.Status}}", "kata-one").out)
        # With options of ps Podman 4 runs ps in the container, and newer ones the host's ps in the stand-in's pid
        # namespace, which is the host's; with descriptors it would read the host's /proc.
        if int(self.podman("version", "--format", "{{.Client.Version}}").out.split(".")[0]) < 5:
            top = self.assert_run(self.podman("top", "kata-one", "-o", "pid,args"))
            self.assertRegex(top.out, r"(?m)^ *1 sh -c echo started; .*while")
        self.assert_run(self.podman("stop", "--time", "60", "kata-one"))
        self.assert_run(self.podman("wait", "kata-one"), 0, "9\n")
        self.assert_run(self.podman("logs", "kata-one"), 0, "started\nstopping\n")
        self.assert_run(self.podman("start", "kata-one"))
        self.assert_run(self.podman("kill", "kata-one"))
        self.assert_run(self.podman("wait", "kata-one"), 0, "137\n")
        self.assert_run(self.podman("rm", "kata-one"))

    def test_copies_go_to_the_container(self):
        # Podman copies through the mount namespace of the container's process on the host: the host's own must not be it.
        inside, volume, outside = (self.world.tmp / name for name in ("inside", "volume", "outside"))
        volume.mkdir()
        outside.mkdir()
        inside.write_text("from the host\n")
        self.assert_run(self.podman(*self.run_flags("--detach", "--name", "kata-copy", "--volume", f"{volume}:/data"), IMAGE,
                                    "sh", "-c", "mkdir /made; echo made >/made/file; echo up; sleep 1000"))  # fmt: skip
        self.await_logs("kata-copy", "up\n")
        self.assert_run(self.podman("cp", inside, "kata-copy:/made/copy"))
        self.assert_run(self.podman("cp", inside, "kata-copy:/data/copy"))
        self.assert_run(self.podman("exec", "kata-copy", "cat", "/made/copy", "/data/copy"), 0, "from the host\n" * 2)
        self.assertEqual((volume / "copy").read_text(), "from the host\n")
        self.assert_run(self.podman("cp", "kata-copy:/made/file", outside / "file"))
        self.assertEqual((outside / "file").read_text(), "made\n")
        # A directory of the host's and not of the container's is not there, to write to or to read from.
        self.assertNotEqual(self.podman("cp", inside, f"kata-copy:{outside}/escaped").status, 0)
        self.assertFalse((outside / "escaped").exists())
        self.assertNotEqual(self.podman("cp", f"kata-copy:{inside}", outside / "leaked").status, 0)
        self.assertFalse((outside / "leaked").exists())
        # Where Podman itself looks at processes, it does not take the host's for the container's.
        self.assertNotIn("podman", self.podman("top", "kata-copy", "args").out)

    def await_logs(self, name, text):
        follow = subprocess.Popen(self.argv("logs", "--follow", name), stdout=subprocess.PIPE)
        self.assertEqual(follow.stdout.read(len(text)).decode(), text)
        follow.kill()
        follow.wait()
        follow.stdout.close()

    def test_pause(self):
        self.assert_run(self.podman(*self.run_flags("--detach", "--name", "kata-two"), IMAGE, "sleep", "1000"))
        self.assert_run(self.podman("pause", "kata-two"))
        self.assert_run(self.podman("unpause", "kata-two"))
        self.assert_run(self.podman("exec", "kata-two", "true"))
        self.assert_run(self.podman("rm", "--force", "--time", "0", "kata-two"))

    def test_limits_and_users(self):
        result = self.podman(*self.run_flags("--rm", "--memory", "128m", "--pids-limit", "50", "--user", "1000:1000",
                                             "--cap-drop", "all", "--read-only", "--tmpfs", "/tmp", "--hostname", "box"), IMAGE,
                             "sh", "-c", "id -u; hostname; grep CapEff /proc/self/status; touch /x; touch /tmp/x && echo ok")  # fmt: skip
        self.assert_run(result, 0, "1000\nbox\nCapEff:\t0000000000000000\nok\n", "Read-only file system")

    @harness.kata_only  # the reference is too old for idmapped mounts
    def test_a_user_namespace_and_a_mapped_volume(self):
        volume = self.world.tmp / "volume"
        volume.mkdir()
        (volume / "secret").write_text("secret\n")
        (volume / "secret").chmod(0o600)
        maps = ["--uidmap", "0:300000:65536", "--gidmap", "0:400000:65536"]
        script = "cat /v/secret; touch /v/made; chown 7:8 /v/made; stat -c %u:%g /v /v/made /bin/busybox; tr -s ' ' </proc/self/uid_map; httpd -p 80 && echo serves"
        result = self.podman(*self.run_flags(*maps, "-v", f"{volume}:/v:idmap"), IMAGE, "sh", "-c", script)
        self.assert_run(result, 0, "secret\n0:0\n7:8\n0:0\n 0 300000 65536\nserves\n")
        made = (volume / "made").stat()
        self.assertEqual((made.st_uid, made.st_gid), (7, 8))

    def test_out_of_memory(self):
        result = self.podman(*self.run_flags("--rm", "--memory", "48m"), IMAGE, "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
        self.assert_run(result, 137)

    def test_on_a_terminal(self):
        terminal = Terminal(30, 95)
        self.addCleanup(terminal.close)
        argv = self.argv(*self.run_flags("--rm", "--interactive", "--tty"), IMAGE, "sh")
        child = subprocess.Popen(argv, env=dict(os.environ, TERM="xterm"), cwd=self.store.tmp, **terminal.options())
        terminal.expect(b"# ")
        terminal.type(b"until [ \"$(stty size)\" = '30 95' ]; do sleep 0.1; done; echo si''ze ok\n")
        terminal.expect(b"size ok\r\n")
        terminal.type(b"exit 7\n")
        self.assertEqual(child.wait(harness.TIMEOUT), 7)

    @harness.kata_only
    def test_a_network(self):
        """A bridge of Podman's own, by way of its CNI plugins."""
        networks = ["--network-config-dir", str(self.store.tmp / "networks")]
        name, subnet = f"kata{os.getpid()}", "10.199.77.0/24"
        self.assert_run(self.podman(*networks, "network", "create", "--subnet", subnet, name))
        # The plugin host-local keeps its directory.
        self.addCleanup(shutil.rmtree, f"/var/lib/cni/networks/{name}", ignore_errors=True)
        self.addCleanup(self.podman, *networks, "network", "rm", "--force", name)
        run = [*networks, "run", "--rm", "--network", name, "--cap-add", "NET_RAW", "--ip", "10.199.77.9", *LIMITS]
        result = self.podman(*run, IMAGE, "sh", "-c", "ip addr show eth0; ip route; ping -c 2 10.199.77.1")
        self.assert_run(result)
        for part in ("inet 10.199.77.9/24", "default via 10.199.77.1 dev eth0", " 0% packet loss"):
            self.assertIn(part, result.out)

    def test_standard_input(self):
        argv = self.argv(*self.run_flags("--rm", "--interactive"), IMAGE, "wc", "-c")
        done = subprocess.run(argv, input=bytes(1000000), capture_output=True, cwd=self.store.tmp, timeout=harness.TIMEOUT)
        self.assertEqual((done.returncode, done.stdout), (0, b"1000000\n"), done.stderr)


if __name__ == "__main__":
    harness.main()
