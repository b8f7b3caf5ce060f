# SPDX-License-Identifier: Apache-2.0
"""Hosts and images with something unusual: it works as with runc, or one line says what is missing."""
import os

import harness
from harness import Case


class OddHostTest(Case):
    def on(self, *commands):
        """The runtime runs in a mount namespace of its own after these commands of a shell."""
        script = "set -e; " + "; ".join(commands)
        self.world.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script + '; exec "$@"', "sh"]

    def runs(self):
        """A whole life, detached and in the foreground."""
        self.assert_run(self.sh("cat /etc/hostname; echo x >/new; exit 4").run(), 4, "container\n")
        c = self.started()
        self.assert_run(c.exec("/bin/echo", "hello"), 0, "hello\n")
        self.assert_run(c.kill("KILL"))
        c.wait_for("stopped")
        self.assert_run(c.delete())
        self.assert_nothing_left()

    def test_run_without_exec(self):
        self.on("mount -t tmpfs -o noexec,nosuid,nodev tmpfs /run")
        self.runs()

    def test_tmp_on_another_device(self):
        """The bundle is on one device, its volume and the runtime's --root on two others."""
        root = self.world.tmp / "root"
        root.mkdir()
        volume = self.world.tmp / "volume"
        volume.mkdir()
        self.on(f"mount -t tmpfs -o mode=700 tmpfs {root}", f"mount -t tmpfs tmpfs {volume}", f"echo there >{volume}/file")
        c = self.sh("cat /volume/file; mv /volume/file /moved && cat /moved")
        c.mount(volume, "/volume", "rbind")
        self.assert_run(c.run(), 0, "there\nthere\n")

    def test_proc_with_hidepid(self):
        self.on("mount -t proc -o hidepid=2 proc /proc")  # a mount of its own: a remount would change the host's
        self.runs()

    def test_var_lib_read_only(self):
        self.on("mount --bind /var/lib /var/lib", "mount -o remount,bind,ro /var/lib")
        self.runs()

    def test_a_full_run(self):
        """Nothing can be recorded: an error that says so, and nothing is left."""
        root = self.world.tmp / "root"
        root.mkdir()
        self.on(f"mount -t tmpfs -o size=64k,mode=700 tmpfs {root}", f"dd if=/dev/zero of={root}/full bs=4k || true")
        c = self.sh("true")
        self.assert_run(c.run(), 1, err="[Nn]o space left on device")
        self.assert_nothing_left()

    @harness.kata_only
    def test_a_caller_with_low_limits(self):
        """They are not the VM's, nor those of the processes in it."""
        # Hard ones cannot be lifted without CAP_SYS_RESOURCE, which the machine of the tests may lack.
        low = ("--as=500000000:", "--data=100000000:", "--fsize=1000000:", "--nproc=5:", "--cpu=1:")
        low += ("--nofile=64", "--stack=65536", "--memlock=0")
        self.world.prefix = ["prlimit", *low]
        c = self.started()
        self.assert_run(c.exec_sh("ulimit -f; head -c 3000000 /dev/zero >/large; wc -c </large"), 0, "unlimited\n3000000\n")
        self.assert_run(c.delete("--force"))
        self.world.prefix = ["prlimit", "--nofile=24"]
        self.assert_run(self.sh("true").run(), 1, err="level=error .*Too many open files")
        self.assert_nothing_left()
        self.world.prefix = ["prlimit", "--fsize=1000"]
        self.assert_run(self.sh("true").run(), 1, err="level=error .*File too large")
        self.assert_nothing_left()

    @harness.kata_only
    def test_a_time_namespace(self):
        """Who created the container has been up for years longer than who deletes it."""
        self.world.prefix = ["unshare", "--time", "--fork", "--monotonic", "100000000", "--boottime", "100000000"]
        c = self.started()
        self.assert_run(c.exec("/bin/echo", "hello"), 0, "hello\n")
        self.world.prefix = []
        self.assertEqual(c.state()["status"], "running")
        self.assert_run(c.exec("/bin/echo", "hello"), 0, "hello\n")
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left()

    def test_no_ipv6(self):
        """In the network namespace from which the runtime is called."""
        self.world.prefix = ["unshare", "--net", "sh", "-c", 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; exec "$@"', "sh"]
        c = self.sh("ip -4 addr show lo | grep -c 127.0.0.1")
        self.assert_run(c.run(), 0, "1\n")

    def test_an_environment_of_64_kib(self):
        c = self.sh('echo ${#LARGE} $SMALL; env | grep -c "^MANY"')
        c.process["env"] += ["LARGE=" + "x" * 65536, "SMALL=s", *(f"MANY{number}=value" for number in range(3000))]
        self.assert_run(c.run(), 0, "65536 s\n3000\n")

    def test_an_environment_of_the_callers_of_64_kib(self):
        """It is the caller's alone."""
        self.world.environment["LARGE"] = "x" * 65536
        self.assert_run(self.sh("echo ${#LARGE}").run(), 0, "0\n")


class OddImageTest(Case):
    @harness.kata_only
    def test_files_that_are_read_by_the_runtime_are_fifos(self):
        """Nobody writes to them: runc waits for ever. With numbers none of them is needed."""
        for name in ("passwd", "group"):
            with self.subTest(name):
                c = self.sh("echo $HOME")
                (c.rootfs / "etc" / name).unlink()
                os.mkfifo(c.rootfs / "etc" / name)
                c.process["user"] = {"uid": 0, "gid": 0}
                self.assert_run(c.run(), 0, None)
                self.assert_nothing_left(c)

    def test_etc_is_a_file_or_a_loop(self):
        for make in (lambda path: path.write_text("x"), lambda path: path.symlink_to("etc")):
            c = self.sh("echo here")
            (c.rootfs / "etc").rename(c.rootfs / "away")
            make(c.rootfs / "etc")
            self.assert_run(c.run(), 0, "here\n")
            self.assert_nothing_left(c)


if __name__ == "__main__":
    harness.main()
