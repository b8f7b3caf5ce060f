// SPDX-License-Identifier: Apache-2.0
// The keys of [agent.kata] and [runtime].
#include "config/rules.h"

namespace kata::config {
namespace {

using A = AgentConfig;
using R = RuntimeConfig;

constexpr int64_t kHourMs = int64_t{3600} * 1000;
constexpr int64_t kMaxWorkloadMib = int64_t{16} << 20U;  // 16 TiB

// "name option option...".
Result<> KernelModule(const std::string& text) {
  TRY(Printable(text));
  constexpr std::string_view kName = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  const std::string_view name = std::string_view(text).substr(0, text.find(' '));
  if (!name.empty() && name.find_first_not_of(kName) == std::string_view::npos) return {};
  return Fail(Code::kInvalidArgument, "expected \"NAME OPTION...\", found {}", Shown(text));
}

// Refused unless empty: ignoring it would start guests without these mounts.
Key SandboxBindMounts() {
  return Key{.name = "sandbox_bind_mounts",
             .type = Type::kList,
             .set = [](Config&, const Value& value) -> Result<> {
               if (std::get<std::vector<std::string>>(value).empty()) return {};
               return Fail(Code::kUnimplemented, "directories that every guest gets are not supported yet");
             },
             .pod = FromPod::kNever};
}

// Kata's older key, in seconds; stored in milliseconds as its newer key reconnect_timeout_ms.
Key DialTimeout() {
  return Key{.name = "dial_timeout", .type = Type::kInteger, .set = [](Config& config, const Value& value) -> Result<> {
               const int64_t seconds = std::get<int64_t>(value);
               if (seconds < 1 || seconds > 3600) {
                 return Fail(Code::kInvalidArgument, "expected a number of 1 to 3600 (seconds), found {}", seconds);
               }
               config.agent.reconnect_timeout_ms = static_cast<uint32_t>(seconds * 1000);
               return {};
             }};
}

// Checks the syntax only; CreateHypervisor checks whether the hypervisor is built in.
Result<> HypervisorName(const std::string& text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
  if (!text.empty() && text.size() <= 64 && text.find_first_not_of(kAllowed) == std::string::npos) return {};
  return Fail(Code::kInvalidArgument, "expected a name such as \"qemu\", found {}", Shown(text));
}

// Values below 1 are for tests of processes that hang. 0 is not allowed, since a time-out of 0 means for ever.
Key TimeoutFactor() {
  return Key{.name = "timeout_factor",
             .type = Type::kNumber,
             .set = [](Config& config, const Value& value) -> Result<> {
               const double factor = std::get<double>(value);
               if (!(factor >= 0.1 && factor <= 100)) {
                 return Fail(Code::kInvalidArgument, "expected a number of 0.1 to 100, found {}", factor);
               }
               config.runtime.timeout_factor = factor;
               return {};
             },
             .pod = FromPod::kNever};
}

}  // namespace

std::vector<Key> AgentKeys() {
  std::vector<Key> keys = {
      Bool("enable_debug", &A::enable_debug, FromPod::kNever),
      Text("log_level", &A::log_level, LogLevel, FromPod::kNever),
      DialTimeout(),
      Integer("dial_timeout_ms", &A::dial_timeout_ms, 1, kHourMs),
      Integer("reconnect_timeout_ms", &A::reconnect_timeout_ms, 1, kHourMs),
      Integer("create_container_timeout", &A::create_container_timeout, 1, 86400, FromPod::kFree),
      Integer("health_check_request_timeout_ms", &A::health_check_request_timeout_ms, 1, kHourMs),
      Integer("container_pipe_size", &A::container_pipe_size, 0, 16 << 20, FromPod::kFree),
      List("kernel_modules", &A::kernel_modules, KernelModule, FromPod::kGated),
      MustBeFalse("debug_console_enabled", "the agent has no shell for the guest's console"),
  };
  for (const char* name : {"enable_tracing", "cdh_api_timeout", "cdh_api_timeout_ms", "launch_process_timeout",
                           "visible_cdi_devices", "server_port", "log_port", "passfd_listener_port", "policy"}) {
    keys.push_back(Unused(name));
  }
  return keys;
}

std::vector<Key> RuntimeKeys() {
  std::vector<Key> keys = {
      Bool("enable_debug", &R::enable_debug, FromPod::kNever),
      Text("log_level", &R::log_level, LogLevel, FromPod::kNever),
      Bool("disable_guest_seccomp", &R::disable_guest_seccomp),
      Text("internetworking_model", &R::internetworking_model, OneOf({"tcfilter", "macvtap", "none"})),
      Bool("disable_new_netns", &R::disable_new_netns, FromPod::kNever),
      Text("dan_conf", &R::dan_conf, AbsolutePathOrEmpty, FromPod::kNever),
      Bool("static_sandbox_resource_mgmt", &R::static_sandbox_resource_mgmt),
      Integer("static_sandbox_default_workload_mem", &R::static_sandbox_default_workload_mem, 0, kMaxWorkloadMib),
      Cpus("static_sandbox_default_workload_vcpus", &R::static_sandbox_default_workload_vcpus),
      Bool("sandbox_cgroup_only", &R::sandbox_cgroup_only, FromPod::kNever),
      Text("hypervisor_name", &HypervisorConfig::name, HypervisorName, FromPod::kNever),
      TimeoutFactor(),
      SandboxBindMounts(),
      MustBe("emptydir_mode", "shared-fs", "volumes on block devices are not supported yet"),
      Integer("create_container_timeout", &A::create_container_timeout, 1, 86400, FromPod::kFree),
  };
  for (const char* name :
       {"name", "agent_name", "enable_vcpus_pinning", "guest_selinux_label", "enable_tracing", "jaeger_endpoint",
        "jaeger_user", "jaeger_password", "vfio_mode", "disable_guest_empty_dir", "enable_pprof", "kubelet_root_dir",
        "pod_resource_api_sock", "keep_abnormal", "use_passfd_io", "passfd_listener_port", "shared_mounts",
        "experimental_force_guest_pull", "experimental"}) {
    keys.push_back(Unused(name));
  }
  return keys;
}

}  // namespace kata::config
