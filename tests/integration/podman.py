# SPDX-License-Identifier: Apache-2.0
"""Podman with the runtime under test, and an image made here."""
import subprocess

import harness
import rootfs

IMAGE = "localhost/kata-image:latest"
# The reference cannot raise limits without CAP_SYS_RESOURCE; ours are the guest's.
LIMITS = [] if harness.IS_KATA else ["--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000"]


class PodmanCase(harness.Case):
    cgroup_manager = "cgroupfs"
    prefix = ()  # a command that runs Podman in other surroundings

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.store = harness.World()
        cls.addClassCleanup(cls.store.close)
        tar = subprocess.Popen(["tar", "-C", rootfs.template("busybox"), "-c", "."], stdout=subprocess.PIPE)
        result = cls.run_podman("import", "--change", "ENV WHO=image", "-", IMAGE, stdin=tar.stdout)
        tar.stdout.close()
        if tar.wait() != 0 or result.status != 0:
            raise AssertionError(result)

    @classmethod
    def argv(cls, *arguments):
        runtime = subprocess.run(["which", harness.RUNTIME], capture_output=True, text=True, check=True).stdout.strip()
        flags = ["--runtime-flag", f"config={harness.CONFIG}"] if harness.CONFIG and harness.IS_KATA else []
        return [*cls.prefix, "podman", "--root", str(cls.store.tmp / "storage"), "--runroot", str(cls.store.tmp / "run"),
                "--tmpdir", str(cls.store.tmp / "tmp"), "--storage-driver", "vfs", "--cgroup-manager", cls.cgroup_manager,
                "--events-backend", "file", "--runtime", runtime, *flags, *map(str, arguments)]  # fmt: skip

    @classmethod
    def run_podman(cls, *arguments, **options):
        argv = cls.argv(*arguments)
        stdin = options.pop("stdin", subprocess.DEVNULL)
        # conmon leaves files (one is called oom) in the directory that Podman was called in.
        done = subprocess.run(argv, stdin=stdin, capture_output=True, timeout=harness.TIMEOUT * 2, cwd=cls.store.tmp, **options)
        return harness.Result(argv, done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def podman(self, *arguments, **options):
        result = self.run_podman(*arguments, **options)
        self.world.log.append(str(result))
        return result

    def setUp(self):
        super().setUp()
        self.addCleanup(self.podman, "rm", "--all", "--force", "--time", "0")

    def run_flags(self, *more):
        # Podman 5's own choice is journald, which cannot be followed with events in a file.
        return ["run", "--network", "none", "--log-driver", "k8s-file", *LIMITS, *more]
