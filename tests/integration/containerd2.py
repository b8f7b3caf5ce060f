# SPDX-License-Identifier: Apache-2.0
"""containerd 2.1, which this machine's Debian does not have: the package of a newer suite, unpacked."""
import debian
from containerd import Containerd

SUITE = "forky"

CONFIG = """
version = 3
root = "{tmp}/root"
state = "{tmp}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.nri.v1.nri"]
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
"""


class Containerd2(Containerd):
    config = CONFIG

    def __init__(self, log_level="debug"):
        self.programs = str(debian.package(SUITE, "containerd") / "usr/bin")
        super().__init__(log_level)
