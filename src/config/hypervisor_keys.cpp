// SPDX-License-Identifier: Apache-2.0
// The keys that every hypervisor's table has, used and not used yet. Keys of a single hypervisor have their own file.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <regex>

#include "config/file_server_arguments.h"
#include "config/rules.h"

namespace kata::config {
namespace {

using H = HypervisorConfig;

constexpr int64_t kMaxMemoryMib = int64_t{16} << 20U;  // 16 TiB
constexpr int kMaxVcpus = 1024;
constexpr int kMaxNetworkQueues = 64;                     // the descriptors of a network card are sent in one message
constexpr int64_t kMaxRate = int64_t{1000} * 1000000000;  // bits per second

Result<> RegularExpression(const std::string& text) {
  TRY(Printable(text));
  try {
    const std::regex compiled(text);
    return {};
  } catch (const std::regex_error& error) {
    return Fail(Code::kInvalidArgument, "expected a regular expression, found {}: {}", Shown(text), error.what());
  }
}

Key Vcpus() {
  return Key{.name = "default_vcpus", .type = Type::kNumber, .set = [](Config& config, const Value& value) -> Result<> {
               const double number = std::get<double>(value);
               if (!std::isfinite(number) || number > kMaxVcpus) {
                 return Fail(Code::kInvalidArgument,
                             "expected a number of at most {} (negative: all processors of the host), found {}",
                             kMaxVcpus, number);
               }
               // In Kata's configuration 0 means the default.
               config.hypervisor.default_vcpus = number == 0 ? H().default_vcpus : std::max(number, -1.0);
               return {};
             }};
}

Key Named(Key key, std::string annotation) {
  key.annotation = std::move(annotation);
  return key;
}

// zero: 0 is allowed in addition to the range.
Key PowerOfTwo(const char* name, uint32_t H::*member, int64_t min, int64_t max, bool zero = false) {
  Key key = Integer(name, member, zero ? 0 : min, max);
  key.set = [=, in_range = key.set](Config& config, const Value& value) -> Result<> {
    const int64_t size = std::get<int64_t>(value);
    if (size > 0 && ((size & (size - 1)) != 0 || size < min)) {
      return Fail(Code::kInvalidArgument, "expected a power of two of {} to {}, found {}", min, max, size);
    }
    return in_range(config, value);
  };
  return key;
}

// The keys for disks that are plugged.
std::vector<Key> DiskKeys() {
  return {Bool("disable_block_device_use", &H::disable_block_device_use),
          Text("block_device_driver", &H::block_device_driver, OneOf({"virtio-blk-pci", "virtio-blk", "virtio-scsi"})),
          Text("block_device_aio", &H::block_device_aio, OneOf({"threads", "native", "io_uring"})),
          Bool("block_device_cache_set", &H::block_device_cache_set),
          Bool("block_device_cache_direct", &H::block_device_cache_direct),
          Bool("block_device_cache_noflush", &H::block_device_cache_noflush),
          Bool("enable_iothreads", &H::enable_iothreads),
          Named(PowerOfTwo("block_device_logical_sector_size", &H::block_device_logical_sector_size, 512, 65536,
                           /*zero=*/true),
                "blk_logical_sector_size"),
          Named(PowerOfTwo("block_device_physical_sector_size", &H::block_device_physical_sector_size, 512, 65536,
                           /*zero=*/true),
                "blk_physical_sector_size"),
          Named(Integer("num_queues", &H::num_queues, 1, 256), "block_device_num_queues"),
          Named(PowerOfTwo("queue_size", &H::queue_size, 4, 1024), "block_device_queue_size")};
}

Key ExtraArguments() {
  Key key = List("virtio_fs_extra_args", &H::virtio_fs_extra_args, Printable);
  key.set = [stored = key.set](Config& config, const Value& value) -> Result<> {
    TRY(FileServerArguments(std::get<std::vector<std::string>>(value)));
    return stored(config, value);
  };
  return key;
}

Key WithPodCheck(Key key, std::function<Result<>(const Config&, const std::string&)> check) {
  key.check_pod = std::move(check);
  return key;
}

// A file for the guest. A pod may only choose another file in the directory of the operator's file.
Key GuestFile(const char* name, std::string H::*member, TextRule rule) {
  return WithPodCheck(Text(name, member, std::move(rule)), [member](const Config& config, const std::string& path) {
    return InDirectoryOf(config.hypervisor.*member, path);
  });
}

Key KernelParams() {
  Key key = Text("kernel_params", &H::kernel_params, Printable);
  key.appended_to = [](const Config& config) { return config.hypervisor.kernel_params; };
  return key;
}

// Refused if true: the guest would run without the protection from the host that was asked for.
Key ConfidentialGuest() { return MustBeFalse("confidential_guest", "confidential guests are not supported yet"); }

std::vector<Key> UsedKeys() {
  return {
      WithPodCheck(Text("path", &H::path, AbsolutePath),
                   [](const Config& config, const std::string& path) {
                     return CoveredBy(config.hypervisor.valid_hypervisor_paths, config.hypervisor.path,
                                      "valid_hypervisor_paths", path);
                   }),
      List("valid_hypervisor_paths", &H::valid_hypervisor_paths, AbsolutePath),
      GuestFile("kernel", &H::kernel, AbsolutePath),
      Text("kernel_flavour", &H::kernel_flavour, OneOf({"minimal", "full"})),
      GuestFile("initrd", &H::initrd, AbsolutePath),
      GuestFile("image", &H::image, AbsolutePathOrEmpty),
      GuestFile("firmware", &H::firmware, AbsolutePathOrEmpty),
      KernelParams(),
      List("enable_annotations", &H::enable_annotations, RegularExpression),
      Vcpus(),
      Named(Integer("default_maxvcpus", &H::default_maxvcpus, 0, kMaxVcpus), "default_max_vcpus"),
      Integer("default_memory", &H::default_memory, 32, kMaxMemoryMib),
      Integer("default_maxmemory", &H::default_maxmemory, 0, kMaxMemoryMib),
      Cpus("overhead_vcpus", &H::overhead_vcpus),
      Integer("overhead_memory", &H::overhead_memory, 0, kMaxMemoryMib),
      Integer("memory_slots", &H::memory_slots, 0, 256),
      Bool("enable_virtio_mem", &H::enable_virtio_mem),
      MustBe("shared_fs", "virtio-fs", "nothing else carries a container's files yet"),
      WithPodCheck(Text("virtio_fs_daemon", &H::virtio_fs_daemon, AbsolutePath),
                   [](const Config& config, const std::string& path) {
                     return CoveredBy(config.hypervisor.valid_virtio_fs_daemon_paths,
                                      config.hypervisor.virtio_fs_daemon, "valid_virtio_fs_daemon_paths", path);
                   }),
      List("valid_virtio_fs_daemon_paths", &H::valid_virtio_fs_daemon_paths, AbsolutePath),
      Text("virtio_fs_cache", &H::virtio_fs_cache, OneOf({"never", "metadata", "auto", "always"})),
      PowerOfTwo("virtio_fs_queue_size", &H::virtio_fs_queue_size, 2, 1024),
      ExtraArguments(),
      Bool("enable_mem_prealloc", &H::enable_mem_prealloc),
      Bool("enable_hugepages", &H::enable_hugepages),
      WithPodCheck(Text("entropy_source", &H::entropy_source, AbsolutePath),
                   [](const Config& config, const std::string& path) {
                     return CoveredBy(config.hypervisor.valid_entropy_sources, config.hypervisor.entropy_source,
                                      "valid_entropy_sources", path);
                   }),
      List("valid_entropy_sources", &H::valid_entropy_sources, AbsolutePathOrEmpty),
      Bool("enable_debug", &H::enable_debug, FromPod::kNever),
      Bool("reclaim_guest_freed_memory", &H::reclaim_guest_freed_memory),
      ConfidentialGuest(),
      Text("apparmor", &H::apparmor, OneOf({"auto", "on", "off"}), FromPod::kNever),
      Bool("disable_selinux", &H::disable_selinux, FromPod::kNever),
      Text("selinux_label", &H::selinux_label, Printable, FromPod::kNever),
      MustBeTrue("disable_guest_selinux", "the guest's kernel has no SELinux"),
      Bool("disable_vhost_net", &H::disable_vhost_net),
      Integer("network_queues", &H::network_queues, 0, kMaxNetworkQueues),
      Integer("rx_rate_limiter_max_rate", &H::rx_rate_limiter_max_rate, 0, kMaxRate),
      Integer("tx_rate_limiter_max_rate", &H::tx_rate_limiter_max_rate, 0, kMaxRate),
  };
}

constexpr const char* kUnused[] = {
    "ctlpath",
    "valid_ctlpaths",
    "rootfs_type",
    "vm_rootfs_driver",
    "firmware_volume",
    "pflashes",
    "kernel_verity_params",
    "rootless",
    "rootless_user",
    "disable_seccomp",
    "memory_offset",
    "hugepage_type",
    "enable_guest_swap",
    "guest_swap_path",
    "guest_swap_size_percent",
    "guest_swap_create_threshold_secs",
    "enable_numa",
    "numa_mapping",
    "virtio_fs_is_dax",
    "virtio_fs_cache_size",
    "msize_9p",
    "indep_iothreads",
    "disk_rate_limiter_bw_max_rate",
    "disk_rate_limiter_bw_one_time_burst",
    "disk_rate_limiter_ops_max_rate",
    "disk_rate_limiter_ops_one_time_burst",
    "net_rate_limiter_bw_max_rate",
    "net_rate_limiter_bw_one_time_burst",
    "net_rate_limiter_ops_max_rate",
    "net_rate_limiter_ops_one_time_burst",
    "enable_vhost_user_store",
    "vhost_user_store_path",
    "valid_vhost_user_store_paths",
    "vhost_user_reconnect_timeout_sec",
    "enable_iommu",
    "enable_iommu_platform",
    "hot_plug_vfio",
    "cold_plug_vfio",
    "pcie_root_port",
    "pcie_switch_port",
    "disable_image_nvdimm",
    "disable_nesting_checks",
    "guest_hook_path",
    "guest_memory_dump_path",
    "guest_memory_dump_paging",
    "log_level",
    "hypervisor_loglevel",
    "extra_monitor_socket",
    "use_legacy_serial",
    "prefetch_list_path",
    "sev_snp_guest",
    "snp_id_block",
    "snp_id_auth",
    "snp_guest_policy",
    "tdx_quote_generation_service_socket_port",
    "measurement_algo",
    "initdata",
    "guest_extension_images",
    "jailer_path",
    "valid_jailer_paths",
    "disable_nested_virtualization",
    "remote_hypervisor_socket",
    "remote_hypervisor_timeout",
    "default_gpus",
    "default_gpu_model",
    "boot_to_be_template",
    "boot_from_template",
    "memory_path",
    "device_state_path",
    "file_mem_backend",
    "valid_file_mem_backends",
};

}  // namespace

std::string HypervisorConfig::KernelFile() const {
  if (kernel_flavour == "minimal") return kernel;
  std::filesystem::path file(kernel);
  return file.replace_filename(file.stem().string() + "-" + kernel_flavour + file.extension().string()).string();
}

std::vector<Key> HypervisorKeys() {
  std::vector<Key> keys = UsedKeys();
  for (Key& key : DiskKeys()) keys.push_back(std::move(key));
  for (const char* name : kUnused) keys.push_back(Unused(name));
  return keys;
}

}  // namespace kata::config
