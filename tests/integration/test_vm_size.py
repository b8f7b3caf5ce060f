# SPDX-License-Identifier: Apache-2.0
"""A machine that grows with its containers, by kata-runtime and in pods of containerd's."""
import os
import pathlib
import re
import subprocess

import harness
from containerd import ContainerdCase
from cri import CriCase
from harness import Case

MIB = 1 << 20
BASE = 2048
CPUS = os.cpu_count()
# What the kernel keeps for itself is not in MemTotal.
KERNELS = 0.1
SHAPE = "grep MemTotal /proc/meminfo; grep -c ^processor /proc/cpuinfo"


def host_memory():
    return int(re.search(r"MemTotal: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) // 1024


class SizeCase(Case):
    def shape(self, text):
        """MiB and processors out of the output of SHAPE."""
        return int(re.search(r"MemTotal: +(\d+)", text)[1]) // 1024, int(text.splitlines()[-1])

    def assert_memory(self, seen, expected):
        self.assertLessEqual(seen, expected)
        self.assertGreater(seen, expected * (1 - KERNELS))


@harness.kata_only
class RuntimeTest(SizeCase):
    """A single container: sized at its start, grown by update."""

    def seen(self, container):
        return self.shape(self.assert_run(container.exec_sh(SHAPE)).out)

    def assert_grows_to(self, container, memory, cpus):
        harness.wait_for(lambda: self.seen(container)[0] > memory * (1 - KERNELS), f"{memory} MiB have come")
        seen = self.seen(container)
        self.assert_memory(seen[0], memory)
        self.assertEqual(seen[1], min(cpus, CPUS))

    def limit(self, container, name):
        return self.assert_run(container.exec("/bin/cat", f"/sys/fs/cgroup/{name}")).out.strip()

    def test_an_update_makes_it_grow(self):
        c = self.container("/bin/sleep", "1000")
        c.linux["resources"]["memory"] = {"limit": 256 * MIB}
        c.namespace("cgroup")
        self.start(c)
        self.assert_grows_to(c, BASE + 256, 1)
        self.assert_run(self.world.runtime("update", "--memory", "1G", "--cpu-quota", "100000", c.id))
        # In whole blocks of 128 MiB.
        self.assert_grows_to(c, BASE + 1024, 2)
        self.assertEqual(self.limit(c, "memory.max"), str(1024 * MIB))
        self.assertEqual(self.limit(c, "cpu.max"), "100000 100000")
        # What an update does not name stays as it is, in the guest and in the sum.
        self.assert_run(self.world.runtime("update", "--memory", "1536M", c.id))
        self.assert_grows_to(c, BASE + 1536, 2)
        self.assertEqual(self.limit(c, "cpu.max"), "100000 100000")
        self.assert_run(self.world.runtime("update", "--memory", "64M", c.id))
        self.assertEqual(self.limit(c, "memory.max"), str(64 * MIB))
        self.assert_memory(self.seen(c)[0], BASE + 1536)
        # The new memory is a container's.
        self.assert_run(self.world.runtime("update", "--memory", "1536M", c.id))
        self.assert_run(c.exec_sh("dd if=/dev/zero of=/dev/null bs=1200M count=1"), 0)

    def test_more_updates_than_there_are_slots(self):
        """A VM has room for 10 DIMMs; the later ones bring more, so that twelve steps are no more than ten."""
        c = self.container("/bin/sleep", "1000")
        c.namespace("cgroup")
        self.start(c)
        for step in range(1, 13):
            self.assert_run(self.world.runtime("update", "--memory", f"{step * 128}M", c.id))
            self.assertEqual(self.limit(c, "memory.max"), str(step * 128 * MIB))
        enough = (BASE + 12 * 128) * (1 - KERNELS)
        harness.wait_for(lambda: self.seen(c)[0] > enough, "all of it has come")
        self.assertLessEqual(self.seen(c)[0], host_memory())

    def test_more_than_the_host_has(self):
        """Create and update say the same."""
        much = host_memory() + 1
        c = self.container("/bin/true")
        c.linux["resources"]["memory"] = {"limit": much * MIB}
        reason = f"memory.limit: .* {much} MiB, more than this host has, {host_memory()} MiB"
        self.assert_run(c.run(), 1, "", reason)
        self.assert_nothing_left()
        c = self.started()
        self.assert_run(self.world.runtime("update", "--memory", f"{much}M", c.id), 1, err=reason)
        self.assert_run(self.world.runtime("update", "--memory", f"{host_memory()}M", c.id))
        self.assert_run(c.exec("/bin/echo", "lives"), 0, "lives\n")

    def test_a_base_that_the_host_does_not_have(self):
        self.world.configure(f"[hypervisor.qemu]\ndefault_memory = {host_memory() + 1}\n")
        self.assert_run(self.container("/bin/true").run(), 1, "", "default_memory: .* MiB is more than this host has")
        self.assert_nothing_left()

    def test_the_configurations_ceiling(self):
        self.world.configure("[hypervisor.qemu]\ndefault_memory = 512\ndefault_maxmemory = 1024\ndefault_maxvcpus = 1\n")
        c = self.started()
        self.assert_run(self.world.runtime("update", "--memory", "1025M", c.id), 1, err="more than default_maxmemory allows")
        self.assert_run(self.world.runtime("update", "--memory", "1024M", "--cpu-quota", "300000", c.id))
        self.assert_grows_to(c, 1024, 1)

    def test_a_size_that_stays(self):
        self.world.configure("[hypervisor.qemu]\ndefault_memory = 512\n[runtime]\nstatic_sandbox_resource_mgmt = true\n"
                             "static_sandbox_default_workload_mem = 128\nstatic_sandbox_default_workload_vcpus = 0.5\n")  # fmt: skip
        c = self.started()
        self.assert_grows_to(c, 640, 2)
        self.assert_run(self.world.runtime("update", "--memory", "640M", c.id))
        more = self.world.runtime("update", "--memory", "641M", c.id)
        self.assert_run(more, 1, err="memory.limit: 641 MiB are more than the 640 MiB .* cannot grow")
        self.assert_memory(self.seen(c)[0], 640)

    def test_an_overhead_in_place_of_the_base(self):
        self.world.configure("[hypervisor.qemu]\ndefault_memory = 512\noverhead_memory = 200\n")
        c = self.container("/bin/sleep", "1000")
        c.linux["resources"]["memory"] = {"limit": 100 * MIB}
        self.assert_grows_to(self.start(c), 300, 1)

    def test_virtio_mem_gives_back(self):
        self.world.configure("[hypervisor.qemu]\ndefault_memory = 512\nenable_virtio_mem = true\n")
        c = self.started()
        self.assert_run(self.world.runtime("update", "--memory", "400M", c.id))
        self.assert_grows_to(c, 912, 1)
        self.assert_run(self.world.runtime("update", "--memory", "100M", c.id))
        harness.wait_for(lambda: self.seen(c)[0] <= 612, "the guest has given memory back")
        self.assert_memory(self.seen(c)[0], 612)

    def test_freed_memory_goes_back_to_the_host(self):
        self.world.configure("[hypervisor.qemu]\nreclaim_guest_freed_memory = true\n")
        c = self.started()

        def resident():
            pids = [helper["pid"] for helper in c.record()["helpers"]]
            status = next(text for pid in pids if "qemu" in (text := pathlib.Path(f"/proc/{pid}/status").read_text()))
            return int(re.search(r"RssShmem:\s+(\d+)", status)[1]) // 1024

        before = resident()
        self.assert_run(c.exec_sh("dd if=/dev/zero of=/dev/null bs=600M count=1"), 0)
        harness.wait_for(lambda: resident() < before + 300, "what dd had taken is the host's again")


class PodTest(CriCase, SizeCase):
    """A pod: its containers come and go one by one."""

    def limited(self, memory, quota=0):
        def change(container):
            container.linux.resources.memory_limit_in_bytes = memory * MIB
            container.linux.resources.cpu_quota = quota
            container.linux.resources.cpu_period = 100000 if quota else 0

        return change

    def seen(self, container):
        return self.shape(self.assert_run(self.exec_sync(container, SHAPE), 0).out)

    def wait_for_memory(self, container, memory):
        harness.wait_for(lambda: self.seen(container)[0] > memory * (1 - KERNELS), f"{memory} MiB have come")
        self.assert_memory(self.seen(container)[0], memory)

    def test_it_grows_as_containers_come(self):
        pod = self.run_pod()
        first = self.start_container(pod, "first")
        self.assert_memory(self.seen(first)[0], BASE)
        self.assertEqual(self.seen(first)[1], 1)
        second = self.start_container(pod, "second", change=self.limited(512, 50000))
        self.wait_for_memory(first, BASE + 512)
        self.assertEqual(self.seen(first)[1], min(2, CPUS))
        self.assertEqual(self.exec_sync(second, "cat /sys/fs/cgroup/memory.max").out, f"{512 * MIB}\n")
        third = self.start_container(pod, "third", change=self.limited(256))
        self.wait_for_memory(third, BASE + 768)
        # What one leaves, the next one has.
        self.call("StopContainer", container_id=second, timeout=0)
        self.call("RemoveContainer", container_id=second)
        fourth = self.start_container(pod, "fourth", change=self.limited(512))
        self.assert_memory(self.seen(fourth)[0], BASE + 768)
        resources = self.api.LinuxContainerResources(memory_limit_in_bytes=1024 * MIB)
        self.call("UpdateContainerResources", container_id=fourth, linux=resources)
        self.wait_for_memory(fourth, BASE + 1280)
        self.assertEqual(self.exec_sync(fourth, "cat /sys/fs/cgroup/memory.max").out, f"{1024 * MIB}\n")

    def test_the_sum_of_a_pod_is_announced(self):
        """As the kubelet does; with the first container that needs more comes all that the pod will need."""
        config = self.pod_config(self.name())
        config.linux.resources.memory_limit_in_bytes = 1024 * MIB
        pod = self.run_pod(config=config)
        first = self.start_container(pod, "first", change=self.limited(100))
        self.wait_for_memory(first, BASE + 1024)

    def test_more_than_the_host_has(self):
        pod = self.run_pod()
        half = host_memory() // 2 + 1
        self.start_container(pod, "one", change=self.limited(half))
        with self.assertRaisesRegex(Exception, "memory.limit: .* more than this host has"):
            self.start_container(pod, "two", change=self.limited(half))
        self.start_container(pod, "three", change=self.limited(64))


class HugePagesTest(ContainerdCase):
    """A volume of huge pages, as the kubelet mounts it: without a size, which is the container's limit."""

    def volume(self):
        directory = self.world.tmp / "volumes/kubernetes.io~empty-dir/huge"
        directory.mkdir(parents=True)
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "hugetlbfs", directory], check=True)
        self.addCleanup(subprocess.run, ["umount", directory], check=True)
        return directory

    def run_pod_of_one(self, limits):
        bundle = self.container("/bin/sleep", "10000")
        bundle.spec["root"]["path"] = str(bundle.rootfs)
        bundle.spec["annotations"] = {"io.kubernetes.cri.container-type": "sandbox"}
        bundle.linux["cgroupsPath"] = f"/default/{bundle.id}"
        bundle.linux["resources"]["hugepageLimits"] = limits
        bundle.mount(self.volume(), "/huge", "rbind", "rw")
        bundle.write()
        flags = ("--runtime", "io.containerd.kata.v2", "--config", bundle.bundle / "config.json")
        return bundle.id, self.ctr("run", "-d", *flags, bundle.id)

    def test_a_volume(self):
        name, result = self.run_pod_of_one([{"pageSize": "2MB", "limit": 20 * MIB}])
        self.assert_run(result)
        self.assertIn(f"pagesize=2M,size={20 * MIB}", self.exec(name, "grep", "/huge", "/proc/mounts").out)
        total = "grep HugePages_Total /proc/meminfo"
        self.assertEqual(self.exec(name, "sh", "-c", total).out.split()[1], "10")
        self.assert_run(self.exec(name, "fallocate", "-l", str(20 * MIB), "/huge/all"))
        self.assertEqual(self.exec(name, "grep", "HugePages_Free", "/proc/meminfo").out.split()[1], "0")
        self.assertNotEqual(self.exec(name, "fallocate", "-l", str(2 * MIB), "/huge/more").status, 0)

    def test_without_a_limit(self):
        _, result = self.run_pod_of_one([])
        self.assertNotEqual(result.status, 0)
        self.assertRegex(result.err, "hugepageLimits has none for pages of 2048 KiB")


if __name__ == "__main__":
    harness.main()
