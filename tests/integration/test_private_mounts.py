# SPDX-License-Identifier: Apache-2.0
"""Hosts that are not as a runtime's author pictured them."""
import ctypes
import os
import resource
import subprocess
import sys

import harness
import leaks
from harness import Case

CAP_SYS_RESOURCE = 24
PR_CAPBSET_DROP = 24

# The same host with another propagation of "/": systemd makes it shared, most other inits leave it private.
MOUNTS = {
    "private": ["unshare", "--mount", "--propagation", "private"],
    "shared": ["unshare", "--mount", "--propagation", "shared"],
    "slave": ["unshare", "--mount", "--propagation", "slave"],
}

# Runs a command, and exits with 99 if the mounts are others afterwards. Those of other runs go when these remove the
# directories on which they are.
SAME_MOUNTS = """
    mounts() { grep -e "$own" /proc/self/mountinfo; grep -vE "/netns/|kata" /proc/self/mountinfo; }
    own=$1; shift; before=$(mounts)
    "$@"; status=$?
    [ "$before" = "$(mounts)" ] || exit 99; exit $status"""


def without_sys_resource():
    """Runs between fork and exec: root of a host whose operator took this capability away, with low limits."""
    if ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0) != 0:
        raise OSError("prctl(PR_CAPBSET_DROP)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000))
    resource.setrlimit(resource.RLIMIT_NPROC, (10000, 10000))


class MountsTest(Case):
    def content(self, c):
        return {str(path): path.lstat().st_ino for path in c.rootfs.rglob("*")}

    def test_a_root_of_each_propagation(self):
        for name, prefix in MOUNTS.items():
            with self.subTest(name):
                self.world.prefix = [*prefix, "sh", "-c", SAME_MOUNTS, "sh", leaks.TAG]
                c = self.sh("cat /etc/hostname; echo x >/new; exit 4")
                self.assert_run(c.run(), 4, "container\n")
                self.assertEqual((c.rootfs / "new").read_text(), "x\n")
                self.assert_nothing_left(c)
        self.world.prefix = []

    def test_a_failed_create_leaves_the_rootfs_alone(self):
        """A clean-up that removed through a mount that still stood has deleted a user's rootfs before."""
        for name, prefix in MOUNTS.items():
            with self.subTest(name):
                self.world.prefix = prefix
                c = self.container("no-such-program")
                data = self.world.tmp / f"data-{name}"
                data.mkdir()
                (data / "precious").write_text("precious")
                c.mount(data, "/data", "rbind")
                before = self.content(c)
                self.assert_run(c.create(), 1, err="executable file not found")
                after = self.content(c)
                self.assertEqual({path: ino for path, ino in after.items() if path in before}, before)
                self.assertEqual((data / "precious").read_text(), "precious")
                self.world.prefix = []
                self.assert_nothing_left(c)

    @harness.kata_only
    def test_a_create_that_fails_late_leaves_the_rootfs_alone(self):
        c = self.sh("true")
        before = self.content(c)
        self.world.configure('[hypervisor.qemu]\npath = "/bin/false"\n')
        self.assertEqual(c.create().status, 1)
        c.mount("tmpfs", "/x", type="no_such_type")
        self.world.config = harness.CONFIG
        self.assertEqual(c.create().status, 1)
        after = self.content(c)
        self.assertEqual({path: ino for path, ino in after.items() if path in before}, before)
        self.assert_nothing_left()

    def test_delete_leaves_a_file_that_is_not_ours(self):
        c = self.started()
        stranger = self.world.root / "of-a-stranger"
        stranger.write_text("x")
        self.assert_run(c.delete("--force"))
        self.assertEqual(stranger.read_text(), "x")
        stranger.unlink()

    def test_a_host_without_dev_log(self):
        hide = "if [ -e /dev/log ]; then mount --bind /dev/null /dev/log; fi"
        self.world.prefix = ["unshare", "--mount", "sh", "-c", hide + '; exec "$@"', "sh"]
        self.assert_run(self.container("/bin/echo", "hello").run(), 0, "hello\n")


class PrivilegesTest(Case):
    @harness.kata_only
    def test_a_host_without_cap_sys_resource(self):
        """Rlimits, capabilities and the oom score of a container are the guest's affair."""
        c = self.sh("ulimit -Hn; ulimit -Sn; cat /proc/1/oom_score_adj; grep CapEff /proc/self/status")
        c.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 500000, "hard": 600000}]
        c.process["oomScoreAdj"] = -900
        c.process["capabilities"] = {kind: ["CAP_SYS_RESOURCE"] for kind in ("bounding", "effective", "permitted")}
        result = self.assert_run(c.run(preexec_fn=without_sys_resource))
        self.assertEqual(result.out.split(), ["600000", "500000", "-900", "CapEff:", f"{1 << CAP_SYS_RESOURCE:016x}"])

    def test_a_first_process_that_reaps_late(self):
        """Every test has one (leaks.become_subreaper); here it is looked at: all verbs work on what is dead and not reaped."""
        c = self.started()
        pid = c.state()["pid"]
        self.assert_run(c.kill("KILL"))
        harness.wait_for(lambda: (leaks.process(pid) or (0, "gone"))[1] in ("Z", "gone"), "the process has ended")
        self.assertEqual(leaks.process(pid)[1], "Z", "nobody has reaped it")
        c.wait_for("stopped")
        self.assert_run(c.exec("/bin/true"), 255, err="cannot exec in a stopped container")
        self.assert_run(c.kill("KILL"), 1, err="container not running")
        self.assert_run(c.delete())
        self.assertEqual(leaks.process(pid)[1], "Z")
        self.assert_nothing_left()

    def test_standard_streams_that_are_closed(self):
        """As after `0<&- >&-` in a shell: no file of the runtime may land on these numbers."""
        c = self.sh("cat; echo x; echo done >/done; exit 5")
        c.write()
        argv = self.world.argv("run", "--bundle", c.bundle, c.id)
        script = "import os, sys\nfor fd in (0, 1, 2):\n os.close(fd)\nos.execvp(sys.argv[1], sys.argv[1:])"
        status = subprocess.run([sys.executable, "-c", script, *argv], timeout=harness.TIMEOUT).returncode
        self.assertTrue(os.path.exists(c.rootfs / "done"), status)
        self.assertIn(status, (1, 5))
        self.assert_nothing_left()


if __name__ == "__main__":
    harness.main()
