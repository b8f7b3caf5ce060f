# SPDX-License-Identifier: Apache-2.0
"""containerd 2.1, which this machine's Debian does not have: the package of a newer suite, unpacked."""
import subprocess

import debian
from containerd import Containerd

SUITE = "forky"

CONFIG = """
version = 3
root = "{tmp}/root"
state = "{tmp}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{tmp}/c.sock"
[debug]
level = "{log_level}"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
[plugins."io.containerd.grpc.v1.cri"]
stream_server_address = "127.0.0.1"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
enable_cdi = true
cdi_spec_dirs = ["{tmp}/cdi"]
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{tmp}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "kata"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata]
runtime_type = "io.containerd.kata.v2"
privileged_without_host_devices = true
pod_annotations = ["io.katacontainers.*"]
sandboxer = "shim"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata-configured]
runtime_type = "io.containerd.kata.v2"
sandboxer = "shim"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata-configured.options]
ConfigPath = "{tmp}/configuration.toml"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata-pause]
runtime_type = "io.containerd.kata.v2"
sandboxer = "podsandbox"
[plugins."io.containerd.nri.v1.nri"]
socket_path = "{tmp}/nri.sock"
plugin_path = "{tmp}/nri"
plugin_config_path = "{tmp}/nri.d"
"""
SNAPSHOTTERS = """
[plugins."io.containerd.snapshotter.v1.blockfile"]
scratch_file = "{tmp}/scratch.img"
fs_type = "ext4"
mount_options = []
[plugins."io.containerd.service.v1.diff-service"]
default = ["erofs", "walking"]
"""


class Containerd2(Containerd):
    config = CONFIG

    def __init__(self, log_level="debug"):
        self.programs = str(debian.package(SUITE, "containerd") / "usr/bin")
        super().__init__(log_level)


class Containerd2WithSnapshotters(Containerd2):
    """With what the snapshotters blockfile and erofs need."""

    config = CONFIG + SNAPSHOTTERS

    def start(self):
        scratch = self.tmp / "scratch.img"
        if not scratch.exists():
            subprocess.run(["mkfs.ext4", "-q", "-F", scratch, "64m"], check=True, stdout=subprocess.DEVNULL)
            # Debian 12's cannot make a file system of a tar file.
            debian.wrapper(debian.tree(SUITE, "erofs-utils"), "usr/bin/mkfs.erofs", self.tmp / "bin/mkfs.erofs")
        super().start()
