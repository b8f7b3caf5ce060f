// SPDX-License-Identifier: Apache-2.0
// The checked configuration: the result of configuration.toml, its drop-ins and a pod's annotations
// (docs/configuration.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace kata::config {

// The table [hypervisor.NAME]. Members have the names of their keys; memory is in MiB. Some keys only QEMU has
// (qemu_keys.cpp).
struct HypervisorConfig {
  // hypervisor_name of [runtime]; without it, NAME of the only [hypervisor.NAME] in the files.
  std::string name = "qemu";
  std::string Table() const { return "hypervisor." + name; }
#if defined(__aarch64__)
  std::string path = "/usr/bin/qemu-system-aarch64";
  std::string machine_type = "virt";  // only virt
#else
  std::string path = "/usr/bin/qemu-system-x86_64";
  std::string machine_type = "q35";  // q35 or microvm
#endif
  std::vector<std::string> valid_hypervisor_paths;  // globs for a pod's annotation; empty: only path itself
  std::string kernel = "/usr/share/kata-containers/vmlinux.container";
  std::string kernel_flavour = "minimal";  // or full: a kernel with more built in; an extension of ours
  // The kernel file of that flavour: kernel itself, or with "-full" before its suffix, as vmlinux-full.container.
  std::string KernelFile() const;
  std::string initrd = "/usr/share/kata-containers/kata-containers-initrd.img";
  std::string image;                            // not supported yet; ignored if initrd is set as well
  std::string machine_accelerators;             // appended to -machine after a comma
  std::string cpu_features = "pmu=off";         // appended to -cpu after a comma
  std::string firmware;                         // -bios; empty: the default, see Firmware (qemu/host_files.h)
  std::string kernel_params;                    // appended to the kernel's command line
  std::vector<std::string> enable_annotations;  // regular expressions for names of annotations; empty: allows none
  std::string seccomp_sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";  // -sandbox
  double default_vcpus = 1;                            // may be a fraction; negative: as many as the host has CPUs
  uint32_t default_maxvcpus = 0;                       // 0: as many as the host has CPUs
  uint32_t default_memory = 2048;                      // MiB
  uint64_t default_maxmemory = 0;                      // MiB; 0: as much as the host has
  double overhead_vcpus = 0;                           // replaces default_vcpus if there is a CPU limit; 0: does not
  uint32_t overhead_memory = 0;                        // MiB; replaces default_memory if there is a memory limit
  uint32_t memory_slots = 10;                          // DIMM slots: how many times memory can be plugged
  bool enable_virtio_mem = false;                      // virtio-mem instead of DIMMs, so memory can be unplugged too
  bool disable_block_device_use = false;               // true: the guest gets no disks of the host
  std::string block_device_driver = "virtio-blk-pci";  // virtio-blk-pci or virtio-scsi (virtio-blk: virtio-blk-pci)
  std::string block_device_aio = "threads";            // threads, native or io_uring
  bool block_device_cache_set = false;                 // true: the next two keys have an effect
  bool block_device_cache_direct = false;              // bypasses the host's page cache
  bool block_device_cache_noflush = false;             // ignores flush requests of the guest
  bool enable_iothreads = false;                       // disks are served by an I/O thread of QEMU
  uint32_t block_device_logical_sector_size = 0;       // bytes, a power of two; 0: QEMU's default
  uint32_t block_device_physical_sector_size = 0;      // bytes, a power of two; 0: QEMU's default
  uint32_t num_queues = 1;                             // of each disk
  uint32_t queue_size = 128;                           // of each disk's queue; a power of two
  std::string virtio_fs_daemon = "/usr/libexec/kata-containers/kata-fsd";  // see LoadOptions::executable
  std::vector<std::string> valid_virtio_fs_daemon_paths;  // globs for annotations; empty: only virtio_fs_daemon itself
  std::string virtio_fs_cache = "auto";                   // never, metadata, auto or always
  uint32_t virtio_fs_queue_size = 1024;                   // a power of two
  std::vector<std::string> virtio_fs_extra_args = {"--thread-pool-size=1", "-o", "announce_submounts"};
  bool enable_mem_prealloc = false;
  bool enable_hugepages = false;
  std::string entropy_source = "/dev/urandom";
  std::vector<std::string> valid_entropy_sources = {"/dev/urandom", "/dev/random"};
  bool enable_debug = false;
  bool reclaim_guest_freed_memory = false;
  std::string accel = "auto";             // auto, kvm or tcg; an extension of ours
  std::string apparmor = "auto";          // auto, on or off: whether profiles are entered; an extension of ours
  bool disable_selinux = false;           // true: the VMM and the file server get no label
  std::string selinux_label;              // theirs, if the container has none
  bool disable_vhost_net = false;         // true: QEMU moves the packets, also where the host has vhost-net
  uint32_t network_queues = 0;            // pairs of queues of each network card; 0: as many as vCPUs, at most 64
  uint64_t rx_rate_limiter_max_rate = 0;  // what the guest may receive, bits per second; 0: no limit
  uint64_t tx_rate_limiter_max_rate = 0;  // what the guest may send, bits per second; 0: no limit
  uint32_t default_bridges = 1;           // 1: a PCI bridge for hot-plugged devices; q35 only

  bool operator==(const HypervisorConfig&) const = default;
};

// The table [agent.kata].
struct AgentConfig {
  bool enable_debug = false;
  std::string log_level = "info";
  uint32_t dial_timeout_ms = 10;  // the pause between two attempts to connect over vsock
  // Time allowed until the agent answers; also set by dial_timeout, in seconds. Callers scale it by
  // AccelChoice::timeout_scale (hypervisor/hypervisor.h) and timeout_factor.
  uint32_t reconnect_timeout_ms = 10000;
  uint32_t create_container_timeout = 30;  // seconds; also accepted in [runtime]
  uint32_t health_check_request_timeout_ms = 5000;
  uint32_t container_pipe_size = 0;         // bytes; 0: the agent chooses
  std::vector<std::string> kernel_modules;  // "NAME OPTION..."; each must be built into the guest's kernel

  bool operator==(const AgentConfig&) const = default;
};

// The table [runtime].
struct RuntimeConfig {
  bool enable_debug = false;
  std::string log_level = "info";
  std::string internetworking_model = "tcfilter";      // tcfilter, macvtap or none
  bool disable_new_netns = false;                      // true: the VMM stays in the host's; needs the model none
  std::string dan_conf = "/run/kata-containers/dans";  // directory with SANDBOX_ID.json: directly attached networks
  bool static_sandbox_resource_mgmt = false;           // true: the VM keeps its initial size
  // With static_sandbox_resource_mgmt, for a container or pod without a limit: added to default_memory (MiB) and
  // default_vcpus.
  uint32_t static_sandbox_default_workload_mem = 0;
  double static_sandbox_default_workload_vcpus = 0;
  bool sandbox_cgroup_only = true;     // false: all but the vCPUs is in a separate overhead cgroup on the host
  bool disable_guest_seccomp = false;  // true: containers run without their seccomp filter; true is Kata's default
  double timeout_factor = 1;           // scales all time-outs for processes of the host and guests; ours
  // Not a key: the path of kata-standin, see LoadOptions::executable.
  std::string standin_path = "/usr/libexec/kata-containers/kata-standin";

  bool operator==(const RuntimeConfig&) const = default;
};

struct Config {
  HypervisorConfig hypervisor;
  AgentConfig agent;
  RuntimeConfig runtime;

  bool operator==(const Config&) const = default;
};

struct LoadOptions {
  std::string explicit_path;  // --config; if not empty, the file must exist
  std::string env_path;       // $KATA_CONF_FILE; if not empty, the file must exist. explicit_path has precedence
  // Where to look if neither is given: the first file that exists is used. None need exist.
  std::vector<std::string> search_paths = {"/etc/kata-containers/configuration.toml",
                                           "/usr/share/defaults/kata-containers/configuration.toml",
                                           "/opt/kata/share/defaults/kata-containers/configuration.toml"};
  // The absolute path of the running executable. It determines defaults: kata-standin and kata-fsd in the same
  // directory or in ../libexec/kata-containers; kernel and initrd in ../guest (a build directory) or
  // ../share/kata-containers. Keys of a configuration file have precedence.
  std::string executable;

  // The file that the user named; empty: none.
  const std::string& named_file() const { return explicit_path.empty() ? env_path : explicit_path; }
};

// Where Load looks for a configuration file if the user named none: search_paths, then
// share/defaults/kata-containers/configuration.toml of the installation that the executable belongs to.
std::vector<std::string> SearchPaths(const LoadOptions& options);

// The options of the running program, from the argument of --config (empty: not given), the environment and
// /proc/self/exe. All paths are made absolute, so that a change of the working directory does not matter.
LoadOptions OptionsOfProcess(const std::string& config_path);

struct Loaded {
  Config config;
  std::vector<std::string> files;     // the files that were read, in order
  std::vector<std::string> warnings;  // for the log
};

// Reads the configuration file and the drop-ins config.d/*.toml in its directory, in the order of their names; later
// values override earlier ones. Messages name file, line and key. kNotFound: the file that the user named does not
// exist; kInvalidArgument: an unknown key or a wrong value; kUnimplemented: a known key has an unsupported value.
Result<Loaded> Load(const LoadOptions& options);

// For tests: applies one TOML text to config, as if it were a file called name. Returns warnings. config is unchanged
// after an error.
Result<std::vector<std::string>> ApplyText(Config& config, const std::string& text, const std::string& name);

// Applies the annotations io.katacontainers.config.{hypervisor,runtime,agent}.* of a pod; ignores all others. The
// enable_annotations of config before the call decides which are allowed. Returns warnings. kPermissionDenied: the
// configuration does not allow an annotation; kInvalidArgument: an unknown annotation or a wrong value; kUnimplemented:
// an unsupported value. config is unchanged after an error.
Result<std::vector<std::string>> ApplyAnnotations(Config& config,
                                                  const std::map<std::string, std::string>& annotations);

}  // namespace kata::config
