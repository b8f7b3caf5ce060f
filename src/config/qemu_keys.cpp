// SPDX-License-Identifier: Apache-2.0
// The keys that only [hypervisor.qemu] has.
#include <regex>

#include "config/rules.h"

namespace kata::config {
namespace {

using Q = HypervisorConfig;

// The value of -sandbox (qemu(1)). It must begin with "on", but an operator may relax parts of it.
Result<> QemuSandbox(const std::string& text) {
  static const std::regex pattern(
      "on(,(obsolete|spawn|resourcecontrol)=(allow|deny)|,elevateprivileges=(allow|deny|children))*");
  if (text.size() <= 256 && std::regex_match(text, pattern)) return {};
  return Fail(
      Code::kInvalidArgument,
      "expected \"on\" and then obsolete=, elevateprivileges=, spawn=, resourcecontrol= with allow or deny, found {}",
      Shown(text));
}

// Properties for QEMU's option lists. Other characters are refused, since they could set options beyond the key's
// purpose.
Result<> Properties(const std::string& text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,=+-";
  if (text.size() <= 1024 && text.find_first_not_of(kAllowed) == std::string::npos && !text.starts_with(',')) return {};
  return Fail(Code::kInvalidArgument, "expected a list such as \"a=on,b=off\", found {}", Shown(text));
}

}  // namespace

std::vector<Key> QemuKeys() {
  return {
#if defined(__aarch64__)
    Text("machine_type", &Q::machine_type, OneOf({"virt"})),
#else
    Text("machine_type", &Q::machine_type, OneOf({"q35", "microvm"})),
#endif
        Text("machine_accelerators", &Q::machine_accelerators, Properties, FromPod::kNever),
        Text("cpu_features", &Q::cpu_features, Properties),
        Text("seccomp_sandbox", &Q::seccomp_sandbox, QemuSandbox, FromPod::kNever),
        Text("seccompsandbox", &Q::seccomp_sandbox, QemuSandbox, FromPod::kNever),
        Text("accel", &Q::accel, OneOf({"auto", "kvm", "tcg"}), FromPod::kNever),
        Integer("default_bridges", &Q::default_bridges, 0, 1),
  };
}

}  // namespace kata::config
