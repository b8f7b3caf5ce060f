# SPDX-License-Identifier: Apache-2.0
"""Who a process is: numbers, groups, umask, user namespaces."""
import os

import harness
from harness import Case


class UsersTest(Case):
    def test_user_groups_and_umask(self):
        c = self.sh("id -u; id -g; id -G; umask; touch /tmp/made; stat -c '%u %g %a' /tmp/made; cat /proc/1/loginuid; true")
        c.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [2000, 2001], "umask": 0o27}
        result = self.assert_run(c.run())
        self.assertEqual(result.out.splitlines()[:5], ["1000", "1001", "1001 2000 2001", "0027", "1000 1001 640"])
        made = (c.rootfs / "tmp/made").stat()
        self.assertEqual((made.st_uid, made.st_gid, made.st_mode & 0o777), (1000, 1001, 0o640))

    def test_files_of_others_are_out_of_reach(self):
        c = self.sh("cat /secret || echo denied; cat /mine; echo x >/home/user/new && echo written; ls -ln /home/user/new")
        (c.rootfs / "secret").write_text("secret")
        (c.rootfs / "secret").chmod(0o600)
        (c.rootfs / "mine").write_text("mine\n")
        c.process["user"] = {"uid": 1000, "gid": 1000}
        for path in (c.rootfs / "mine", c.rootfs / "home/user"):
            os.chown(path, 1000, 1000)
        result = self.assert_run(c.run())
        self.assertRegex(result.out, r"^denied\nmine\nwritten\n-rw-r--r-- +1 1000 +1000 ")

    def test_large_numbers(self):
        c = self.sh("id -u; id -g; touch /tmp/made")
        c.process["user"] = {"uid": 2000000000, "gid": 2000000001}
        self.assert_run(c.run(), 0, "2000000000\n2000000001\n")
        made = (c.rootfs / "tmp/made").stat()
        self.assertEqual((made.st_uid, made.st_gid), (2000000000, 2000000001))

    def test_files_keep_their_owners_and_modes(self):
        c = self.sh("stat -c '%u %g %a' /file; chown 5:6 /file; chmod 4755 /file; ln -s /x /link; mknod /pipe p")
        (c.rootfs / "file").write_text("x")
        os.chown(c.rootfs / "file", 123, 456)
        (c.rootfs / "file").chmod(0o640)
        c.process["capabilities"] = {
            kind: ["CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID", "CAP_DAC_OVERRIDE"] for kind in ("bounding", "effective", "permitted")
        }
        self.assert_run(c.run(), 0, "123 456 640\n")
        changed = (c.rootfs / "file").stat()
        self.assertEqual((changed.st_uid, changed.st_gid, changed.st_mode & 0o7777), (5, 6, 0o4755))
        self.assertEqual(os.readlink(c.rootfs / "link"), "/x")
        self.assertTrue((c.rootfs / "pipe").is_fifo())

    def test_user_namespace(self):
        c = self.sh("id -u; id -g; cat /proc/self/uid_map; cat /proc/self/gid_map; touch /tmp/made; hostname inside && hostname")
        c.namespace("user")
        c.linux["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 2000}]
        c.linux["gidMappings"] = [{"containerID": 0, "hostID": 200000, "size": 3000}]
        for kind in ("bounding", "effective", "permitted"):
            c.process["capabilities"][kind].append("CAP_SYS_ADMIN")
        for path in (c.world.tmp, c.bundle):
            path.chmod(0o755)
        for path in c.rootfs.rglob("*"):
            if not path.is_symlink():
                os.chown(path, 100000, 200000)
        os.chown(c.rootfs, 100000, 200000)
        result = self.assert_run(c.run())
        self.assertEqual(result.out.split(), "0 0 0 100000 2000 0 200000 3000 inside".split(), result)
        made = (c.rootfs / "tmp/made").stat()
        self.assertEqual((made.st_uid, made.st_gid), (100000, 200000))
        self.assert_nothing_left()

    @harness.kata_only  # runc before 1.2 has none
    def test_idmapped_mounts(self):
        """With the container's mappings and with their own, of one directory of the host; and without a user namespace."""
        source = self.world.tmp / "source"
        source.mkdir()
        source.chmod(0o777)
        (source / "file").write_text("text\n")
        (source / "file").chmod(0o600)
        (self.world.tmp / "link").symlink_to(source)
        own = {kind: [{"containerID": 0, "hostID": 70000, "size": 5}] for kind in ("uidMappings", "gidMappings")}
        script = "stat -c %u:%g /own /own/file /mapped/file /plain/file; id -u"
        c = self.sh(script)
        c.mount(self.world.tmp / "link", "/own", "bind")
        c.spec["mounts"][-1].update(own)
        c.mount(source, "/mapped", "bind")
        c.spec["mounts"][-1].update({kind: [{"containerID": 0, "hostID": 5, "size": 1}] for kind in own})
        c.mount(source, "/plain", "bind")
        self.assert_run(c.run(), 0, "70000:70000\n70000:70000\n5:5\n0:0\n0\n")

        c = self.sh(f"cat /mapped/file; touch /mapped/made /own/other; mkdir /mapped/dir; {script}; stat -c %u:%g /plain/made")
        c.namespace("user")
        for kind in own:
            c.linux[kind] = [{"containerID": 0, "hostID": 100000, "size": 2000}]
        for path in (c.world.tmp, c.bundle):
            path.chmod(0o755)
        for path in (c.rootfs, *c.rootfs.rglob("*")):
            os.chown(path, 100000, 100000, follow_symlinks=False)
        c.mount(self.world.tmp / "link", "/own", "bind")
        c.spec["mounts"][-1].update({kind: [{"containerID": 0, "hostID": 100007, "size": 5}] for kind in own})
        c.mount(source, "/mapped", "rbind", "ridmap")
        c.mount(source, "/plain", "bind")
        result = c.run()
        self.assert_run(result, 0, err="touch: /own/other: Value too large for defined data type")
        self.assertEqual(result.out, "text\n7:7\n7:7\n0:0\n65534:65534\n0\n65534:65534\n")
        self.assertEqual({path.stat().st_uid for path in source.iterdir()}, {0})

        for mapping, words in (({"uidMappings": own["uidMappings"]}, "needs both"),
                               ({kind: 2 * own[kind] for kind in own}, "overlaps"),
                               ({"options": ["bind", "idmap"]}, "needs mappings")):  # fmt: skip
            c = self.sh("true")
            c.mount(source, "/own", "bind")
            c.spec["mounts"][-1].update(mapping)
            self.assert_run(c.run(), 1, err=words)
        c = self.sh("true")
        c.mount("/proc/sys", "/own", "bind")
        c.spec["mounts"][-1].update(own)
        self.assert_run(c.run(), 1, err=r"at /own\): cannot map the mount's ids, since its file system")

    def test_exec_has_the_user_of_the_container(self):
        c = self.container("/bin/sleep", "1000")
        c.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [2000]}
        self.start(c)
        self.assert_run(c.exec_sh("id -u; id -G"), 0, "1000\n1000 2000\n")


if __name__ == "__main__":
    harness.main()
