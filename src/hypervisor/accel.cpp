// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/accel.h"

#include <fcntl.h>

#include <algorithm>
#include <string_view>

#include "base/files.h"
#include "hypervisor/kept_probe.h"

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

// On an idle host a guest is ready after 0.2 to 0.4 s with kvm and after 1 to 2 s with tcg. The default time-outs leave
// room for a busy host.
constexpr int kEmulatedScale = 5;

// How many times slower than usual guests are where an exit takes so long. It is 1 to 3 us on hardware, ten times that
// in a VM whose host has hardware, and hundreds in an emulated machine, where all the rest of a guest is slow as well.
int ScaleFor(std::chrono::nanoseconds exit_time) {
  constexpr std::chrono::nanoseconds kUsual{20000};
  constexpr int64_t kMost = 10;
  return static_cast<int>(std::clamp(exit_time / kUsual, int64_t{1}, kMost));
}

}  // namespace

bool HasHardwareVirtualization(const AccelFacts& facts) {
  if (!facts.needs_processor_flag) return true;
  const auto cpuinfo = ReadFile(facts.cpuinfo);
  return cpuinfo && (HasFlag(*cpuinfo, "vmx") || HasFlag(*cpuinfo, "svm"));
}

AccelFacts HostAccelFacts(double timeout_factor) {
  // A working VM needs milliseconds.
  constexpr std::chrono::milliseconds kTime{10000};
  AccelFacts facts;
  facts.probe = [time = std::chrono::duration_cast<std::chrono::milliseconds>(kTime * timeout_factor)](int kvm) {
    return KeptProbe(kKeptProbe, kvm, [kvm, time] { return ProbeKvm(kvm, time); });
  };
  return facts;
}

Result<AccelChoice> ChooseAccelFrom(const AccelFacts& facts, const std::string& setting) {
  if (setting == "tcg") return AccelChoice{Accel::kTcg, "the configuration says accel = \"tcg\"", kEmulatedScale};
  if (setting != "auto" && setting != "kvm") {
    return Fail(Code::kInvalidArgument, "accel: {} is none of \"auto\", \"kvm\", \"tcg\"", setting);
  }
  const bool demanded = setting == "kvm";
  const auto kvm = Open(facts.kvm, O_RDWR);
  const auto probe = kvm ? facts.probe(kvm->get()) : Result<KvmProbe>(tl::unexpected(kvm.error()));
  const std::string bad = !probe         ? probe.error().message()
                          : probe->works ? ""
                                         : fmt::format("{} opens, but {}", facts.kvm, probe->why);
  if (!bad.empty() && demanded) {
    const char* const joint = probe ? "and" : "but";  // with an answer, `bad` has a "but" of its own
    const char* const cure = kvm ? "set" : "load the kvm module, or set";
    return Fail(Code::kFailedPrecondition, "the configuration says accel = \"kvm\", {} {}; {} accel = \"auto\"", joint,
                bad, cure);
  }
  if (!bad.empty()) return AccelChoice{Accel::kTcg, bad, kEmulatedScale};
  return AccelChoice{Accel::kKvm, demanded ? "the configuration says accel = \"kvm\"" : "a VM runs on this host",
                     ScaleFor(probe->exit_time)};
}

Result<AccelChoice> ChooseAccel(const std::string& setting, double timeout_factor) {
  return ChooseAccelFrom(HostAccelFacts(timeout_factor), setting);
}

}  // namespace kata::hypervisor
