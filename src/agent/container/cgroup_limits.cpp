// SPDX-License-Identifier: Apache-2.0
#include "agent/container/cgroup_limits.h"

#include <algorithm>

#include "base/cpu_weight.h"
#include "base/log.h"

namespace kata::agent {

namespace {

using Limits = std::vector<Limit>;

std::string OrMax(int64_t value) { return value < 0 ? "max" : fmt::format("{}", value); }

tl::unexpected<Error> NotInV2(std::string_view field) {
  return Fail(Code::kUnimplemented, "linux.resources.{}: cgroup v2, which the guest uses, has no such limit", field);
}

// For settings that engines send whatever the host's cgroup version is. runc ignores them, too.
void Ignore(bool asked, std::string_view field) {
  if (asked) log::Warn("linux.resources.{} is ignored: cgroup v2, which the guest uses, has no such limit", field);
}

Result<> AddMemory(const grpc::LinuxMemory& memory, Limits* limits) {
  Ignore(memory.swappiness() != 0, "memory.swappiness");
  Ignore(memory.disableoomkiller(), "memory.disableOOMKiller");
  Ignore(memory.kernel() > 0, "memory.kernel");
  Ignore(memory.kerneltcp() > 0, "memory.kernelTCP");

  int64_t swap = memory.swap();
  if (swap == 0 && memory.limit() == -1) swap = -1;  // as in cgroup v1: unlimited memory implies unlimited swap
  if (swap > 0) {
    if (memory.limit() <= 0) {
      return Fail(Code::kInvalidArgument, "linux.resources.memory.swap: {} needs linux.resources.memory.limit", swap);
    }
    if (swap < memory.limit()) {
      return Fail(
          Code::kInvalidArgument,
          "linux.resources.memory.swap: {} is below linux.resources.memory.limit {} (it is memory and swap together)",
          swap, memory.limit());
    }
    swap -= memory.limit();
  } else if (swap == 0) {
    swap = -2;  // not set; 0 would mean no swap at all, which is swap == limit in the spec
  }
  // Optional, because a kernel without swap has no memory.swap.max, and cannot exceed the limit.
  if (swap != -2) limits->push_back({"memory.swap.max", OrMax(swap), "memory.swap", {}, {}, true});
  if (memory.limit() != 0) limits->push_back({"memory.max", OrMax(memory.limit()), "memory.limit"});
  if (memory.reservation() != 0) {
    limits->push_back({"memory.low", OrMax(memory.reservation()), "memory.reservation"});
  }
  return {};
}

Result<> AddCpu(const grpc::LinuxCPU& cpu, Limits* limits) {
  if (cpu.realtimeruntime() != 0) return NotInV2("cpu.realtimeRuntime");
  if (cpu.realtimeperiod() != 0) return NotInV2("cpu.realtimePeriod");
  if (cpu.has_idle()) limits->push_back({"cpu.idle", fmt::format("{}", cpu.idle()), "cpu.idle"});
  // The kernel refuses a weight for an idle cgroup.
  if (cpu.shares() != 0 && cpu.idle() != 1) {
    limits->push_back({"cpu.weight", fmt::format("{}", CpuWeightOf(cpu.shares())), "cpu.shares"});
  }
  if (cpu.quota() != 0 || cpu.period() != 0) {
    constexpr uint64_t kDefaultPeriod = 100000;
    const uint64_t period = cpu.period() != 0 ? cpu.period() : kDefaultPeriod;
    const std::string quota = cpu.quota() > 0 ? fmt::format("{}", cpu.quota()) : "max";
    limits->push_back({"cpu.max", fmt::format("{} {}", quota, period), cpu.quota() != 0 ? "cpu.quota" : "cpu.period"});
  }
  if (cpu.has_burst()) limits->push_back({"cpu.max.burst", fmt::format("{}", cpu.burst()), "cpu.burst"});
  if (!cpu.cpus().empty()) limits->push_back({"cpuset.cpus", cpu.cpus(), "cpu.cpus"});
  if (!cpu.mems().empty()) limits->push_back({"cpuset.mems", cpu.mems(), "cpu.mems"});
  return {};
}

template <typename Devices>
void AddThrottle(const Devices& devices, const char* key, const char* field, Limits* limits) {
  int index = 0;
  for (const auto& device : devices) {
    limits->push_back({"io.max", fmt::format("{}:{} {}={}", device.major(), device.minor(), key, device.rate()),
                       fmt::format("blockIO.{}[{}]", field, index++)});
  }
}

Result<> AddIo(const grpc::LinuxBlockIO& io, Limits* limits) {
  Ignore(io.leafweight() != 0, "blockIO.leafWeight");
  if (io.weight() != 0) {
    if (io.weight() < 10 || io.weight() > 1000) {
      return Fail(Code::kInvalidArgument, "linux.resources.blockIO.weight: {} is not between 10 and 1000", io.weight());
    }
    limits->push_back({"io.bfq.weight", fmt::format("{}", io.weight()), "blockIO.weight", "io.weight",
                       fmt::format("default {}", IoWeight(io.weight()))});
  }
  for (int i = 0; i < io.weightdevice_size(); ++i) {
    const auto& device = io.weightdevice(i);
    Ignore(device.leafweight() != 0, "blockIO.weightDevice.leafWeight");
    // The device has only a leafWeight.
    if (device.weight() == 0) continue;
    limits->push_back({"io.bfq.weight", fmt::format("{}:{} {}", device.major(), device.minor(), device.weight()),
                       fmt::format("blockIO.weightDevice[{}]", i), "io.weight",
                       fmt::format("{}:{} {}", device.major(), device.minor(), IoWeight(device.weight()))});
  }
  AddThrottle(io.throttlereadbpsdevice(), "rbps", "throttleReadBpsDevice", limits);
  AddThrottle(io.throttlewritebpsdevice(), "wbps", "throttleWriteBpsDevice", limits);
  AddThrottle(io.throttlereadiopsdevice(), "riops", "throttleReadIOPSDevice", limits);
  AddThrottle(io.throttlewriteiopsdevice(), "wiops", "throttleWriteIOPSDevice", limits);
  return {};
}

// Whether size has the form of the names of hugetlb files: "2MB", "64KB", "1GB".
bool IsPageSize(std::string_view size) {
  const size_t digits = std::min(size.find_first_not_of("0123456789"), size.size());
  const std::string_view unit = size.substr(digits);
  return digits > 0 && (unit == "KB" || unit == "MB" || unit == "GB");
}

Result<> AddHugepages(const grpc::LinuxResources& resources, Limits* limits) {
  for (int i = 0; i < resources.hugepagelimits_size(); ++i) {
    const auto& limit = resources.hugepagelimits(i);
    const std::string field = fmt::format("hugepageLimits[{}]", i);
    if (!IsPageSize(limit.pagesize())) {
      return Fail(Code::kInvalidArgument, "linux.resources.{}.pageSize: \"{}\" is no page size such as 2MB", field,
                  limit.pagesize());
    }
    limits->push_back({fmt::format("hugetlb.{}.max", limit.pagesize()), fmt::format("{}", limit.limit()), field});
    limits->push_back(
        {fmt::format("hugetlb.{}.rsvd.max", limit.pagesize()), fmt::format("{}", limit.limit()), field, {}, {}, true});
  }
  return {};
}

Result<> AddUnified(const grpc::LinuxResources& resources, Limits* limits) {
  // Sorted, because a protobuf map has no order: writes and errors must always come in the same one.
  std::vector<std::pair<std::string, std::string>> entries(resources.unified().begin(), resources.unified().end());
  std::sort(entries.begin(), entries.end());
  for (const auto& [file, value] : entries) {
    const std::string field = fmt::format("unified[\"{}\"]", file);
    const bool plain = file.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                       std::string::npos;
    // cgroup.* files control the cgroup itself (its processes, its freezer) and are no limits.
    if (!plain || file.find('.') == std::string::npos || file.front() == '.' || file.starts_with("cgroup.")) {
      return Fail(Code::kInvalidArgument, "linux.resources.{}: no name of a limit such as memory.high", field);
    }
    limits->push_back({file, value, field});
  }
  return {};
}

}  // namespace

uint64_t IoWeight(uint64_t weight) {
  const uint64_t bounded = std::clamp<uint64_t>(weight, 10, 1000);
  return 1 + (bounded - 10) * 9999 / 990;
}

Result<Limits> TranslateResources(const grpc::LinuxResources& resources) {
  Limits limits;
  if (resources.has_memory()) TRY(AddMemory(resources.memory(), &limits));
  if (resources.has_cpu()) TRY(AddCpu(resources.cpu(), &limits));
  if (resources.has_pids() && resources.pids().limit() != 0) {
    limits.push_back({"pids.max", OrMax(resources.pids().limit()), "pids.limit"});
  }
  if (resources.has_blockio()) TRY(AddIo(resources.blockio(), &limits));
  TRY(AddHugepages(resources, &limits));
  if (resources.network().classid() != 0) return NotInV2("network.classID");
  if (resources.network().priorities_size() != 0) return NotInV2("network.priorities");
  TRY(AddUnified(resources, &limits));
  return limits;
}

Result<> ApplyLimits(const Cgroup& cgroup, const Limits& limits) {
  for (const Limit& limit : limits) {
    const bool first = cgroup.Has(limit.file);
    if (!first && (limit.other_file.empty() || !cgroup.Has(limit.other_file))) {
      if (limit.optional) continue;
      return Fail(Code::kUnimplemented,
                  "linux.resources.{}: {}: no such file or directory (the guest's kernel lacks the controller or the "
                  "key, or the "
                  "cgroup above does not give it)",
                  limit.field, limit.file);
    }
    Result<> written =
        first ? cgroup.Write(limit.file, limit.value) : cgroup.Write(limit.other_file, limit.other_value);
    if (!written) {
      return tl::unexpected<Error>(Error(Code::kInvalidArgument,
                                         fmt::format("linux.resources.{}: {}", limit.field, written.error().message()),
                                         written.error().sys()));
    }
  }
  return {};
}

}  // namespace kata::agent
