# SPDX-License-Identifier: Apache-2.0
"""The six kinds of hooks: when each runs, what it is told, and what happens when one fails."""
import json
import pathlib
import re

import harness
from harness import Case

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


# runc 1.1 runs poststart already in create, and its start does not wait for startContainer: not what the runtime-spec says.
as_specified = harness.kata_only


class HooksTest(Case):
    def hook(self, name, script, **more):
        """A program on the host; of startContainer it is looked for in the container."""
        path = self.world.tmp / f"hook-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return {"path": str(path), **more}

    def recorded(self, c):
        """All six kinds; each writes what it is told into directory/KIND, and its name into directory/order."""
        directory = self.world.tmp / "record"
        directory.mkdir()
        hooks = {}
        for kind in KINDS:
            where = "/record" if kind == "startContainer" else directory
            hooks[kind] = [self.hook(kind, f"cat >{where}/{kind}; echo {kind} >>{where}/order")]
        inside = c.rootfs / "bin/hook"
        inside.write_bytes((self.world.tmp / "hook-startContainer").read_bytes())
        inside.chmod(0o755)
        hooks["startContainer"][0]["path"] = "/bin/hook"
        c.mount(directory, "/record", "bind")
        c.spec["hooks"] = hooks
        c.spec["annotations"] = {"org.example.key": "value"}
        return directory

    @as_specified
    def test_order_and_state(self):
        c = self.sh("echo process >>/record/order; sleep 1000")
        directory = self.recorded(c)
        self.assert_run(c.create())
        self.assertEqual((directory / "order").read_text().split(), ["prestart", "createRuntime", "createContainer"])
        pid = c.state()["pid"]
        self.assert_run(c.start())
        harness.wait_for(lambda: "process" in (directory / "order").read_text(), "the process runs")
        order = (directory / "order").read_text().split()
        self.assertEqual(order[3], "startContainer")
        self.assertEqual(sorted(order[4:]), ["poststart", "process"])
        self.assert_run(c.kill("KILL"))
        c.wait_for("stopped")
        self.assertNotIn("poststop", (directory / "order").read_text())
        self.assert_run(c.delete())
        self.assertEqual((directory / "order").read_text().split()[6:], ["poststop"])

        statuses = {"poststart": {"running"}, "poststop": {"stopped"}, "startContainer": {"created"}}
        for kind in KINDS:
            state = json.loads((directory / kind).read_text())
            self.assertEqual(state["id"], c.id, kind)
            if kind != "startContainer":  # that one runs in the guest, where the bundle is another
                self.assertEqual(state["bundle"], str(c.bundle), kind)
            self.assertIn(state["status"], statuses.get(kind, {"creating", "created"}), kind)
            self.assertEqual(state["annotations"]["org.example.key"], "value", kind)
            self.assertIn("ociVersion", state, kind)
            if kind in ("prestart", "createRuntime", "poststart"):
                self.assertEqual(state["pid"], pid, kind)
        self.assert_nothing_left()

    @as_specified
    def test_run_calls_them_all(self):
        c = self.sh("echo process >>/record/order; cat /record/poststart >/dev/null 2>&1; exit 3")
        directory = self.recorded(c)
        self.assert_run(c.run(), 3)
        order = (directory / "order").read_text().split()
        self.assertEqual(sorted(order), sorted((*KINDS, "process")))
        self.assertEqual((order[:4], order[-1]), (list(KINDS[:4]), "poststop"))

    def test_arguments_environment_and_several_of_a_kind(self):
        c = self.container("/bin/true")
        out = self.world.tmp / "out"
        show = self.hook("show", f'echo "$0 $*" >>{out}; env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort >>{out}')
        c.spec["hooks"] = {
            "createRuntime": [
                {**show, "args": ["name", "one", "two words"], "env": ["KEY=value", "PATH=/bin:/usr/bin"]},
                self.hook("second", f"echo second >>{out}"),
            ]
        }
        self.world.environment["NOT_FOR_HOOKS"] = "x"
        self.assert_run(c.run())
        lines = out.read_text().splitlines()
        self.assertTrue(lines[0].endswith(" one two words"), lines)
        self.assertEqual(lines[1:], ["KEY=value", "PATH=/bin:/usr/bin", "second"])

    def test_where_and_with_what_environment(self):
        """Of createContainer the root and the container's variables, of the others the bundle and the runtime's; of
        startContainer all that the container's process has, its filter too. An empty environment is one."""
        directory = self.world.tmp / "seen"
        directory.mkdir()
        self.world.environment["KATA_HOOKS"] = "of the runtime"
        c = self.container("/bin/true")
        c.mount(directory, "/seen", "bind")
        c.process.update(cwd="/tmp", user={"uid": 0, "gid": 0})
        c.process["env"].append("KATA_HOOKS=of the container")
        c.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}]}
        hooks = {}
        for kind in KINDS:
            where = "/seen" if kind == "startContainer" else directory
            script = f"exec >>{where}/{kind}; pwd; echo $KATA_HOOKS; grep Seccomp: /proc/self/status; echo $HOME"
            hook = {"path": "/bin/sh", "args": ["sh", "-c", script]}
            hooks[kind] = [hook, {**hook, "env": []}]
        c.spec["hooks"] = hooks
        self.assert_run(c.run())
        status = pathlib.Path("/proc/self/status").read_text()
        filtered = int(re.search(r"^Seccomp:\s*(\d)", status, re.MULTILINE)[1])
        bundle, own = str(c.bundle), ("of the runtime", filtered)
        expected = {kind: (bundle, *own) for kind in KINDS}
        expected["createContainer"] = (str(c.rootfs), "of the container", filtered)
        expected["startContainer"] = ("/tmp", "of the container", 2)
        for kind, (place, variable, seccomp) in expected.items():
            lines = (directory / kind).read_text().splitlines()
            self.assertEqual(lines[:3], [place, variable, f"Seccomp:\t{seccomp}"], kind)
            self.assertEqual(lines[4:], [place, "", f"Seccomp:\t{seccomp}", ""], kind)
            if kind in ("createContainer", "startContainer"):
                self.assertEqual(lines[3], "/root" if kind == "startContainer" else "", kind)

    def failing(self, kind, **more):
        c = self.container("/bin/sleep", "1000")
        c.spec["hooks"] = {kind: [self.hook("bad", "echo the reason >&2; exit 7", **more)]}
        return c

    def test_a_failing_hook_of_create(self):
        for kind in ("prestart", "createRuntime", "createContainer"):
            c = self.failing(kind)
            result = self.assert_run(c.create(), 1, err="the reason")
            self.assertRegex(result.err, (f"{kind} " if harness.IS_KATA else "") + "hook #0.*exit status 7")
            self.assertEqual(c.status(), "gone")
            self.assertTrue((c.rootfs / "bin/busybox").exists())
        self.assert_nothing_left()

    @as_specified
    def test_a_failing_hook_of_start(self):
        for kind in ("startContainer", "poststart"):
            c = self.failing(kind)
            if kind == "startContainer":
                c.spec["hooks"][kind] = [{"path": "/bin/false"}]
            self.assert_run(c.create())
            self.assert_run(c.start(), 1, err="hook")
            c.wait_for("stopped")
            self.assert_run(c.delete())
        self.assert_nothing_left()

    def test_a_failing_hook_of_stop_is_only_a_warning(self):
        c = self.failing("poststop")
        c.process["args"] = ["/bin/true"]
        self.assert_run(c.run(), 0, err="the reason")
        self.assert_nothing_left()

    def test_a_hook_that_takes_too_long(self):
        c = self.container("/bin/true")
        c.spec["hooks"] = {"createRuntime": [self.hook("slow", "exec sleep 1000", timeout=1)]}
        self.assert_run(c.create(), 1, err="hook.*(timed out|timeout|after 1)")
        self.assert_nothing_left()

    def test_a_hook_that_is_not_there(self):
        c = self.container("/bin/true")
        c.spec["hooks"] = {"createRuntime": [{"path": "/no/such/hook"}]}
        self.assert_run(c.create(), 1, err="(?i)/no/such/hook.*no such file or directory")
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
