# SPDX-License-Identifier: Apache-2.0
"""Limits, sysctls and host name of a container, and the size of the machine around it."""
import json
import os
import pathlib
import re
import subprocess

import harness
from harness import Case, SharedCase

MIB = 1 << 20
CPUS = f"0-{os.cpu_count() - 1}" if os.cpu_count() > 1 else "0"


class LimitsTest(Case):
    def test_out_of_memory_kills(self):
        c = self.container("/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
        c.linux["resources"]["memory"] = {"limit": 48 * MIB}
        self.assert_run(c.run(), 137, "")
        self.assert_nothing_left()

    def test_out_of_memory_of_a_child_leaves_the_container(self):
        c = self.sh("dd if=/dev/zero of=/dev/null bs=200M count=1; echo status $?; exit 5")
        c.linux["resources"]["memory"] = {"limit": 48 * MIB}
        self.assert_run(c.run(), 5, "status 137\n")

    def test_pids(self):
        c = self.sh("i=0; while [ $i -lt 40 ]; do sleep 100 & i=$((i+1)); done; echo all started")
        c.linux["resources"]["pids"] = {"limit": 16}
        result = c.run()
        self.assertNotIn("all started", result.out)
        self.assertRegex(result.err, "can't fork")

    @harness.kata_only
    def test_too_little_memory_for_any_process(self):
        """Refused at once; runc leaves it to the kernel, whose answers differ."""
        for limits in ({"memory": {"limit": 4096}}, {"memory": {"limit": MIB - 1}}, {"unified": {"memory.max": "65536"}}):
            with self.subTest(limits):
                c = self.container("/bin/true")
                c.linux["resources"].update(limits)
                self.assert_run(c.run(), 1, "", r"linux\.resources\..*memory.*1048576")
        self.assert_nothing_left()

    @harness.kata_only
    def test_too_little_memory_for_the_init(self):
        """Above the least limit, but less than the tmpfs that the init fills."""
        c = self.container("/bin/true")
        c.linux["resources"]["memory"] = {"limit": MIB}
        (c.rootfs / "big").mkdir()
        (c.rootfs / "big" / "file").write_bytes(b"x" * 4 * MIB)
        c.mount("tmpfs", "/big", "tmpcopyup", type="tmpfs")
        self.assert_run(c.run(), 1, "", f"linux\\.resources\\.memory\\.limit: {MIB} bytes are too few")
        self.assert_nothing_left()

    @harness.kata_only
    def test_a_little_memory_is_enough(self):
        """What the agent's stages take is below the least limit that is accepted."""
        c = self.container("/bin/true")
        c.linux["resources"]["memory"] = {"limit": MIB}
        self.assert_run(c.create())
        self.assertEqual(c.status(), "created")

    def test_what_cgroup_v2_has_not_is_ignored(self):
        c = self.sh("echo up")
        c.linux["resources"]["memory"] = {"swappiness": 5, "disableOOMKiller": True, "kernelTCP": 100 * MIB}
        self.assert_run(c.run(), 0, "up\n")

    def test_rlimits(self):
        c = self.sh("cat /proc/self/limits")
        c.process["rlimits"] = [
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_FSIZE", "soft": 1000, "hard": 2000},
        ]
        result = self.assert_run(c.run())
        self.assertRegex(result.out, r"Max open files +100 +200 ")
        self.assertRegex(result.out, r"Max core file size +0 +0 ")
        self.assertRegex(result.out, r"Max file size +1000 +2000 ")

    def test_oom_score_and_sysctl(self):
        c = self.sh("cat /proc/1/oom_score_adj /proc/self/oom_score_adj /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax")
        c.process["oomScoreAdj"] = 500
        c.linux["sysctl"] = {"net.core.somaxconn": "1234", "kernel.msgmax": "4321"}
        self.assert_run(c.run(), 0, "500\n500\n1234\n4321\n")

    def test_hostname(self):
        c = self.sh("hostname; cat /proc/sys/kernel/hostname")
        c.spec["hostname"] = "a-host"
        self.assert_run(c.run(), 0, "a-host\na-host\n")

    @harness.kata_only
    def test_domainname(self):
        """Debian's runc is older than the field."""
        c = self.sh("cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname")
        c.spec["hostname"], c.spec["domainname"] = "a-host", "a-domain"
        self.assert_run(c.run(), 0, "a-host\na-domain\n")

    def test_a_sysctl_of_the_network_in_a_user_namespace(self):
        """Podman adds this one by itself. Its groups are the container's."""
        c = self.sh("cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/core/somaxconn")
        c.namespace("user")
        for kind in ("uidMappings", "gidMappings"):
            c.linux[kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        subprocess.run(["chown", "-R", "100000:100000", c.bundle], check=True)
        c.linux["sysctl"] = {"net.ipv4.ping_group_range": "0 7", "net.core.somaxconn": "1234"}
        self.assert_run(c.run(), 0, "0\t7\n1234\n")

    def test_a_sysctl_of_the_host_is_refused(self):
        """Without a namespace of its own it would be somebody else's."""
        c = self.container("/bin/true")
        c.linux["sysctl"] = {"vm.swappiness": "1"}
        self.assert_run(c.run(), 1, err="sysctl.*vm.swappiness")


@harness.kata_only
class GuestTest(SharedCase):
    """What the container's own kernel enforces, and this host's could not or would not."""

    @classmethod
    def prepare(cls, c):
        c.linux["resources"].update(
            memory={"limit": 256 * MIB, "reservation": 128 * MIB},
            cpu={"quota": 50000, "period": 100000, "shares": 512, "cpus": CPUS},
            pids={"limit": 77},
            hugepageLimits=[{"pageSize": "2MB", "limit": 4 * MIB}],
            unified={"memory.high": str(200 * MIB)},
        )
        c.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 900000, "hard": 1000000}]
        c.process["oomScoreAdj"] = -500
        c.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 7}
        c.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
        c.namespace("cgroup")

    def test_cgroup(self):
        expected = {
            "memory.max": str(256 * MIB),
            "memory.low": str(128 * MIB),
            "memory.high": str(200 * MIB),
            "cpu.max": "50000 100000",
            "cpu.weight": "20",
            "pids.max": "77",
            "hugetlb.2MB.max": str(4 * MIB),
        }
        for name, value in expected.items():
            self.assert_run(self.shared.exec("/bin/cat", f"/sys/fs/cgroup/{name}"), 0, value + "\n")
        self.assert_run(self.shared.exec("/bin/cat", "/proc/1/cgroup"), 0, "0::/\n")
        self.assert_run(self.shared.exec_sh("echo 1 >/sys/fs/cgroup/pids.max"), 1, err="Read-only file system")

    def test_rlimits_above_the_hosts(self):
        self.assert_run(self.shared.exec_sh("ulimit -Sn; ulimit -Hn"), 0, "900000\n1000000\n")

    def test_oom_score_below_the_hosts(self):
        self.assert_run(self.shared.exec("/bin/cat", "/proc/1/oom_score_adj"), 0, "-500\n")

    def test_io_priority_and_scheduler(self):
        self.assert_run(self.shared.exec_sh("ionice -p 1"), 0, "best-effort: prio 7\n")
        fields = self.shared.exec("/bin/cat", "/proc/1/stat").out.rsplit(")", 1)[1].split()
        self.assertEqual((fields[16], fields[38]), ("5", "3"), "nice and SCHED_BATCH")

    def test_size_of_the_machine(self):
        """Base of the configuration plus the limit; the rest is what the kernel keeps for itself."""
        total = int(re.search(r"MemTotal: +(\d+) kB", self.shared.exec("/bin/cat", "/proc/meminfo").out)[1]) // 1024
        self.assertLess(total, 2048 + 256)
        self.assertGreater(total, (2048 + 256) * 9 // 10)
        cpus = len(re.findall("^processor", self.shared.exec("/bin/cat", "/proc/cpuinfo").out, re.M))
        self.assertEqual(cpus, min(2, os.cpu_count()))  # 1.5, rounded up

    def test_update(self):
        self.assert_run(self.shared_world.runtime("update", "--pids-limit", "55", "--memory", "270M", self.shared.id))
        self.assert_run(self.shared.exec("/bin/cat", "/sys/fs/cgroup/pids.max"), 0, "55\n")
        self.assert_run(self.shared.exec("/bin/cat", "/sys/fs/cgroup/memory.max"), 0, f"{270 * MIB}\n")
        self.assert_run(self.shared_world.runtime("update", "--pids-limit", "77", "--memory", "256M", self.shared.id))
        more = self.shared_world.runtime("update", "--memory", "100G", self.shared.id)
        self.assert_run(more, 1, err="memory.limit: .* more than this host has")

    def host_limit(self, *names):
        """What a file of the container's cgroup on this host says: its name with version 2, that with version 1."""
        directories = [path for path in self.shared.record()["cgroupPaths"] if path.endswith(self.shared.id)]
        paths = [pathlib.Path(directory) / name for directory in directories for name in names]
        # None: a host with systemd enables no cpuset in cgroups below its root.
        return next((path.read_text().strip() for path in paths if path.exists()), None)

    def test_the_cgroup_on_the_host(self):
        """A hostile guest does not enforce its limits. There is room for what a VM needs beside its containers."""
        self.assertIn(self.host_limit("cpu.max", "cpu.cfs_quota_us"), ("50000 100000", "50000"))
        self.assertIn(self.host_limit("cpu.weight", "cpu.shares"), ("20", "512"))
        self.assertIn(self.host_limit("cpuset.cpus"), (CPUS, None))
        self.assertEqual(self.host_limit("pids.max"), str(77 + 256))
        memory = int(self.host_limit("memory.max", "memory.limit_in_bytes"))
        self.assertIn(memory // MIB, range(2048 + 256 + 512, 4096))
        update = {"pids": {"limit": 33}, "cpu": {"quota": 150000}, "memory": {"limit": 512 * MIB}}
        self.assert_run(self.shared_world.runtime("update", "-r", "-", self.shared.id, input=json.dumps(update).encode()))
        self.assertIn(self.host_limit("cpu.max", "cpu.cfs_quota_us"), ("150000 100000", "150000"))
        self.assertEqual(self.host_limit("pids.max"), str(33 + 256))
        more = int(self.host_limit("memory.max", "memory.limit_in_bytes"))
        self.assertGreaterEqual(more, (2048 + 512 + 512) * MIB)
        update = {"pids": {"limit": 77}, "cpu": {"quota": 50000}, "memory": {"limit": 256 * MIB}}
        self.assert_run(self.shared_world.runtime("update", "-r", "-", self.shared.id, input=json.dumps(update).encode()))
        self.assertEqual(int(self.host_limit("memory.max", "memory.limit_in_bytes")), more, "it may still have the memory")
        if self.host_limit("cpuset.cpus") is not None:
            refused = self.shared_world.runtime("update", "--cpuset-cpus", "8191", self.shared.id)
            self.assert_run(refused, 1, err="limits of the container's cgroup on the host: .*cpuset.cpus")
            self.assertEqual(self.host_limit("cpuset.cpus"), CPUS)

    def test_only_the_networks_own_interfaces(self):
        self.assert_run(self.shared.exec("/bin/ls", "/sys/class/net"), 0, "lo\n")


if __name__ == "__main__":
    harness.main()
