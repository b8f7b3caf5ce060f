# SPDX-License-Identifier: Apache-2.0
"""A kernel that lacks parts: it works without, or one line says what is missing."""
import contextlib
import pathlib
import subprocess

import harness
import netns
from test_kvm import words_of_qemu

BLOCKED = pathlib.Path("/run/modprobe.d/kata-tests.conf")


@contextlib.contextmanager
def without(*modules):
    """These modules are not loaded, and cannot be."""
    loaded = [line.split()[0] for line in pathlib.Path("/proc/modules").read_text().splitlines()]
    made = not BLOCKED.parent.exists()
    BLOCKED.parent.mkdir(exist_ok=True)
    BLOCKED.write_text("".join(f"install {module} /bin/false\n" for module in modules))
    unloaded = [module for module in modules if module in loaded]
    try:
        for module in unloaded:
            subprocess.run(["rmmod", module], check=True)
        yield
    finally:
        BLOCKED.unlink()
        if made:
            BLOCKED.parent.rmdir()
        for module in unloaded:
            subprocess.run(["modprobe", module], check=True)


class KernelPartsTest(netns.NetworkCase):
    def test_vhost(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        with without("vhost_net", "vhost_vsock"):
            container = self.started_pod(ns)
            self.assertFalse([word for word in words_of_qemu(container) if "vhost-vsock" in word or "vhost=on" in word])
            self.assert_run(container.exec_sh(f"ping -c 1 {netns.HOST4} >/dev/null && echo there"), 0, "there\n")

    def test_filters(self):
        ns = self.net.namespace()
        self.net.veth(ns)
        filters = "load the modules cls_u32 and act_mirred, or set internetworking_model"
        for module, words in (
            ("sch_ingress", "load the module sch_ingress, or set internetworking_model"),
            ("cls_u32", filters),
            ("act_mirred", filters),
        ):
            with self.subTest(module), without(module):
                self.assert_run(self.pod(ns).run(), 1, err=f"this host's kernel lacks it; {words}")


if __name__ == "__main__":
    harness.main()
