# SPDX-License-Identifier: Apache-2.0
"""kata-runtime setup: what it writes, as the engines read it. Docker's part of it is in every test of test_docker.py."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import harness
from containerd import CONFIG, PAUSE, Containerd
from cri import CriCase
from podman import IMAGE, PodmanCase

# Without the lines of runtimes that are this one's.
PLAIN = re.sub(r"default_runtime_name = .*\n|(?s:\[[^\n]*runtimes\.kata.*?\n(?=\[))", "", CONFIG)


def setup(*arguments, **options):
    argv = [harness.RUNTIME, "setup", *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, timeout=harness.TIMEOUT, check=False, **options)
    return harness.Result(argv, done.returncode, done.stdout, done.stderr.decode(errors="replace"))


@harness.kata_only
class FileTest(harness.Case):
    def test_a_dry_run_changes_nothing(self):
        file = self.world.tmp / "daemon.json"
        file.write_text('{"debug": true}')
        result = self.assert_run(setup("docker", "--file", file))
        self.assertRegex(result.out, rf"(?m)^--- {file}\n\+\+\+ {file}\n@@ -1 \+1 @@\n")
        self.assertIn("Nothing has been changed", result.out)
        self.assertIn("systemctl reload docker", result.out)
        self.assertEqual([entry.name for entry in self.world.tmp.iterdir()], ["daemon.json"])
        self.assertEqual(file.read_text(), '{"debug": true}')

    def test_a_user_has_files_of_their_own(self):
        home = self.world.tmp / "home"
        home.mkdir()
        environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        # A user who is not root, of a namespace of users that has that one alone.
        argv = ["unshare", "--user", "--map-user=1000", harness.RUNTIME, "setup", "podman"]
        home.chmod(0o777)

        def run(*more):
            done = subprocess.run([*argv, *more], env=environment, capture_output=True, timeout=harness.TIMEOUT, check=False)
            return self.assert_run(harness.Result(argv, done.returncode, done.stdout, done.stderr.decode()))

        file = home / ".config/containers/containers.conf.d/50-kata.conf"
        run("--apply")
        self.assertIn(f'kata = ["{pathlib.Path(harness.RUNTIME).resolve()}"]', file.read_text())
        self.assertIn("Nothing to change", run("--apply").out)
        run("--undo")
        self.assertEqual(list(home.iterdir()), [])

    def test_engines_are_found_where_path_lacks_them(self):
        self.world.environment = {**os.environ, "PATH": "/nonexistent"}
        self.assertRegex(self.world.runtime("check").out, r"(?m)^ok +podman: podman version")

    def test_errors_are_one_line(self):
        file = self.world.tmp / "config.toml"
        file.write_text("version = 2\n[plugins\n")
        for arguments, words in (
            (("containerd", "--file", file, "--apply"), f"{file}: line 2 is no TOML"),
            (("containerd", "--file", self.world.tmp / "no/config.toml", "--apply"), "no is missing: make it first"),
            (("nerdctl",), "no engine is called"),
            (("docker", "--apply", "--undo"), "exclude each other"),
        ):
            result = setup(*arguments)
            self.assertEqual((result.status, result.out), (1, ""), result)
            self.assertRegex(result.err.splitlines()[-1], words)
        self.assertEqual([entry.name for entry in self.world.tmp.iterdir()], ["config.toml"])
        self.assertIn("Nothing to undo", self.assert_run(setup("crio", "--undo", "--file", self.world.tmp / "none")).out)


@harness.kata_only
class PodmanTest(PodmanCase):
    @classmethod
    def argv(cls, *arguments):
        """Without the runtime, which the configuration names."""
        argv = super().argv(*arguments)
        for option in ("--runtime-flag", "--runtime"):
            while option in argv:
                at = argv.index(option)
                del argv[at : at + 2]
        return argv

    def test_its_default(self):
        file = self.store.tmp / "containers.conf"
        file.write_text("# mine\n[engine]\nnum_locks = 2048")
        self.assert_run(setup("podman", "--default", "--apply", "--file", file))
        environment = {**os.environ, "CONTAINERS_CONF": str(file)}
        info = json.loads(self.assert_run(self.podman("info", "--format", "json", env=environment)).out)
        self.assertEqual(info["host"]["ociRuntime"]["name"], "kata")
        self.assertEqual(info["host"]["ociRuntime"]["path"], str(pathlib.Path(harness.RUNTIME).resolve()))
        script = "echo $WHO; cat /proc/sys/kernel/osrelease"
        result = self.podman("run", "--rm", "--network", "none", IMAGE, "sh", "-c", script, env=environment)
        self.assertRegex(self.assert_run(result).out, "^image\n")
        self.assertNotIn(os.uname().release, result.out, "the guest has a kernel of its own")
        self.assert_run(setup("podman", "--undo", "--file", file))
        self.assertEqual(file.read_text(), "# mine\n[engine]\nnum_locks = 2048")
        self.assertFalse(pathlib.Path(f"{file}.before-kata").exists())


class SetUpContainerd(Containerd):
    config = PLAIN

    def start(self):
        result = setup("containerd", "--default", "--apply", "--file", self.tmp / "c.toml", env=self.environment)
        if result.status != 0:
            raise AssertionError(result)
        super().start()


@harness.kata_only
class ContainerdTest(CriCase):
    daemon = SetUpContainerd

    def test_its_handler_and_its_default(self):
        file = self.containerd.tmp / "c.toml"
        self.assertIn("Nothing to change", self.assert_run(setup("containerd", "--default", "--file", file)).out)
        dump = subprocess.run(["containerd", "--config", file, "config", "dump"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(dump, r'default_runtime_name = "kata"')
        self.assertRegex(dump, r'(?s)containerd\.runtimes\.kata\]\n.{,400}?runtime_type = "io\.containerd\.kata\.v2"')
        self.assertIn("containerd.runtimes.runc]", dump)
        pod = self.run_pod(handler="")
        container = self.start_container(pod)
        self.assertNotIn(os.uname().release, self.assert_run(self.exec_sync(container, "uname -r"), 0).out)
        copy = self.world.tmp / "c.toml"
        for name in ("", ".before-kata"):
            shutil.copy(f"{file}{name}", f"{copy}{name}")
        self.assert_run(setup("containerd", "--undo", "--file", copy))
        self.assertEqual(copy.read_text(), PLAIN.format(tmp=self.containerd.tmp, pause=PAUSE, log_level=self.log_level))
        self.assertFalse(pathlib.Path(f"{copy}.before-kata").exists())


if __name__ == "__main__":
    harness.main()
