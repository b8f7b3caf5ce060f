# SPDX-License-Identifier: Apache-2.0
"""What cannot be understood ends at once, with a message that says where it is wrong, and leaves nothing."""
import json

import harness
from harness import Case


class CommandLineTest(Case):
    def test_unknown_verb_and_flags(self):
        self.assert_run(self.world.runtime("frobnicate"), 3, err="frobnicate")
        self.assert_run(self.world.runtime("state", "--no-such-flag", "x"), 1, err="no-such-flag")
        self.assert_run(self.world.runtime("--no-such-flag", "list"), 1, err="no-such-flag")
        self.assert_run(self.world.runtime("state"), 1, err='state.* requires exactly 1 argument')
        self.assert_run(self.world.runtime("run"), 1, err='run.* requires exactly 1 argument')

    def test_unknown_ids(self):
        for verb in ("state", "start", "kill", "delete", "pause", "resume", "ps", "update"):
            self.assert_run(self.world.runtime(verb, "kata-nobody"), 1, "", "container does not exist")
            self.assert_run(self.world.runtime(verb, "--", "kata-nobody"), 1, "", "container does not exist")
        self.assert_run(self.world.runtime("exec", "kata-nobody", "true"), 255, "", "container does not exist")

    def test_ids_that_are_none(self):
        c = self.container("/bin/true")
        c.write()
        for name in ("a/b", "../x", "..", ".", "/", "a b", "x\ny", "-x/y", "ä", "", "x" * 1025):
            for verb in (["run", "--bundle", c.bundle], ["state"], ["delete", "--force"], ["delete"]):
                result = self.world.runtime(*verb, name)
                if verb[-1] == "--force" and not harness.IS_KATA:
                    continue
                self.assertEqual(result.status, 1, result)
                self.assertRegex(result.err, "invalid container ID|cannot be empty|does not exist|file name too long|flag provided but not defined")
        self.assert_nothing_left()

    def test_a_taken_id(self):
        c = self.started()
        self.assert_run(c.create(), 1, err="container with given ID already exists")
        self.assert_run(c.run(), 1, err="container with given ID already exists")
        self.assertEqual(c.status(), "running")
        self.assert_run(c.exec("/bin/true"))

    def test_the_error_is_in_the_log_too(self):
        for form in ("json", "text"):
            log = self.world.tmp / f"log-{form}"
            result = self.world.runtime("--log", log, "--log-format", form, "state", "kata-nobody")
            self.assert_run(result, 1, err="container does not exist")
            last = log.read_text().splitlines()[-1]
            self.assertIn("container does not exist", last)
            if form == "json":
                entry = json.loads(last)
                self.assertEqual((entry["level"], entry["msg"]), ("error", "container does not exist"))
                self.assertIn("time", entry)
            else:
                self.assertRegex(last, '^time="[^"]+" level=error msg="container does not exist"$')


class BundleTest(Case):
    def refused(self, c, message):
        for verb in ("create", "run"):
            result = self.world.runtime(verb, "--bundle", c.bundle, c.id, detached=verb == "create")
            self.assertEqual(result.status, 1, result)
            self.assertRegex(result.err, message)
        self.assertEqual(c.status(), "gone")
        self.assert_nothing_left()

    def test_missing_parts(self):
        c = self.container("/bin/true")
        self.refused(c, "config.json")  # not written yet
        c.bundle = self.world.tmp / "nowhere"
        self.refused(c, "(?i)nowhere.*no such file or directory")

    def test_a_rootfs_that_does_not_exist(self):
        c = self.container("/bin/true", image=None)
        c.rootfs.rmdir()
        c.write()
        self.refused(c, "(?i)rootfs.*(no such file or directory|does not exist)")
        c.rootfs.write_text("a file")
        self.refused(c, "rootfs" if harness.IS_KATA else "not a directory")

    def test_config_that_is_no_json(self):
        c = self.container("/bin/true")
        for text in ("", "{", "[]", "null", "\0", '{"process": {"args": ["x",]}}', "\xff", '{"a":' * 100000):
            (c.bundle / "config.json").write_text(text, encoding="latin-1")
            result = self.world.runtime("run", "--bundle", c.bundle, c.id)
            self.assertEqual(result.status, 1 if harness.IS_KATA else result.status or 1, f"{text[:40]} {result}")
            self.assertNotEqual(result.err, "")
        self.assert_nothing_left()

    @harness.kata_only
    def test_the_path_of_what_is_wrong(self):
        cases = {
            "process.args": lambda spec: spec["process"].update(args="sleep"),
            r"process.args\[1\]": lambda spec: spec["process"].update(args=["sleep", 5]),
            "process.user.uid": lambda spec: spec["process"]["user"].update(uid="root"),
            "process.cwd": lambda spec: spec["process"].update(cwd="relative"),
            r"process.rlimits\[0\]": lambda spec: spec["process"]["rlimits"][0].update(type="RLIMIT_OF_TOMORROW"),
            r"mounts\[2\]": lambda spec: spec["mounts"][2].pop("destination"),
            r"linux.namespaces\[1\]": lambda spec: spec["linux"]["namespaces"][1].update(type="cosmos"),
            "linux.namespaces": lambda spec: spec["linux"]["namespaces"].append({"type": "pid"}),
            "linux.resources.memory.limit": lambda spec: spec["linux"]["resources"].update(memory={"limit": "1G"}),
            "linux.resources.cpu.period": lambda spec: spec["linux"]["resources"].update(cpu={"period": -1}),
            r"linux.seccomp.syscalls\[0\]": lambda spec: spec["linux"].update(
                seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_MAGIC"}]}
            ),
            r"hooks.prestart\[0\].path": lambda spec: spec.update(hooks={"prestart": [{"path": "relative"}]}),
            "ociVersion": lambda spec: spec.update(ociVersion="2.0.0"),
            "root": lambda spec: spec.pop("root"),
            r"linux.devices\[0\]": lambda spec: spec["linux"].update(devices=[{"path": "/dev/x", "type": "q", "major": 1, "minor": 1}]),
            "annotations": lambda spec: spec.update(annotations={"key": 5}),
        }
        for path, spoil in cases.items():
            with self.subTest(path):
                c = self.container("/bin/true", image=None)
                spoil(c.spec)
                self.assert_run(c.run(), 1, "", path)
        self.assert_nothing_left()

    def test_no_process_and_no_arguments(self):
        for args in ([], None):
            c = self.container("/bin/true")
            if args is None:
                c.spec.pop("process")
            else:
                c.process["args"] = args
            self.assert_run(c.run(), 1, "", "process|args")
        self.assert_nothing_left()

    def test_a_working_directory_that_is_a_file(self):
        c = self.container("/bin/true")
        c.process["cwd"] = "/etc/passwd"
        self.assert_run(c.run(), 1, "", "(?i)/etc/passwd.*not a directory")
        self.assert_nothing_left()

    def test_an_option_of_a_mount_that_the_kernel_does_not_know(self):
        c = self.container("/bin/true")
        c.mount("tmpfs", "/x", "no_such_option=1", type="tmpfs")
        self.assert_run(c.run(), 1, "", "/x")
        c.spec["mounts"][-1].update(type="no_such_type", options=[])
        self.assert_run(c.run(), 1, "", "(?i)no_such_type|no such device")
        self.assert_nothing_left()

    def test_a_pid_file_or_console_socket_that_cannot_be(self):
        c = self.container("/bin/true")
        self.assert_run(c.create("--pid-file", "/no/such/directory/pid"), 1, err="/no/such/directory/")
        c.process["terminal"] = True
        result = c.create("--console-socket", self.world.tmp / "missing.sock")
        self.assert_run(result, 1, err="(?i)missing.sock.*no such file or directory")
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
