# SPDX-License-Identifier: Apache-2.0
"""What holds a process in its container, and the host's processes of a sandbox in theirs."""
import errno
import json
import os
import pathlib
import re
import stat
import struct
import subprocess
import sys

import harness
from harness import Case, SharedCase


def privileged(c):
    """As engines' --privileged: every capability that matters here, every device."""
    names = ["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_SYSLOG"]
    c.process["capabilities"] = {kind: names for kind in ("bounding", "effective", "permitted")}
    c.process["noNewPrivileges"] = False


# Asks each port of a guest for the health of its agent, and connects to each path; says what it got.
STRANGER = r"""
import socket, struct, sys
request = b"\x0a\x0bgrpc.Health\x12\x05Check"
frame = struct.pack(">IIBB", len(request), 1, 1, 0) + request
ends = [(socket.AF_VSOCK, (int(sys.argv[1]), port)) for port in range(1, 2049)] if sys.argv[1] != "0" else []
for family, address in ends + [(socket.AF_UNIX, path) for path in sys.argv[2:]]:
    with socket.socket(family, socket.SOCK_STREAM) as end:
        end.settimeout(60)
        try:
            end.connect(address)
            end.sendall(frame)
            print(address, end.recv(1))
        except OSError:
            pass
"""


def program_that_calls(number):
    """A whole x86_64 executable: it makes this system call, and its status is the errno, or 0."""
    code = (b"\xb8" + struct.pack("<I", number) + b"\x0f\x05"  # mov eax, NUMBER; syscall
            + b"\xf7\xd8\x89\xc7"  # neg eax; mov edi, eax
            + b"\xb8" + struct.pack("<I", 231) + b"\x0f\x05")  # exit_group  # fmt: skip
    base, headers = 0x400000, 64 + 56
    size = headers + len(code)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, base + headers, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000) + code


class SeccompTest(Case):
    def profile(self, c, allowed):
        c.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{"names": allowed, "action": "SCMP_ACT_ALLOW"}],
        }

    def test_a_call_that_is_newer_than_the_profile(self):
        """It does not exist, as on an older kernel; one that the profile knows and refuses is not permitted."""
        rules = json.loads(pathlib.Path("/usr/share/containers/seccomp.json").read_text())["syscalls"]
        names = [name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" and not rule["args"] for name in rule["names"]]
        for no_new_privileges in (True, False):
            c = self.container("/bin/sleep", "1000")
            for number, name in ((5000, "new"), (321, "bpf"), (39, "getpid")):
                (c.rootfs / name).write_bytes(program_that_calls(number))
                (c.rootfs / name).chmod(0o755)
            self.profile(c, [name for name in names if name not in ("bpf", "getpid")])
            c.process["noNewPrivileges"] = no_new_privileges
            self.start(c)
            statuses = [c.exec(f"/{name}").status for name in ("new", "bpf", "getpid")]
            self.assertEqual(statuses, [errno.ENOSYS, errno.EPERM, errno.EPERM])
            self.assert_run(c.delete("--force"))

    @harness.kata_only
    def test_only_what_the_program_needs(self):
        """runc itself needs more after it has loaded the filter; here that is the last thing before the command."""
        for no_new_privileges in (True, False):
            c = self.container("/program")
            (c.rootfs / "program").write_bytes(program_that_calls(79))  # getcwd
            (c.rootfs / "program").chmod(0o755)
            self.profile(c, ["execve", "exit_group"])
            c.process.update(noNewPrivileges=no_new_privileges, user={"uid": 1000, "gid": 1000})
            self.assert_run(c.run(), errno.EPERM)


class ProcessTest(SharedCase):
    @classmethod
    def prepare(cls, c):
        privileged(c)
        c.process["noNewPrivileges"] = True
        c.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
            "syscalls": [
                {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
                {"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS"},
                {
                    "names": ["kill"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "args": [{"index": 1, "value": 28, "op": "SCMP_CMP_EQ"}],
                },
            ],
        }
        c.mount("tmpfs", "/mnt", "mode=755", type="tmpfs")

    def test_no_new_privs(self):
        script = "grep NoNewPrivs /proc/1/status; grep NoNewPrivs /proc/self/status"
        self.assert_run(self.shared.exec_sh(script), 0, "NoNewPrivs:\t1\n" * 2)

    def test_seccomp(self):
        self.assert_run(self.shared.exec_sh("grep ^Seccomp: /proc/1/status /proc/self/status"), 0,
                        "/proc/1/status:Seccomp:\t2\n/proc/self/status:Seccomp:\t2\n")
        self.assert_run(self.shared.exec("/bin/mkdir", "/mnt/x"), 1, err="Operation not supported|[Nn]ot supported")
        self.assert_run(self.shared.exec("/bin/hostname", "x"), 159)
        self.assert_run(self.shared.exec_sh("kill -28 $$ || kill -0 $$"), 0, err="not permitted")

    def test_only_the_three_descriptors(self):
        """A fourth would be a way out (CVE-2024-21626)."""
        self.assert_run(self.shared.exec("/bin/ls", "/proc/1/fd"), 0, "0\n1\n2\n")
        self.assert_run(self.shared.exec_sh("exec ls -x /proc/self/fd"), 0, "0  1  2  3\n")  # 3 is ls's own

    def test_masked_and_read_only_paths(self):
        for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list"):
            self.assertEqual(self.shared.exec_sh(f"cat {path} 2>/dev/null | head -c 10").out, "", path)
        self.assert_run(self.shared.exec_sh("ls /sys/firmware"), 0, "")
        for path in ("/proc/sys/kernel/panic", "/proc/irq/default_smp_affinity"):
            self.assert_run(self.shared.exec_sh(f"echo 0 >{path}"), 1, err="Read-only file system")

    def test_devices_are_denied(self):
        script = "mknod /mnt/kmsg c 1 11 && head -c 1 /mnt/kmsg; rm -f /mnt/kmsg"
        self.assertRegex(self.shared.exec_sh(script).err, "Operation not permitted")
        script = "mknod /mnt/disk b 254 0 && head -c 1 /mnt/disk; rm -f /mnt/disk"
        self.assertRegex(self.shared.exec_sh(script).err, "Operation not permitted")

    def test_default_devices_work(self):
        script = ("echo x >/dev/null && head -c 2 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c && head -c 4 /dev/random | wc -c;"
                  "echo x >/dev/full; test -c /dev/tty && test -e /dev/ptmx && test -d /dev/pts && echo all;"
                  "for link in fd stdin stdout stderr; do readlink /dev/$link; done")  # fmt: skip
        result = self.assert_run(self.shared.exec_sh(script))
        self.assertEqual(result.out.split(), ["2", "3", "4", "all", "/proc/self/fd", *(f"/proc/self/fd/{i}" for i in range(3))])
        self.assertRegex(result.err, "No space left on device")


class DevicesTest(Case):
    def test_a_device_of_the_spec(self):
        c = self.sh("stat -c '%F %t:%T %a %u:%g' /dev/mine /dev/sub/mine; dd if=/dev/kmsg bs=1 count=0 && echo opened")
        privileged(c)
        c.linux["devices"] = [
            {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8},
            {"path": "/dev/sub/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 0, "gid": 0},
            {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o600, "uid": 0, "gid": 0},
        ]
        c.linux["resources"]["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"})
        result = self.assert_run(c.run())
        expected = "character special file 1:3 640 7:8\ncharacter special file 1:5 666 0:0\nopened\n"
        self.assertEqual(result.out, expected)

    @harness.kata_only
    def test_the_agents_channel_is_never_a_containers(self):
        """Whoever could open it would be the agent for the host."""
        c = self.sh(
            "found=0; for port in /sys/class/virtio-ports/*/dev; do found=$((found+1)); IFS=: read major minor <$port;"
            "mknod /mnt/port c $major $minor && (exec 3<>/mnt/port) && echo opened; rm -f /mnt/port; done; echo ports $found"
        )
        privileged(c)
        c.linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}]
        c.mount("tmpfs", "/mnt", type="tmpfs")
        result = self.assert_run(c.run())
        self.assertRegex(result.out, r"^ports [1-9]\n$")
        self.assertRegex(result.err, "Operation not permitted")


class HostileRootfsTest(Case):
    """Links of an image that name directories of the host: nothing there may change or be read."""

    def setUp(self):
        super().setUp()
        self.canary = self.world.tmp / "host"
        self.canary.mkdir()
        (self.canary / "file").write_text("of the host\n")

    def run_hostile(self, c):
        result = c.run()
        self.assertNotIn("of the host", result.out)
        self.assertEqual([path.name for path in self.canary.iterdir()], ["file"], result)
        self.assertEqual((self.canary / "file").read_text(), "of the host\n")
        return result

    def test_links_at_every_mount_point(self):
        c = self.sh("cat /dev/file /sys/file /data/file /link /up; echo x >/data/new; echo x >/link; true")
        for name in ("dev", "sys", "data", "proc/sys"):
            path = c.rootfs / name
            path.parent.mkdir(exist_ok=True)
            if path.is_dir():
                path.rmdir()
            path.symlink_to(self.canary)
        (c.rootfs / "link").symlink_to(self.canary / "file")
        (c.rootfs / "up").symlink_to("../../../../../../../.." + str(self.canary / "file"))
        data = self.world.tmp / "data"
        data.mkdir()
        c.mount(data, "/data", "rbind", "rw")
        self.run_hostile(c)

    def test_proc_is_a_link(self):
        c = self.sh("cat /proc/file")
        (c.rootfs / "proc").rmdir()
        (c.rootfs / "proc").symlink_to(self.canary)
        self.assert_run(self.run_hostile(c), 1, err="must be mounted on ordinary directory")

    def test_mount_targets_outside(self):
        c = self.sh("cat /outside/file && cat /new/mine")
        (c.rootfs / "outside").symlink_to(self.canary)
        mine = self.world.tmp / "mine"
        mine.mkdir()
        (mine / "mine").write_text("mine\n")
        c.mount(mine, "/outside/new", "bind")
        c.mount(mine, "/../../../../new", "bind")
        self.run_hostile(c)

    def test_a_working_directory_that_is_a_descriptor(self):
        c = self.container("/bin/cat", "file", "../file", "../../../../../../../../.." + str(self.canary / "file"))
        for number in range(3, 12):
            c.process["cwd"] = f"/proc/self/fd/{number}"
            result = self.run_hostile(c)
            self.assertNotEqual(result.status, 0, result)
            if harness.IS_KATA and number == 5:
                break  # each is a start of a machine


@harness.kata_only
class SandboxTest(SharedCase):
    def helpers(self):
        found = {}
        for helper in self.shared.record()["helpers"]:
            found[pathlib.Path(f"/proc/{helper['pid']}/comm").read_text().strip()] = helper["pid"]
        return found

    def fields(self, pid):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        return dict((line.split(":", 1)[0], line.split(":", 1)[1].split()) for line in lines)

    def test_the_vmm_has_no_privileges(self):
        pid = next(pid for name, pid in self.helpers().items() if name.startswith("qemu"))
        fields = self.fields(pid)
        self.assertGreater(min(map(int, fields["Uid"] + fields["Gid"])), 65535)
        self.assertEqual(fields.get("Groups", []), [])
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(fields[name][0], 16), 0, name)
        self.assertEqual((fields["Seccomp"], fields["NoNewPrivs"]), (["2"], ["1"]))
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        self.assertEqual(command[command.index("-sandbox") + 1],
                         "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
        for flag in ("-nodefaults", "-no-user-config"):
            self.assertIn(flag, command)

    def test_another_user_reaches_no_agent(self):
        """The number of a guest stands in QEMU's arguments, and its ports are for every process of the host."""
        pid = next(pid for name, pid in self.helpers().items() if name.startswith("qemu"))
        arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
        found = re.search(r"guest-cid=(\d+)", arguments)
        self.assertEqual(found is not None, os.path.exists("/dev/vhost-vsock"))
        paths = [path for path in (self.shared_world.root / self.shared.id).iterdir() if path.is_socket()]
        self.assertEqual(len(paths), 3)
        stranger = subprocess.run([sys.executable, "-c", STRANGER, found[1] if found else "0", *paths],
                                  user=65534, group=65534, extra_groups=[], cwd="/", capture_output=True,
                                  text=True, timeout=harness.TIMEOUT * 10)  # fmt: skip
        self.assertEqual((stranger.returncode, stranger.stdout, stranger.stderr), (0, "", ""))
        # The rule of the agent is that the host's port takes a privilege.
        program = "import socket; socket.socket(socket.AF_VSOCK).bind((socket.VMADDR_CID_ANY, 1))"
        bind = subprocess.run([sys.executable, "-c", program], user=65534, group=65534, capture_output=True, text=True)
        self.assertRegex(bind.stderr, "Permission denied")

    def test_no_socket_has_an_abstract_name(self):
        """It would have no mode, and be there for everyone in the network namespace (CVE-2020-15257)."""
        inodes = set()
        for pid in [self.shared.record()["sandbox"]["pid"], *self.helpers().values()]:
            for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                if found := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link)):
                    inodes.add(found[1])
        names = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]]
        mine = [fields[7:] for fields in names if fields[6] in inodes]
        self.assertGreater(len(mine), 3)
        self.assertEqual([name for name in mine if name and name[0].startswith("@")], [])

    def test_the_file_server_is_confined(self):
        pid = next(pid for name, pid in self.helpers().items() if name.startswith("kata-fsd"))
        family = [pid, *(int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        worker = family[-1]
        self.assertEqual(self.fields(worker)["Seccomp"], ["2"])
        sandbox = self.shared.record()["sandbox"]["pid"]
        for process in ("self", sandbox):
            self.assertNotEqual(os.readlink(f"/proc/{worker}/ns/mnt"), os.readlink(f"/proc/{process}/ns/mnt"))
        shared = self.shared_world.root / self.shared.id / "shared"
        self.assertTrue(os.path.samefile(f"/proc/{worker}/root", f"/proc/{sandbox}/root{shared}"))

    def test_files_are_for_root_alone(self):
        directory = self.shared_world.root / self.shared.id
        self.assertEqual(stat.S_IMODE(directory.stat().st_mode), 0o700)
        for name in ("task.sock", "standin.sock", "console.sock"):
            self.assertEqual(stat.S_IMODE((directory / name).stat().st_mode) & 0o077, 0, name)

    def test_no_mount_of_the_sandbox_is_seen_on_the_host(self):
        self.assertNotIn(str(self.shared_world.root), pathlib.Path("/proc/self/mountinfo").read_text())
        self.assertEqual(list((self.shared_world.root / self.shared.id / "shared").glob("*")), [])


if __name__ == "__main__":
    harness.main()
