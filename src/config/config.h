// SPDX-License-Identifier: Apache-2.0
// The checked configuration: what configuration.toml, its drop-ins and a pod's annotations come to
// (docs/configuration.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace kata::config {

// [hypervisor.NAME]. Members are named as the keys; memory is in MiB. Some only QEMU has (qemu_keys.cpp).
struct HypervisorConfig {
  // hypervisor_name of [runtime]; else that of the only hypervisor that the files have a table for.
  std::string name = "qemu";
  std::string Table() const { return "hypervisor." + name; }
#if defined(__aarch64__)
  std::string path = "/usr/bin/qemu-system-aarch64";
  std::string machine_type = "virt";  // virt, q35 or microvm
#else
  std::string path = "/usr/bin/qemu-system-x86_64";
  std::string machine_type = "q35";  // q35 or microvm
#endif
  std::vector<std::string> valid_hypervisor_paths;  // globs; empty: only path itself
  std::string kernel = "/usr/share/kata-containers/vmlinux.container";
  std::string initrd = "/usr/share/kata-containers/kata-containers-initrd.img";
  std::string image;                            // accepted beside initrd, and not used yet
  std::string machine_accelerators;             // appended to -machine, without the first comma
  std::string cpu_features = "pmu=off";         // appended to -cpu, without the first comma
  std::string firmware;                         // -bios; empty: the VM's own
  std::string kernel_params;                    // appended to the kernel's command line
  std::vector<std::string> enable_annotations;  // regular expressions of annotation base names; empty: none is allowed
  std::string seccomp_sandbox = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";  // -sandbox
  double default_vcpus = 1;                            // may be a fraction; negative: all the processors of the host
  uint32_t default_maxvcpus = 0;                       // 0: as many as the host has
  uint32_t default_memory = 2048;                      // MiB
  uint64_t default_maxmemory = 0;                      // MiB; 0: as much as the host has
  double overhead_vcpus = 0;                           // beside limits, in place of default_vcpus; 0: that counts
  uint32_t overhead_memory = 0;                        // MiB; the same in place of default_memory
  uint32_t memory_slots = 10;                          // how often memory can be plugged
  bool enable_virtio_mem = false;                      // memory is plugged by virtio-mem, and can be unplugged
  bool disable_block_device_use = false;               // disks are not given to the guest
  std::string block_device_driver = "virtio-blk-pci";  // virtio-blk-pci or virtio-scsi (virtio-blk: virtio-blk-pci)
  std::string block_device_aio = "threads";            // threads, native or io_uring
  bool block_device_cache_set = false;                 // the next two count
  bool block_device_cache_direct = false;              // past the host's page cache
  bool block_device_cache_noflush = false;             // the guest's flushes are ignored
  bool enable_iothreads = false;                       // disks have a thread of the VMM's own
  uint32_t block_device_logical_sector_size = 0;       // 0: QEMU's choice; else a power of two
  uint32_t block_device_physical_sector_size = 0;
  uint32_t num_queues = 1;    // of a disk
  uint32_t queue_size = 128;  // of a disk; a power of two
  std::string virtio_fs_daemon = "/usr/lib/qemu/virtiofsd";
  std::vector<std::string> valid_virtio_fs_daemon_paths;  // globs; empty: only virtio_fs_daemon itself
  std::string virtio_fs_cache = "auto";                   // never, metadata, auto or always
  uint32_t virtio_fs_queue_size = 1024;                   // a power of two
  std::vector<std::string> virtio_fs_extra_args = {"--thread-pool-size=1", "-o", "announce_submounts"};
  bool enable_mem_prealloc = false;
  bool enable_hugepages = false;
  std::string entropy_source = "/dev/urandom";
  std::vector<std::string> valid_entropy_sources = {"/dev/urandom", "/dev/random"};
  bool enable_debug = false;
  bool reclaim_guest_freed_memory = false;
  std::string accel = "auto";             // auto, kvm or tcg; ours
  bool disable_vhost_net = false;         // true: QEMU's own virtio-net, also where the host has vhost-net
  uint32_t network_queues = 0;            // pairs of queues of each NIC; 0: as many as vCPUs
  uint64_t rx_rate_limiter_max_rate = 0;  // what the guest may receive, bits per second; 0: no limit
  uint64_t tx_rate_limiter_max_rate = 0;  // what the guest may send
  uint32_t default_bridges = 1;           // 1: with a bridge for devices that come while the guest runs; q35 only

  bool operator==(const HypervisorConfig&) const = default;
};

// [agent.kata].
struct AgentConfig {
  bool enable_debug = false;
  std::string log_level = "info";
  uint32_t dial_timeout_ms = 10;  // the pause between two attempts to connect, with vsock
  // Until the agent has answered (also dial_timeout, in seconds). Multiply by TimeoutScale and timeout_factor.
  uint32_t reconnect_timeout_ms = 10000;
  uint32_t create_container_timeout = 30;  // seconds; also a key of [runtime]
  uint32_t health_check_request_timeout_ms = 5000;
  uint32_t container_pipe_size = 0;         // bytes; 0: the agent chooses
  std::vector<std::string> kernel_modules;  // each "name option option..."; must be built into the guest's kernel

  bool operator==(const AgentConfig&) const = default;
};

// [runtime].
struct RuntimeConfig {
  bool enable_debug = false;
  std::string log_level = "info";
  std::string internetworking_model = "tcfilter";      // tcfilter, macvtap or none
  bool disable_new_netns = false;                      // true, with none only: the VMM stays in the host's network
  std::string dan_conf = "/run/kata-containers/dans";  // directory of SANDBOX_ID.json: directly attached networks
  bool static_sandbox_resource_mgmt = false;           // true: a VM keeps the size that it starts with
  // For a container or pod that has no limit, with the key above: added to default_memory (MiB) and default_vcpus.
  uint32_t static_sandbox_default_workload_mem = 0;
  double static_sandbox_default_workload_vcpus = 0;
  bool sandbox_cgroup_only = true;     // false: what is not a vCPU is in a cgroup of its own on the host
  bool disable_guest_seccomp = false;  // unlike Kata, where the container's seccomp filter is off by default
  double timeout_factor = 1;           // multiplies every time-out for the host's processes and the guest; ours
  // No key: where kata-standin was found, see LoadOptions::executable.
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
  std::string explicit_path;  // --config; must exist when not empty
  std::string env_path;       // $KATA_CONF_FILE; must exist when not empty; explicit_path goes first
  // The first of these that exists, when neither is given; none need exist.
  std::vector<std::string> search_paths = {"/etc/kata-containers/configuration.toml",
                                           "/usr/share/defaults/kata-containers/configuration.toml",
                                           "/opt/kata/share/defaults/kata-containers/configuration.toml"};
  // The running kata-runtime, absolute. The built-in defaults follow it: kata-standin beside it, or in
  // ../libexec/kata-containers; kernel and initrd of ../guest (a build directory), or of ../share/kata-containers. Keys
  // of a configuration file go first.
  std::string executable;

  // The file that somebody named; empty when nobody did.
  const std::string& named_file() const { return explicit_path.empty() ? env_path : explicit_path; }
};

// Where Load looks for a configuration file that nobody has named: search_paths, then the share/defaults of the
// installation that the executable belongs to.
std::vector<std::string> SearchPaths(const LoadOptions& options);

// The options of the running program: config_path is what --config gave (empty: nothing), the rest comes from the
// environment and /proc/self/exe. Paths are absolute, so that they mean the same in another directory.
LoadOptions OptionsOfProcess(const std::string& config_path);

struct Loaded {
  Config config;
  std::vector<std::string> files;     // what was read, in order
  std::vector<std::string> warnings;  // for the log
};

// Reads the configuration file and the drop-ins config.d/*.toml beside it, in the order of their names; a later key
// wins. Errors name file, line and key: kNotFound (a file that was named does not exist), kInvalidArgument.
Result<Loaded> Load(const LoadOptions& options);

// Reads one text over what config holds, as a file called name: for tests. Returns warnings.
Result<std::vector<std::string>> ApplyText(Config& config, const std::string& text, const std::string& name);

// Applies io.katacontainers.config.{hypervisor,runtime,agent}.* of a pod; other annotations are left alone. The gate is
// enable_annotations as it was before the call. Returns warnings. kPermissionDenied: an annotation that the
// configuration does not allow; kInvalidArgument, kUnimplemented: a value that cannot be had. config is unchanged after
// an error.
Result<std::vector<std::string>> ApplyAnnotations(Config& config,
                                                  const std::map<std::string, std::string>& annotations);

}  // namespace kata::config
