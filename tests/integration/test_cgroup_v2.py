# SPDX-License-Identifier: Apache-2.0
"""Hosts with cgroup version 2, in a mount namespace whose /sys/fs/cgroup is that, and in a guest, which has controllers."""
import json
import pathlib
import shutil
import subprocess

import harness
import leaks
from containerd import Containerd, ContainerdCase

# Runs a command on a host that has version 2 alone, as far as it can see; the first argument is a cgroup for it.
ON_VERSION_2 = f"""
umount -R -l /sys/fs/cgroup && {harness.mount_cgroup2()} && echo 0 >"/sys/fs/cgroup$1/cgroup.procs" || exit 99
shift
exec "$@"
"""


def on_version_2(cgroup=""):
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", ON_VERSION_2, "sh", cgroup]


def unified_path(pid):
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line[3:] for line in lines if line.startswith("0::"))


@harness.kata_only
class RunTest(harness.Case):
    """A command from a shell that is in a service, without linux.cgroupsPath."""

    def setUp(self):
        super().setUp()
        self.slice = harness.cgroup2() / f"{leaks.TAG}slice"
        self.service = self.slice / "x.service"
        self.service.mkdir(parents=True)
        self.addCleanup(self.remove_slice)
        self.world.prefix = on_version_2(f"/{self.slice.name}/x.service")

    def remove_slice(self):
        for directory in (self.service, self.slice / "threaded", self.slice):
            if directory.exists():
                harness.wait_for(lambda: "populated 0" in (directory / "cgroup.events").read_text(), f"{directory} is empty")
                directory.rmdir()

    def without_path(self, *command):
        c = self.container(*command)
        del c.linux["cgroupsPath"]
        return c

    def test_beside_the_service(self):
        c = self.start(self.without_path("/bin/sleep", "1000"))
        record = c.record()
        for process in (record["standin"], record["sandbox"], *record["helpers"]):
            self.assertEqual(unified_path(process["pid"]), f"/{self.slice.name}/{c.id}")
        self.assertEqual((self.service / "cgroup.type").read_text(), "domain\n")
        self.assertEqual((self.slice / "cgroup.type").read_text(), "domain\n")
        self.assertEqual((self.service / "cgroup.procs").read_text(), "", "nothing of it is left in the service")
        self.assert_run(c.exec("/bin/echo", "hello"), 0, "hello\n")
        self.assert_run(c.delete("--force"))
        self.assertFalse((self.slice / c.id).exists())
        self.assertTrue(self.service.exists())

    def test_where_somebody_has_made_it_threaded(self):
        """A new cgroup there takes processes only as a threaded one."""
        (self.slice / "threaded").mkdir()
        (self.slice / "threaded" / "cgroup.type").write_text("threaded")
        self.assertEqual((self.slice / "cgroup.type").read_text(), "domain threaded\n")
        self.world.prefix = on_version_2()
        c = self.started()
        self.assert_run(c.delete("--force"))
        c = self.container("/bin/sleep", "1000")
        c.linux["cgroupsPath"] = f"/{self.slice.name}/{c.id}"
        self.start(c)
        self.assertEqual(unified_path(c.state()["pid"]), f"/{self.slice.name}/{c.id}")
        self.assert_run(c.delete("--force"))

    def test_a_frozen_parent(self):
        (self.slice / "cgroup.freeze").write_text("1")
        self.world.prefix = on_version_2()
        c = self.container("/bin/true")
        c.linux["cgroupsPath"] = f"/{self.slice.name}/{c.id}"
        try:
            self.assert_run(c.run(), 1, err="container's cgroup unexpectedly frozen: .*slice is")
            self.assert_nothing_left_but_the_slice(c)
        finally:
            (self.slice / "cgroup.freeze").write_text("0")

    def assert_nothing_left_but_the_slice(self, c):
        self.assertFalse((self.world.root / c.id).exists())
        self.assertFalse((self.slice / c.id).exists())


class OnVersion2(Containerd):
    prefix = on_version_2()


class StatisticsTest(ContainerdCase):
    daemon = OnVersion2

    def test_are_those_of_the_hosts_version(self):
        """The shim's own mount namespace has no /sys/fs/cgroup to tell the version by."""
        name = self.sleeping()
        data = json.loads(self.assert_run(self.ctr("task", "metrics", "--format", "json", name)).out)
        self.assertGreater(data["memory"]["usage"], 0, "as io.containerd.cgroups.v2.Metrics has it")
        self.assertGreater(data["cpu"]["usage_usec"], 0)


HOOK = """
pid=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/')
mine=$(sed -n 's/^0:://p' /proc/$pid/cgroup)
echo "path $mine"
echo "files" $(cd /sys/fs/cgroup$mine && ls -d memory.current pids.current 2>/dev/null)
for one in / /system /system/x.service; do
  echo "$one:" $(cat /sys/fs/cgroup$one/cgroup.type 2>/dev/null) "[$(cat /sys/fs/cgroup$one/cgroup.subtree_control)]"
done
"""

# In the guest: a host with controllers, as systemd makes it, and a caller in a service. There is no VMM, so that the
# create fails in the end; the hook has then seen where the container is.
GUEST = """
set -e
cd /sys/fs/cgroup
mkdir init system
echo 0 >init/cgroup.procs
echo "+memory +pids" >cgroup.subtree_control
echo "+memory +pids" >system/cgroup.subtree_control
mkdir system/x.service
echo 0 >system/x.service/cgroup.procs
cd /host
for bundle in none absolute; do
  echo "bundle $bundle"
  if ./kata-runtime --config configuration.toml --root /run/r create --bundle /host/$bundle $bundle >error 2>&1; then exit 9; fi
  cat $bundle/seen
  cat error >&2
done
echo "after:" $(cd /sys/fs/cgroup; find . -mindepth 1 -type d | sort)
"""


@harness.kata_only
class ControllersTest(harness.Case):
    def host_in(self, c):
        """A directory /host with the runtime and all that it needs."""
        host = c.rootfs / "host"
        host.mkdir()
        programs = pathlib.Path(harness.RUNTIME).parent
        for name in ("kata-runtime", "kata-standin"):
            shutil.copy(programs / name, host)
        (host / "configuration.toml").write_text(
            '[hypervisor.qemu]\npath = "/bin/false"\nkernel = "/host/kernel"\ninitrd = "/host/kernel"\n'
        )
        (host / "kernel").write_text("none")
        listed = subprocess.run(["ldd", harness.RUNTIME], capture_output=True, text=True, check=True).stdout.split()
        for library in (word for word in listed if word.startswith("/")):
            target = pathlib.Path(f"{c.rootfs}{library}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
        return host

    def bundle(self, host, name, cgroups_path):
        spec = json.loads(json.dumps(harness.default_spec()))
        spec["process"]["terminal"] = False
        spec["linux"].pop("cgroupsPath", None)
        if cgroups_path:
            spec["linux"]["cgroupsPath"] = cgroups_path
        spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != "network"]
        script = f"({HOOK}) >/host/{name}/seen 2>&1"
        env = ["PATH=/bin:/sbin:/usr/bin"]
        spec["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": env}]}
        (host / name / "rootfs").mkdir(parents=True)
        (host / name / "config.json").write_text(json.dumps(spec))

    def test_what_is_not_ours_stays_as_it_was(self):
        c = self.sh(GUEST)
        host = self.host_in(c)
        self.bundle(host, "none", "")
        self.bundle(host, "absolute", "/ours/deep/c")
        everything = [f"CAP_{name.strip()}" for name in CAPABILITIES.split()]
        c.process["capabilities"] = {kind: everything for kind in ("bounding", "effective", "permitted")}
        c.process["noNewPrivileges"] = False
        c.linux["maskedPaths"] = c.linux["readonlyPaths"] = []
        c.namespace("cgroup")
        for mount in c.spec["mounts"]:
            if mount["type"] == "cgroup":
                mount["options"] = [option for option in mount["options"] if option != "ro"]
        result = self.assert_run(c.run())
        untouched = "/: domain [memory pids]\n/system: domain [memory pids]\n/system/x.service: domain []\n"
        self.assertEqual(
            result.out,
            f"bundle none\npath /system/none\nfiles memory.current pids.current\n{untouched}"
            f"bundle absolute\npath /ours/deep/c\nfiles memory.current pids.current\n{untouched}"
            "after: ./init ./system ./system/x.service\n",
            result,
        )


CAPABILITIES = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_ADMIN
NET_RAW IPC_LOCK SYS_CHROOT SYS_PTRACE SYS_ADMIN SYS_NICE SYS_RESOURCE MKNOD SETFCAP"""


if __name__ == "__main__":
    harness.main()
