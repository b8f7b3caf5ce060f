# SPDX-License-Identifier: Apache-2.0
"""What the verbs print: shapes that engines and people know from runc."""
import json
import pwd
import signal
import subprocess

import harness
import leaks
from harness import Case, SharedCase

VERBS = ("create", "delete", "exec", "kill", "list", "pause", "ps", "resume", "run", "spec", "start", "state", "update", "features")
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$"


class TextTest(Case):
    def test_help(self):
        for arguments in (("--help",), ("-h",), ("help",)):
            result = self.assert_run(self.world.runtime(*arguments))
            for verb in VERBS:
                self.assertRegex(result.out, rf"(?m)^ +{verb}\b", arguments)
        for verb in VERBS:
            result = self.assert_run(self.world.runtime(verb, "--help"))
            self.assertIn(verb, result.out)

    def test_version(self):
        for flag in ("--version", "-v"):
            result = self.assert_run(self.world.runtime(flag))
            self.assertRegex(result.out, r"^(kata-runtime|runc) version \d+\.\d+\.\d+")
            self.assertRegex(result.out, r"(?m)^spec: 1\.\d+\.\d+")

    def test_features(self):
        features = json.loads(self.assert_run(self.world.runtime("features")).out)
        self.assertEqual(set(features["hooks"]), {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"})
        for option in ("bind", "rbind", "ro", "nosuid", "noexec", "rslave", "private"):
            self.assertIn(option, features["mountOptions"])
        linux = features["linux"]
        self.assertLessEqual({"cgroup", "ipc", "mount", "network", "pid", "user", "uts"}, set(linux["namespaces"]))
        self.assertLessEqual({"CAP_CHOWN", "CAP_SYS_ADMIN"}, set(linux["capabilities"]))
        self.assertTrue(linux["seccomp"]["enabled"])
        self.assertIn("SCMP_ACT_ERRNO", linux["seccomp"]["actions"])
        self.assertRegex(features["ociVersionMin"], r"^1\.0")

    @harness.kata_only
    def test_every_mount_option_of_the_features_works(self):
        features = json.loads(self.assert_run(self.world.runtime("features")).out)
        self.assertLessEqual({"rro", "rnosuid", "rnodev", "nosymfollow", "tmpcopyup"}, set(features["mountOptions"]))
        c = self.sh("grep -c ' /m/' /proc/self/mountinfo")
        source = self.world.tmp / "source"
        source.mkdir()
        for option in features["mountOptions"]:
            if option in ("bind", "rbind"):
                c.mount(source, f"/m/{option}", option)
            elif option in ("idmap", "ridmap"):
                c.mount(source, f"/m/{option}", "bind", option)
                mapping = [{"containerID": 0, "hostID": 1, "size": 1}]
                c.spec["mounts"][-1].update(uidMappings=mapping, gidMappings=mapping)
            else:
                c.mount("tmpfs", f"/m/{option}", option, type="tmpfs")
        self.assert_run(c.run(), 0, f"{len(features['mountOptions'])}\n")

    def test_spec(self):
        directory = self.world.tmp / "bundle"
        directory.mkdir()
        self.assert_run(self.world.runtime("spec", "--bundle", directory))
        spec = json.loads((directory / "config.json").read_text())
        self.assertEqual((spec["process"]["args"], spec["process"]["terminal"], spec["root"]["path"]), (["sh"], True, "rootfs"))
        self.assert_run(self.world.runtime("spec", "--bundle", directory), 1, err="File config.json exists. Remove it first")
        (directory / "config.json").unlink()
        self.assert_run(self.world.runtime("spec", "--rootless", cwd=directory))
        spec = json.loads((directory / "config.json").read_text())
        self.assertIn("user", [namespace["type"] for namespace in spec["linux"]["namespaces"]])

    @harness.kata_only
    def test_spec_is_the_references(self):
        """Field for field, but for the hostname, the versions, and that the guest's cgroups are of version 2."""
        theirs, ours = self.world.tmp / "theirs", self.world.tmp / "ours"
        for directory, argv in ((theirs, ["runc", "spec"]), (ours, self.world.argv("spec"))):
            directory.mkdir()
            subprocess.run(argv, cwd=directory, check=True)
        specs = [json.loads((directory / "config.json").read_text()) for directory in (theirs, ours)]
        for spec in specs:
            spec.pop("ociVersion")
            spec.pop("hostname")
            spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != "cgroup"]
        self.assertEqual(specs[1], specs[0])

    @harness.kata_only
    def test_check(self):
        result = self.assert_run(self.world.runtime("check"))
        for word in ("tcg|kvm", "vsock|virtio-serial", "file server", "kernel", "initrd", "(?m)^ok +podman: podman version"):
            self.assertRegex(result.out, word)
        for propagation, mark in (("private", "note  mounts below /: are not shared"), ("shared", "ok    mounts below /: are shared")):
            self.world.prefix = ["unshare", "--mount", "--propagation", propagation]
            self.assertRegex(self.world.runtime("check").out, f"(?m)^{mark}")
        self.world.prefix = []
        self.world.configure('[hypervisor.qemu]\nkernel = "/no/such/kernel"\n')
        result = self.world.runtime("check")
        self.assertNotEqual(result.status, 0, result)
        self.assertRegex(result.out + result.err, "/no/such/kernel")
        self.world.configure('[hypervisor.qemu]\nkernel = "/no/such/kernel"\nkernel_flavour = "full"\n')
        result = self.world.runtime("check")
        self.assertRegex(result.out, "(?m)^FAIL  guest kernel: .* /no/such/kernel-full: .*\n.*`make kernel-full install`")

    def test_an_empty_list(self):
        self.assert_run(self.world.runtime("list", "--quiet"), 0, "")
        self.assertRegex(self.assert_run(self.world.runtime("list")).out, r"^ID +PID +STATUS +BUNDLE +CREATED +OWNER\n$")
        self.assertIn(json.loads(self.world.runtime("list", "--format", "json").out), (None, []))


@harness.kata_only
class WithoutRootTest(Case):
    def test_one_line_says_that_root_is_needed(self):
        self.world.prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        self.world.tmp.chmod(0o755)
        c = self.container("/bin/true")
        c.write()
        needed = "uid 65534 cannot start a virtual machine, which needs root, if only that of a user namespace: use Podman, or call this by"
        for verb in (("create", "--bundle", c.bundle, c.id), ("run", "--bundle", c.bundle, c.id), ("benchmark",)):
            for flags in ((), ("--systemd-cgroup",)):
                result = self.world.runtime(*flags, *verb)
                self.assertEqual((result.status, result.out), (1, ""), result)
                self.assertRegex(result.err, rf'^time="[^"]+" level=error msg="kata-runtime {verb[0]}[^"]*: {needed}[^"]*"\n$')
        self.assertRegex(self.world.runtime("check").out, r"(?m)^FAIL +user: uid 65534$")
        self.assert_nothing_left()


@harness.kata_only
class BenchmarkTest(Case):
    def setUp(self):
        super().setUp()
        self.world.environment["TMPDIR"] = str(self.world.tmp)

    def test_figures(self):
        """On the host's own programs, beside another runtime."""
        result = self.world.runtime("benchmark", "--rounds", "1", "--beside", "runc", "--format", "json")
        figures = json.loads(self.assert_run(result).out)
        for what in ("run true", "run echo, to its first output", "exec true", "state", "delete"):
            for runtime in ("kata-runtime", "runc"):
                self.assertGreater(figures["milliseconds"][what][runtime], 0)
        phases = figures["phases"]
        self.assertGreater(phases["kernel"], 0)
        self.assertAlmostEqual(phases["all but vmm and kernel"], phases["all"] - phases["vmm"] - phases["kernel"])
        self.assertTrue(any("qemu" in row["process"] and row["pss"] > 10000 for row in figures["memory_kib"]), figures)
        self.assertEqual([path.name for path in self.world.tmp.glob("kata-benchmark-*")], [])

    def test_a_runtime_that_is_not_there(self):
        for name, words in (("runcc", "not found in PATH"), ("/bin/false", "exited with status 1")):
            result = self.world.runtime("benchmark", "--beside", name)
            self.assertEqual((result.status, result.out), (1, ""), result)
            self.assertRegex(result.err, f"--beside {name}: .*{words}")

    def test_a_full_disk(self):
        """The error names the file, and is not a line of a log in a line of a log."""
        full = self.world.tmp / "full"
        full.mkdir()
        self.world.environment["TMPDIR"] = str(full)
        for size, words in (("4k", "config.json: cannot write: "), ("16k", "state.json: .*")):
            mount = f'mount -t tmpfs -o size={size} tmpfs {full}; "$@"; status=$?; ls -A {full}; exit $status'
            self.world.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh"]
            result = self.world.runtime("benchmark", "--rounds", "1")
            self.assertEqual((result.status, result.out), (1, ""), result)
            self.assertRegex(result.err, rf'^time="[^"]+" level=error msg="[^"]*{words}No space left on device"\n$')

    def test_a_benchmark_that_is_interrupted(self):
        child = self.world.popen("benchmark", "--rounds", "1000", stderr=subprocess.PIPE)
        harness.wait_for(lambda: any("qemu" in command for command in leaks.descendants().values()), "a VM runs")
        child.send_signal(signal.SIGTERM)
        self.assertRegex(child.communicate(timeout=harness.TIMEOUT)[1].decode(), "interrupted")
        self.assertEqual([path.name for path in self.world.tmp.glob("kata-benchmark-*")], [])


class LogTest(Case):
    def test_debug(self):
        """--debug: each step is in the log, in its format, and no line of it anywhere else."""
        for log_format in ("text", "json"):
            log = self.world.tmp / f"log-{log_format}"
            c = self.container("/bin/sh", "-c", "echo out; exit 4")
            c.write()
            flags = ("--debug", "--log", log, "--log-format", log_format)
            result = self.assert_run(self.world.runtime(*flags, "run", "--bundle", c.bundle, c.id), 4, "out\n")
            self.assertEqual(result.err, "")
            lines = log.read_text().splitlines()
            if log_format == "json":
                entries = [json.loads(line) for line in lines]
                self.assertLessEqual({"level", "msg", "time"}, set(entries[0]))
                levels, text = [entry["level"] for entry in entries], "\n".join(entry["msg"] for entry in entries)
            else:
                for line in lines:
                    self.assertRegex(line, r'^time="\d{4}-\d\d-\d\dT.*" level=\w+ msg=".*"')
                levels, text = [line.split(" level=")[1].split()[0] for line in lines], "\n".join(lines)
            self.assertIn("debug", levels)
            self.assertLessEqual(set(levels), {"debug", "warning"}, "warnings are of the host")
            if harness.IS_KATA:
                for step in ("run begins", "the bundle is", "cgroups on the host", "sandbox process [0-9]+ is ready",
                             "stands for the container", "asking the sandbox process: Create", "answer to Create after",
                             "answer to Start after", "ending the sandbox process", "removing its cgroups",
                             "ends with status 4"):  # fmt: skip
                    self.assertRegex(text, step)

    def test_without_debug(self):
        log = self.world.tmp / "log"
        self.assert_run(self.world.runtime("--log", log, "list"))
        self.assertEqual(log.read_text() if log.exists() else "", "")


class StateTest(SharedCase):
    @classmethod
    def prepare(cls, c):
        c.spec["annotations"] = {"org.example.key": "value"}

    def test_state(self):
        state = self.shared.state()
        keys = {"ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"}
        self.assertEqual(set(state), keys)
        self.assertEqual(state["annotations"], {"org.example.key": "value"})
        self.assertRegex(state["created"], TIME)

    def test_list(self):
        listed = json.loads(self.shared_world.runtime("list", "-f", "json").out)
        self.assertEqual(len(listed), 1)
        self.assertEqual({**listed[0], "owner": ""}, self.shared.state())
        self.assertEqual(listed[0]["owner"], "root")
        table = self.shared_world.runtime("list").out.splitlines()
        self.assertEqual(table[1].split(), [self.shared.id, str(listed[0]["pid"]), "running", str(self.shared.bundle),
                                            listed[0]["created"], "root"])  # fmt: skip
        self.assert_run(self.shared_world.runtime("list", "-q"), 0, self.shared.id + "\n")
        self.assert_run(self.shared_world.runtime("list", "--format", "xml"), 1, err="invalid format option")

    def test_ps(self):
        pids = json.loads(self.shared_world.runtime("ps", "--format", "json", self.shared.id).out)
        self.assertEqual(len(pids), 1)
        table = self.assert_run(self.shared_world.runtime("ps", self.shared.id)).out.splitlines()
        self.assertRegex(table[0], r"PID")
        self.assertEqual(len(table), 2)
        if harness.IS_KATA:  # what runs is in the guest
            self.assertRegex(table[1], r"/bin/sleep 100000$")

    @harness.kata_only
    def test_ps_shows_names_and_the_columns_that_are_asked_for(self):
        """Names of the container's users, then of the host's, as ps(1) does on the host; its options choose columns."""
        (self.shared.rootfs / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:7777:7777::/:/bin/sh\n")
        host = next(user for user in pwd.getpwall() if user.pw_uid not in (0, 7777))
        children = []
        for uid in (7777, host.pw_uid, 4242424):
            child = self.shared_world.popen("exec", "--user", str(uid), self.shared.id, "/bin/sh", "-c", "echo; exec sleep 8888",
                                            stdout=subprocess.PIPE)  # fmt: skip
            self.assertEqual(child.stdout.readline(), b"\n")
            children.append(child)
        ps = lambda *words: self.assert_run(self.shared_world.runtime("ps", self.shared.id, *words)).out.splitlines()
        sleeping = lambda: sum(line.endswith(" sleep 8888") for line in ps("-ef")) == len(children)
        harness.wait_for(sleeping, "each shell has become its command")
        users = {line.split()[0] for line in ps("-ef")[1:]}
        self.assertEqual(users, {"root", "web", host.pw_name, "4242424"})
        self.assertEqual(ps(), ps("-ef"))
        table = ps("-eo", "pid,user,uid,stat,args")
        self.assertEqual(table[0].split(), ["PID", "USER", "UID", "STAT", "COMMAND"])
        web = next(line.split() for line in table if " web " in line)
        self.assertEqual((web[1:3], web[3][0]), (["web", "7777"], "S"))
        self.assertRegex(ps("aux")[0], r"^USER +PID +%CPU +%MEM +VSZ +RSS +TTY +STAT +START +TIME COMMAND$")
        self.assertRegex(ps("-el")[0], r"^F S +UID +PID +PPID +C +PRI +NI ADDR +SZ WCHAN +TTY +TIME CMD$")
        self.assertEqual(ps("-o", "comm=", "-p", web[0]), ["sleep"])
        rss = [int(line) for line in ps("-o", "rss=", "--sort", "-rss")]
        self.assertTrue(rss[-1] > 0 and rss == sorted(rss, reverse=True), rss)
        for words, message in ((("-o", "frob"), "unknown user-defined format specifier.*frob"), (("-T",), "-T")):
            self.assert_run(self.shared_world.runtime("ps", self.shared.id, *words), 1, err=message)
        for child in children:
            child.terminate()
            self.assertEqual(child.wait(harness.TIMEOUT), 143, "the signal was passed on")
            child.stdout.close()

    @harness.kata_only
    def test_ps_leaves_nobody_out_for_long_commands(self):
        words = " ".join(["7777"] * 1000)
        script = f"trap 'kill $(jobs -p); exit 0' TERM; for i in $(seq 300); do sleep {words} & done; echo; wait"
        child = self.shared_world.popen("exec", self.shared.id, "/bin/sh", "-c", script, stdout=subprocess.PIPE)
        ps = lambda: self.shared_world.runtime("ps", self.shared.id).out.splitlines()
        try:
            self.assertEqual(child.stdout.readline(), b"\n")
            harness.wait_for(lambda: sum("sleep 7777 7777" in line and "do sleep" not in line for line in ps()) == 300, "all are listed")
        finally:
            child.terminate()
            child.communicate(timeout=harness.TIMEOUT)
        harness.wait_for(lambda: len(ps()) == 2, "they have ended")

    def test_pause_and_resume(self):
        self.assert_run(self.shared_world.runtime("resume", self.shared.id), 1, err="container not paused")
        child = self.shared_world.popen("exec", self.shared.id, "/bin/sh", "-c", "while :; do echo x; sleep 0.05; done",
                                        stdout=subprocess.PIPE)  # fmt: skip
        self.assertEqual(child.stdout.readline(), b"x\n")
        self.assert_run(self.shared_world.runtime("pause", self.shared.id))
        self.assertEqual(self.shared.status(), "paused")
        self.assert_run(self.shared.exec("/bin/true"), 255, err="paused")
        self.assert_run(self.shared_world.runtime("pause", self.shared.id), 1, err="container not running")
        self.assert_run(self.shared_world.runtime("resume", self.shared.id))
        self.assertEqual(self.shared.status(), "running")
        self.assertEqual([child.stdout.readline() for _ in range(100)][-1], b"x\n")
        child.stdout.close()
        child.wait(harness.TIMEOUT)

    def test_other_roots_are_other_worlds(self):
        self.assert_run(self.world.runtime("state", self.shared.id), 1, err="container does not exist")


class PausedTest(Case):
    def test_a_paused_container_can_be_deleted(self):
        c = self.started()
        self.assert_run(self.world.runtime("pause", c.id))
        self.assert_run(c.delete(), 1, err="paused")
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left()


class LongRootTest(Case):
    def test_a_root_whose_path_is_longer_than_a_sockets(self):
        self.world.root = self.world.tmp / ("x" * 100) / ("y" * 100)
        c = self.started()
        self.assert_run(c.exec("/bin/echo", "hello"), 0, "hello\n")
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
