# SPDX-License-Identifier: Apache-2.0
"""Files and directories of the host in a container, and the file systems that are made for it."""
import os
import pathlib
import re
import subprocess
import time

import harness
import leaks
from harness import Case, SharedCase


class MountsTest(SharedCase):
    @classmethod
    def prepare(cls, c):
        names = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]
        for kind in ("bounding", "effective", "permitted"):
            c.process["capabilities"][kind] += names
        cls.host = cls.shared_world.tmp / "host"
        for name in ("rw", "ro", "deep/below", "rslave", "a b\tc"):
            (cls.host / name).mkdir(parents=True)
            (cls.host / name / "file").write_text(f"{name}\n")
        for name in ("noatime", "nodiratime", "relatime"):
            (cls.host / "times" / name / "dir").mkdir(parents=True)
            (cls.host / "times" / name / "file").write_text("once\n")
            (cls.host / "times" / name / "dir/file").touch()
            c.mount(cls.host / "times" / name, f"/{name}", "bind", name)
        (cls.host / "one").write_text("one\n")
        (cls.host / "rw/alone").write_text("alone\n")
        (cls.host / "two").write_text("two\n")
        subprocess.run(["mount", "-t", "tmpfs", "kata-test", cls.host / "deep/below"], check=True)
        # Lazily: the container is still there, and where the host's mounts are shared, its copy counts as a user.
        cls.addClassCleanup(subprocess.run, ["umount", "-l", cls.host / "deep/below"], check=True)
        (cls.host / "deep/below/file").write_text("below\n")
        c.mount(cls.host / "rw", "/rw", "bind")
        c.mount(cls.host / "ro", "/ro", "bind", "ro")
        c.mount(cls.host / "deep", "/deep", "rbind", "nosuid", "nodev", "noexec")
        c.mount(cls.host / "deep", "/alone", "bind")
        c.mount(cls.host / "deep", "/alone-private", "bind", "rprivate")
        c.mount(cls.host / "a b\tc", "/sp ace", "bind")
        c.mount(cls.host / "one", "/etc/one", "bind", "rw")
        c.mount(cls.host / "two", "/made/directories/two", "bind", "ro")
        c.mount(cls.host / "rw/alone", "/etc/alone", "bind", "rw")
        c.mount(cls.host / "rslave", "/rslave", "rbind", "rslave")
        c.mount("tmpfs", "/small", "size=1m", "mode=1770", "nosuid", "noexec", type="tmpfs")
        c.mount("tmpfs", "/rotmp", "ro", type="tmpfs")

    def inside(self, script):
        return self.shared.exec_sh(script)

    def test_bind_of_a_directory(self):
        self.assert_run(self.inside("cat /rw/file; echo new >/rw/new; rm /rw/file"), 0, "rw\n")
        self.assertEqual(sorted(os.listdir(self.host / "rw")), ["alone", "new"])
        (self.host / "rw/later").write_text("later\n")
        self.assert_run(self.inside("cat /rw/later"), 0, "later\n")

    def test_an_open_shows_what_the_host_has_written(self):
        """The guest keeps pages of a file between two opens only while nobody has changed it: whatever its size and its
        time of modification say."""
        file = self.host / "deep/changing"

        def write(text):
            file.write_text(text)
            os.utime(file, (1000, 1000))
            self.assert_run(self.inside("cat /deep/changing"), 0, text)

        for i in range(5):
            write(f"quickly {i}\n")
        # A file that has lain still for a while is one whose pages are kept.
        harness.wait_for(lambda: time.time() - file.stat().st_ctime > 4, "its last change is some time ago")
        for _ in range(2):
            self.assert_run(self.inside("cat /deep/changing"), 0, "quickly 4\n")
        for i in range(5, 8):
            write(f"quickly {i}\n")
        self.assert_run(self.inside("echo from the guest >/deep/changing; cat /deep/changing"), 0, "from the guest\n")
        write("quickly 9\n")

    def test_bind_of_files(self):
        self.assert_run(self.inside("cat /etc/one /made/directories/two; echo more >>/etc/one"), 0, "one\ntwo\n")
        self.assertEqual((self.host / "one").read_text(), "one\nmore\n")
        self.assert_run(self.inside("echo x >/made/directories/two"), 1, err="Read-only file system")

    def test_a_file_that_is_mounted_by_itself_is_the_one_of_its_directory(self):
        """As a sub-path of a volume beside the volume: one inode, so that locks, mappings and open files are those of both."""
        script = """
            set -e
            stat -c "%d %i" /etc/alone /rw/alone | uniq | wc -l
            exec 3>>/etc/alone
            echo more >&3; cat /rw/alone
            echo over >/rw/alone; cat /etc/alone
            mv /rw/alone /rw/moved; echo moved >>/rw/moved; cat /etc/alone; mv /rw/moved /rw/alone"""
        self.assert_run(self.inside(script), 0, "1\nalone\nmore\nover\nover\nmoved\n")
        self.assertEqual((self.host / "rw/alone").read_text(), "over\nmoved\n")

    def test_read_only_directory(self):
        self.assert_run(self.inside("cat /ro/file"), 0, "ro\n")
        for script in ("echo x >/ro/file", "touch /ro/new", "rm /ro/file", "chmod 777 /ro/file"):
            result = self.inside(script)
            self.assertNotEqual(result.status, 0, result)
            self.assertRegex(result.err, "Read-only file system")

    @harness.kata_only
    def test_read_only_is_enforced_by_the_host(self):
        """Root of the guest may remount what it likes (CVE-2020-28914)."""
        result = self.inside("mount -o remount,bind,rw /ro && mount -o remount,bind,rw /made/directories/two; grep ' /ro ' /proc/self/mountinfo;"
                         "echo x >/ro/new; echo x >/ro/file; rm /ro/file; echo x >/made/directories/two; true")  # fmt: skip
        self.assertEqual(os.listdir(self.host / "ro"), ["file"], result)
        self.assertEqual((self.host / "ro/file").read_text(), "ro\n", result)
        self.assertEqual((self.host / "two").read_text(), "two\n", result)

    def test_mounts_below_come_along(self):
        self.assert_run(self.inside("cat /deep/below/file"), 0, "below\n")

    def test_each_device_of_the_host_has_a_number_of_its_own(self):
        """Programs tell files apart by st_dev and st_ino (cp, tar, find -xdev), and two devices may number alike."""
        show = "stat -c '%d %i' /rw/. /ro/. /deep/. /alone/. /deep/below/."
        rw, ro, deep, alone, below = (line.split() for line in self.assert_run(self.inside(show)).out.splitlines())
        self.assertEqual({rw[0], ro[0], alone[0]}, {deep[0]})
        self.assertNotEqual(below[0], deep[0])
        self.assertEqual(alone, deep)
        self.assert_run(self.inside("find /deep -xdev -name file"), 0, "")

    def test_mounts_below_come_along_only_with_rbind(self):
        for place in ("/alone", "/alone-private"):
            self.assert_run(self.inside(f"cat {place}/below/file"), 0, "deep/below\n")
            self.assert_run(self.inside(f"touch {place}/below/new"))
        self.assertEqual(os.listdir(self.host / "deep/below"), ["file"], "the host's mount is as it was")

    def test_strange_names(self):
        self.assert_run(self.inside("cat '/sp ace/file'"), 0, "a b\tc\n")

    def test_options(self):
        lines = self.assert_run(self.inside("cat /proc/self/mountinfo")).out.splitlines()
        options = {line.split()[4]: set(line.split()[5].split(",")) for line in lines}
        self.assertLessEqual({"nosuid", "nodev", "noexec"}, options["/deep"])
        self.assertLessEqual({"nosuid", "noexec"}, options["/small"])
        self.assertLessEqual({"nosuid", "noexec", "nodev"}, options["/dev/shm"])
        self.assertIn("ro", options["/rotmp"])
        self.assertIn("ro", options["/sys"])
        result = self.inside("echo '#!/bin/sh' >/small/x; chmod +x /small/x; /small/x")
        self.assert_run(result, 126, err="Permission denied")

    def test_times_of_access(self):
        """Kept by the host's file system, if neither its mount nor the container's says otherwise."""
        for mount, kept in (("noatime", set()), ("nodiratime", {"file"}), ("relatime", {"file", "dir"})):
            place = self.host / "times" / mount
            for name in ("file", "dir"):
                os.utime(place / name, (1000, 2000))  # so that relatime keeps the next access
            self.assert_run(self.inside(f"cat /{mount}/file; ls /{mount}/dir"), 0, "once\nfile\n")
            self.assertEqual({name for name in ("file", "dir") if (place / name).stat().st_atime != 1000}, kept, mount)

    def test_propagation(self):
        lines = self.assert_run(self.inside("cat /proc/self/mountinfo")).out.splitlines()
        fields = {line.split()[4]: line.split(" - ")[0].split()[6:] for line in lines}
        self.assertEqual(fields["/rw"], [], "private")
        self.assertFalse(any(field.startswith("shared:") for field in fields["/rslave"]))

    def test_tmpfs(self):
        self.assert_run(self.inside("stat -c %a /small"), 0, "1770\n")
        self.assert_run(self.inside("dd if=/dev/zero of=/small/big bs=1k count=2000; rm /small/big"), 0, err="No space left on device")
        self.assert_run(self.inside("touch /rotmp/x"), 1, err="Read-only file system")

    def test_dev_shm(self):
        self.assert_run(self.inside("df -k /dev/shm | tail -n 1"), 0, None)
        self.assertIn("65536", self.inside("df -k /dev/shm").out)
        self.assert_run(self.inside("stat -c %a /dev/shm; echo x >/dev/shm/x && cat /dev/shm/x; rm /dev/shm/x"), 0, "1777\nx\n")

    def test_it_behaves_as_a_file_system(self):
        script = """cd /rw && mkdir fs && cd fs
            echo a >one && ln one two && mv two three && ln -s one four && cat four three
            echo b >>one; stat -c %h one; truncate -s 3 one; wc -c <one
            mkdir -p d/e/f && i=0; while [ $i -lt 300 ]; do echo $i >d/e/f/$i; i=$((i+1)); done; ls d/e/f | wc -l
            exec 5<>one; rm one; echo kept >&5; exec 5>&-; test ! -e one && cat three | tail -n 1
            rmdir d 2>&1 | grep -c 'not empty'; rm -r d; ls | wc -l; cd .. && rm -r fs"""
        result = self.assert_run(self.inside(script))
        self.assertEqual(result.out.split(), ["a", "a", "2", "3", "300", "kept", "1", "2"])


class RootTest(Case):
    def test_a_device_in_a_read_only_root(self):
        c = self.sh("ls -l /node /new/node | tr -s ' ' | cut -d' ' -f1,5,6; touch /x")
        c.spec["root"]["readonly"] = True
        c.spec["linux"]["devices"] = [
            {"path": path, "type": "c", "major": 1, "minor": 3, "fileMode": 0o600} for path in ("/node", "/new/node")
        ]
        self.assert_run(c.run(), 1, "crw------- 1, 3\n" * 2, "Read-only file system")

    def test_read_only_root(self):
        c = self.sh("touch /new; touch /bin/new; echo ok >/tmp/x && cat /tmp/x")
        c.spec["root"]["readonly"] = True
        c.mount("tmpfs", "/tmp", type="tmpfs")
        before = sorted(os.listdir(c.rootfs))
        self.assert_run(c.run(), 0, "ok\n", "Read-only file system")
        self.assertEqual(sorted(os.listdir(c.rootfs)), before)

    def test_a_source_that_is_not_there(self):
        c = self.container("/bin/true")
        c.mount(self.world.tmp / "missing", "/x", "bind")
        self.assert_run(c.run(), 1, err="missing.*[Nn]o such file or directory")
        self.assert_nothing_left()

    def test_mount_points_that_are_links_to_nowhere(self):
        """As /etc/resolv.conf is in images with systemd: what the link names is made, in the image."""
        c = self.sh("cat /etc/resolv.conf /data/file; ls /var/lib/kata-data")
        (c.rootfs / "etc/resolv.conf").symlink_to("../run/nowhere/resolv.conf")
        (c.rootfs / "data").symlink_to("/var/lib/kata-data")
        for name in ("volume", "resolv.conf"):
            path = self.world.tmp / name
            if name == "volume":
                path.mkdir()
                (path / "file").write_text("of the volume\n")
            else:
                path.write_text("nameserver 192.0.2.53\n")
        c.mount(self.world.tmp / "resolv.conf", "/etc/resolv.conf", "bind")
        c.mount(self.world.tmp / "volume", "/data", "bind")
        self.assert_run(c.run(), 0, "nameserver 192.0.2.53\nof the volume\nfile\n")
        self.assertFalse(os.path.exists("/var/lib/kata-data"))

    def test_root_outside_the_bundle(self):
        c = self.sh("cat /which")
        c.rootfs.rename(self.world.tmp / "elsewhere")
        c.spec["root"]["path"] = str(self.world.tmp / "elsewhere")
        (self.world.tmp / "elsewhere/which").write_text("elsewhere\n")
        self.assert_run(c.run(), 0, "elsewhere\n")

    def test_a_root_that_is_a_mount_of_its_own(self):
        """As every engine's is: an overlay."""
        c = self.sh("cat /lower && echo x >/upper && rm /lower")
        lower = self.world.tmp / "lower"
        c.rootfs.rename(lower)
        (lower / "lower").write_text("lower\n")
        upper, work = self.world.tmp / "upper", self.world.tmp / "work"
        for directory in (c.rootfs, upper, work):
            directory.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "kata-test", "-o", options, c.rootfs], check=True)
        try:
            self.assert_run(c.run(), 0, "lower\n")
        finally:
            subprocess.run(["umount", c.rootfs], check=True)  # busy, were anything of the sandbox left
        self.assertEqual((upper / "upper").read_text(), "x\n")
        self.assertEqual((lower / "lower").read_text(), "lower\n")

    @harness.kata_only
    def test_what_is_shared_can_be_unmounted_on_the_host(self):
        """The container has a clone of the directory, and keeps the file system, but not the host's mount."""
        for options, look in ((["rbind"], False), (["rbind", "rprivate"], True)):
            with self.subTest(options):
                self.volume = self.world.tmp / f"volume{len(options)}"
                c = self.in_a_subdirectory(*options)
                if look:
                    self.assert_run(c.exec_sh("cat /data/file /data/inner/file"), 0, "volume\ninner\n")
                subprocess.run(["umount", "-R", self.volume], check=True)
                self.assertEqual(list(self.volume.iterdir()), [])
                self.assert_run(c.exec_sh("cat /data/file"), 0, "volume\n")
                self.assert_run(c.delete("--force"))
                self.assert_nothing_left(c)

    @harness.kata_only
    def test_a_mount_below_that_was_looked_at_can_be_detached(self):
        """The file server holds what the guest remembers, so that the host's umount finds it busy unless it is lazy."""
        self.volume = self.world.tmp / "volume"
        c = self.in_a_subdirectory("rbind")
        self.assert_run(c.exec_sh("cat /data/inner/file"), 0, "inner\n")
        subprocess.run(["umount", "-R", "-l", self.volume], check=True)
        self.assertEqual(list(self.volume.iterdir()), [])
        self.assert_run(c.exec_sh("cat /data/file"), 0, "volume\n")
        harness.wait_for(lambda: c.exec_sh("ls /data/inner").out == "", "it goes from the container, as with runc")
        self.assert_run(c.delete("--force"))
        self.assert_nothing_left(c)

    def in_a_subdirectory(self, *options):
        """A container with a subdirectory of self.volume at /data, and a mount below that."""
        inner = self.volume / "sub/inner"
        self.volume.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "kata-test", self.volume], check=True)
        self.addCleanup(subprocess.run, ["umount", "-q", "-R", "-l", self.volume], stderr=subprocess.DEVNULL)
        subprocess.run(["mount", "--make-shared", self.volume], check=True)
        inner.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "kata-test", inner], check=True)
        (inner / "file").write_text("inner\n")
        (self.volume / "sub/file").write_text("volume\n")
        c = self.container("/bin/sleep", "1000")
        c.mount(self.volume / "sub", "/data", *options)
        return self.start(c)

    @harness.kata_only
    def test_more_files_than_the_file_server_may_have_open(self):
        """The guest's cache knows more than a host may allow the server to have open; it keeps few of them open."""
        volumes = [self.world.tmp / "one", self.world.tmp / "two"]
        for number in range(20):
            directory = volumes[number % 2] / str(number)
            directory.mkdir(parents=True)
            for name in range(100):
                (directory / str(name)).touch()
        look = "for i in 1 2 3; do ls -lR /one /two | grep -c ^-; done"
        c = self.sh(f"{look}; echo here >/one/new; grep -cE ' /(one|two) ' /proc/mounts")
        for volume in volumes:
            c.mount(volume, f"/{volume.name}", "bind")
        self.world.limit_open_files(600)
        self.assert_run(c.run(), 0, "2000\n2000\n2000\n2\n")
        self.assertEqual((volumes[0] / "new").read_text(), "here\n")

    @harness.kata_only
    def test_what_was_only_looked_at_is_not_known_for_ever(self):
        """Each known file takes memory in the guest, and in the file server 250 bytes: 12 MB for these."""
        volume = self.world.tmp / "many"
        volume.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "kata-test", volume], check=True)  # quick
        self.addCleanup(subprocess.run, ["umount", volume], check=True)
        for number in range(50):
            directory = volume / str(number)
            directory.mkdir()
            for name in range(1000):
                (directory / str(name)).touch()
        self.world.configure("[hypervisor.qemu]\ndefault_memory = 256\n")
        c = self.container("/bin/sleep", "1000")
        c.mount(volume, "/many", "bind")
        self.start(c)
        helpers = [helper["pid"] for helper in c.record()["helpers"]]
        servers = [pid for pid in helpers if "qemu" not in leaks.process(pid)[2]]
        servers += [pid for server in servers for pid in leaks.descendants(server)]

        def memory():
            """In KiB."""
            status = "".join(pathlib.Path(f"/proc/{pid}/status").read_text() for pid in servers)
            return sum(map(int, re.findall(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)))

        before = memory()
        self.assert_run(c.exec_sh("find /many -type f -size 0 | wc -l"), 0, "50000\n")
        self.assertLess(memory() - before, 8 << 10)


class ReadOnlyTest(Case):
    def test_dev_and_tmpfs_with_what_is_to_be_made_in_them(self):
        """They become read-only when that is done: mount points, devices, the working directory."""
        c = self.sh("pwd; test -c /dev/null && ls -d /dev/pts/ptmx /dev/fuse /tmpfs/in/side; touch /dev/x /tmpfs/x; touch /tmpfs/in/side/x && echo rw")
        for mount in c.spec["mounts"]:
            if mount["destination"] == "/dev":
                mount["options"].append("ro")
        c.mount("tmpfs", "/tmpfs", "ro", type="tmpfs")
        c.mount("tmpfs", "/tmpfs/in/side", type="tmpfs")
        c.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
        c.process["cwd"] = "/tmpfs/work"
        result = self.assert_run(c.run(), 0, "/tmpfs/work\n/dev/fuse\n/dev/pts/ptmx\n/tmpfs/in/side\nrw\n")
        self.assertEqual(result.err.count("Read-only file system"), 2, result)


if __name__ == "__main__":
    harness.main()
