// SPDX-License-Identifier: Apache-2.0
// Checks "linux.resources" of a spec.
#include "base/cpu_list.h"
#include "oci/validate.h"

namespace kata::oci {
namespace {

constexpr int64_t kUnlimited = -1;
// The smallest memory limit. The agent's part of a container's start needs less than a quarter of it. A program with
// less memory than this makes no progress: it waits for its pages for ever.
constexpr int64_t kLeastMemory = 1 << 20;

Result<> CheckLeastMemory(int64_t limit, std::string_view prefix, std::string_view name) {
  if (limit >= kLeastMemory) return {};
  return Fail(Code::kInvalidArgument, "{}{}: {} bytes are too few to run anything: at least {} are needed", prefix,
              name, limit, kLeastMemory);
}

Result<> ValidateMemory(const grpc::LinuxMemory& memory, std::string_view prefix) {
  const auto at_least_unlimited = [&](int64_t value, std::string_view name) -> Result<> {
    if (value >= kUnlimited) return {};
    return Fail(Code::kInvalidArgument, "{}memory.{}: {} is negative (-1: no limit)", prefix, name, value);
  };
  TRY(at_least_unlimited(memory.limit(), "limit"));
  TRY(at_least_unlimited(memory.reservation(), "reservation"));
  TRY(at_least_unlimited(memory.swap(), "swap"));
  // The value of swap is memory plus swap.
  if (memory.limit() > 0 && memory.swap() > 0 && memory.swap() < memory.limit()) {
    return Fail(Code::kInvalidArgument, "{}memory.swap: {} is memory and swap together, and less than the limit {}",
                prefix, memory.swap(), memory.limit());
  }
  if (memory.limit() == kUnlimited && memory.swap() > 0) {
    return Fail(Code::kInvalidArgument, "{}memory.swap: {} makes no sense without a limit of memory", prefix,
                memory.swap());
  }
  if (memory.swappiness() > 100) {
    return Fail(Code::kInvalidArgument, "{}memory.swappiness: {} is more than 100", prefix, memory.swappiness());
  }
  const bool limited = memory.limit() > 0;
  return limited ? CheckLeastMemory(memory.limit(), prefix, "memory.limit") : Result<>();
}

Result<> ValidateCpu(const grpc::LinuxCPU& cpu, std::string_view prefix) {
  // The kernel's limits for period and quota, in microseconds (Documentation/scheduler/sched-bwc.rst).
  if (cpu.period() != 0 && (cpu.period() < 1000 || cpu.period() > 1000000)) {
    return Fail(Code::kInvalidArgument, "{}cpu.period: {} us is not in the range of 1000 to 1000000", prefix,
                cpu.period());
  }
  if (cpu.quota() > 0 && cpu.quota() < 1000) {
    return Fail(Code::kInvalidArgument, "{}cpu.quota: {} us is less than 1000", prefix, cpu.quota());
  }
  if (cpu.has_idle() && cpu.idle() != 0 && cpu.idle() != 1) {
    return Fail(Code::kInvalidArgument, "{}cpu.idle: {} is neither 0 nor 1", prefix, cpu.idle());
  }
  if (!ParseCpuList(cpu.cpus())) {
    return Fail(Code::kInvalidArgument, "{}cpu.cpus: \"{}\" is no list such as 0-3,7", prefix, cpu.cpus());
  }
  if (!ParseCpuList(cpu.mems())) {
    return Fail(Code::kInvalidArgument, "{}cpu.mems: \"{}\" is no list such as 0-3,7", prefix, cpu.mems());
  }
  return {};
}

Result<> ValidateBlockIo(const grpc::LinuxBlockIO& block_io, std::string_view prefix) {
  const auto weight = [&](uint32_t value, const std::string& name) -> Result<> {
    if (value == 0 || (value >= 10 && value <= 1000)) return {};
    return Fail(Code::kInvalidArgument, "{}blockIO.{}: {} is not in the range of 10 to 1000", prefix, name, value);
  };
  TRY(weight(block_io.weight(), "weight"));
  for (int i = 0; i < block_io.weightdevice_size(); ++i) {
    TRY(weight(block_io.weightdevice(i).weight(), fmt::format("weightDevice[{}].weight", i)));
  }
  return {};
}

// "2MB", "1GB": the kernel's names of huge page sizes in cgroup files.
bool IsPageSize(std::string_view text) {
  if (text.size() < 3 || text.back() != 'B' || text[0] < '1' || text[0] > '9') return false;
  const char unit = text[text.size() - 2];
  const std::string_view digits = text.substr(0, text.size() - 2);
  return (unit == 'K' || unit == 'M' || unit == 'G') &&
         digits.find_first_not_of("0123456789") == std::string_view::npos;
}

Result<> ValidateDeviceRules(const grpc::LinuxResources& resources, std::string_view prefix) {
  for (int i = 0; i < resources.devices_size(); ++i) {
    const grpc::LinuxDeviceCgroup& rule = resources.devices(i);
    if (rule.type() != "a" && rule.type() != "b" && rule.type() != "c") {
      return Fail(Code::kInvalidArgument, "{}devices[{}].type: \"{}\" is none of a, b, c", prefix, i, rule.type());
    }
    // Refused as in runc: the guest would take an empty access for "all".
    if (rule.access().empty()) return Fail(Code::kInvalidArgument, "{}devices[{}].access: it is empty", prefix, i);
  }
  return {};
}

}  // namespace

Result<> ValidateResources(const grpc::LinuxResources& resources, std::string_view prefix) {
  TRY(ValidateMemory(resources.memory(), prefix));
  TRY(ValidateCpu(resources.cpu(), prefix));
  TRY(ValidateBlockIo(resources.blockio(), prefix));
  TRY(ValidateDeviceRules(resources, prefix));
  if (resources.pids().limit() < kUnlimited) {
    return Fail(Code::kInvalidArgument, "{}pids.limit: {} is negative (-1: no limit)", prefix,
                resources.pids().limit());
  }
  for (int i = 0; i < resources.hugepagelimits_size(); ++i) {
    if (IsPageSize(resources.hugepagelimits(i).pagesize())) continue;
    return Fail(Code::kInvalidArgument, "{}hugepageLimits[{}].pageSize: \"{}\" is no size such as 2MB", prefix, i,
                resources.hugepagelimits(i).pagesize());
  }
  // Each name becomes a file name in the guest's cgroup.
  for (const auto& [name, value] : resources.unified()) {
    if (name.find('.') == std::string::npos || name.find('/') != std::string::npos || name[0] == '.') {
      return Fail(Code::kInvalidArgument, "{}unified[\"{}\"]: no name of a cgroup file such as memory.high", prefix,
                  name);
    }
    int64_t bytes = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bytes);
    const bool plain = error == std::errc() && end == value.data() + value.size();
    if (name == "memory.max" && plain) TRY(CheckLeastMemory(bytes, prefix, "unified[\"memory.max\"]"));
  }
  return {};
}

}  // namespace kata::oci
