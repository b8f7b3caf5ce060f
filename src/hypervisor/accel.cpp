// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/accel.h"

#include <fcntl.h>

#include <algorithm>
#include <string_view>

#include "base/files.h"

namespace kata::hypervisor {
namespace {

// Looks for a whole word in the first "flags" line of /proc/cpuinfo; all CPUs have the same flags.
bool HasFlag(std::string_view cpuinfo, std::string_view flag) {
  const size_t start = cpuinfo.find("\nflags");
  if (start == std::string_view::npos) return false;
  std::string_view line = cpuinfo.substr(start + 1);
  line = line.substr(0, line.find('\n'));
  while (!line.empty()) {
    const size_t end = std::min(line.find_first_of(" \t"), line.size());
    if (line.substr(0, end) == flag) return true;
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return false;
}

}  // namespace

bool HasHardwareVirtualization(const AccelFacts& facts) {
  if (!facts.needs_processor_flag) return true;
  const auto cpuinfo = ReadFile(facts.cpuinfo);
  return cpuinfo && (HasFlag(*cpuinfo, "vmx") || HasFlag(*cpuinfo, "svm"));
}

Result<AccelChoice> ChooseAccelFrom(const AccelFacts& facts, const std::string& setting) {
  if (setting == "tcg") return AccelChoice{Accel::kTcg, "the configuration says accel = \"tcg\""};
  if (setting != "auto" && setting != "kvm") {
    return Fail(Code::kInvalidArgument, "accel: {} is none of \"auto\", \"kvm\", \"tcg\"", setting);
  }
  const auto kvm = Open(facts.kvm, O_RDWR);
  if (!kvm) {
    if (setting == "kvm") {
      return Fail(Code::kFailedPrecondition,
                  "the configuration says accel = \"kvm\", but {}; load the kvm module, or set accel = \"auto\"",
                  kvm.error().message());
    }
    return AccelChoice{Accel::kTcg, kvm.error().message()};
  }
  if (setting == "kvm") return AccelChoice{Accel::kKvm, "the configuration says accel = \"kvm\""};
  if (!HasHardwareVirtualization(facts)) {
    // A KVM without hardware virtualization, which works by page tables alone, opens as well, but an ordinary guest
    // kernel hangs in it.
    return AccelChoice{Accel::kTcg, facts.kvm + " opens, but the processor shows neither vmx nor svm"};
  }
  return AccelChoice{Accel::kKvm, facts.kvm + " opens and the processor has hardware virtualization"};
}

Result<AccelChoice> ChooseAccel(const std::string& setting) { return ChooseAccelFrom(AccelFacts{}, setting); }

int TimeoutScale(Accel accel) {
  // On an idle host a guest is ready after 0.2 to 0.4 s with kvm and after 1 to 2 s with tcg: a factor of 5. The
  // default time-outs leave room for a busy host.
  return accel == Accel::kTcg ? 5 : 1;
}

}  // namespace kata::hypervisor
