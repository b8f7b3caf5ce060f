# SPDX-License-Identifier: Apache-2.0
"""configuration.toml, its drop-ins and a pod's annotations, as a container meets them."""
import re

import harness
from harness import Case


@harness.kata_only
class ConfigTest(Case):
    def refused(self, text, message):
        self.world.configure(text)
        c = self.container("/bin/true", image=None)
        self.assert_run(c.run(), 1, "", message)
        self.assert_nothing_left()

    def test_what_is_wrong_is_named_with_file_line_and_key(self):
        for text, message in (
            ("[hypervisor.qemu]\n\ndefualt_memory = 1\n", r"50-test.toml:3: hypervisor.qemu.defualt_memory: unknown key"),
            ('[hypervisor.qemu]\ndefault_memory = "much"\n', r"50-test.toml:2: hypervisor.qemu.default_memory: "),
            ("[hypervisor.qemu]\ndefault_memory = -1\n", r"50-test.toml:2: hypervisor.qemu.default_memory: "),
            ('[hypervisor.qemu]\naccel = "warp"\n', r"50-test.toml:2: hypervisor.qemu.accel: "),
            ('[runtime]\nlog_level = "loud"\n', r"50-test.toml:2: runtime.log_level: "),
            ("[hypervisor.qemu\n", r"50-test.toml:1"),
        ):
            with self.subTest(text):
                self.refused(text, message)

    def test_a_file_that_is_not_there(self):
        self.world.config = "/no/such/configuration.toml"
        c = self.container("/bin/true", image=None)
        self.assert_run(c.run(), 1, "", "/no/such/configuration.toml")
        self.world.config = ""
        self.world.environment["KATA_CONF_FILE"] = "/no/such/file.toml"
        self.assert_run(c.run(), 1, "", "/no/such/file.toml")

    def test_drop_ins_size_the_machine(self):
        c = self.sh("grep MemTotal /proc/meminfo; cat /proc/cmdline; ls /sys/devices/system/cpu | grep -c '^cpu[0-9]'")
        self.world.configure('[hypervisor.qemu]\ndefault_memory = 1024\nkernel_params = "quiet one=1"\ndefault_vcpus = 2\n')
        (self.world.config.parent / "config.d/60-later.toml").write_text("[hypervisor.qemu]\ndefault_memory = 512\n")
        result = self.assert_run(c.run())
        total = int(re.search(r"MemTotal: +(\d+) kB", result.out)[1]) // 1024
        self.assertTrue(512 * 8 // 10 < total < 512, total)
        self.assertIn("one=1", result.out.split())
        self.assertEqual(result.out.splitlines()[-1], "2")

    def test_environment_and_keys_that_are_not_used(self):
        self.world.configure("[hypervisor.qemu]\nenable_iommu = true\nmsize_9p = 8192\n")
        # Relative: the sandbox process, in another directory, must read the same file.
        self.world.environment["KATA_CONF_FILE"] = self.world.config.name
        directory, self.world.config = self.world.config.parent, ""
        result = self.assert_run(self.container("/bin/true").run(cwd=directory))
        self.assertEqual(len(re.findall("not used yet", result.err)), 1, result)
        self.assertIn("enable_iommu", result.err)

    def test_annotations_are_denied(self):
        for name, value in (("hypervisor.path", "/bin/true"), ("hypervisor.virtio_fs_daemon", "/bin/sh"),
                            ("hypervisor.default_memory", "4096"), ("hypervisor.kernel_params", "x"),
                            ("runtime.disable_guest_seccomp", "true")):  # fmt: skip
            c = self.container("/bin/true", image=None)
            name = "io.katacontainers.config." + name
            c.spec["annotations"] = {name: value}
            self.assert_run(c.run(), 1, "", re.escape(name))
        self.assert_nothing_left()

    def test_annotations_that_are_allowed(self):
        self.world.configure('[hypervisor.qemu]\nenable_annotations = ["default_memory", "kernel_params"]\n')
        c = self.sh("grep MemTotal /proc/meminfo; cat /proc/cmdline")
        c.spec["annotations"] = {
            "io.katacontainers.config.hypervisor.default_memory": "600",
            "io.katacontainers.config.hypervisor.kernel_params": "two=2",
            "org.example.other": "left alone",
        }
        result = self.assert_run(c.run())
        self.assertTrue(600 * 8 // 10 < int(re.search(r"MemTotal: +(\d+) kB", result.out)[1]) // 1024 < 600)
        self.assertIn("two=2", result.out.split())
        c = self.container("/bin/true", image=None)
        c.spec["annotations"] = {"io.katacontainers.config.hypervisor.path": "/bin/true"}
        self.assert_run(c.run(), 1, "", "hypervisor.path")

    def test_seccomp_of_the_guest_can_be_switched_off_by_the_operator(self):
        self.world.configure("[runtime]\ndisable_guest_seccomp = true\n")
        c = self.sh("mkdir /tmp/x && echo made")
        c.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW",
                              "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}  # fmt: skip
        self.assert_run(c.run(), 0, "made\n")

    def test_machine_microvm(self):
        self.world.configure('[hypervisor.qemu]\nmachine_type = "microvm"\n')
        self.assert_run(self.sh("cat /etc/hostname; test ! -e /sys/bus/pci/devices/* && echo no pci").run(), 0, "container\nno pci\n")


if __name__ == "__main__":
    harness.main()
