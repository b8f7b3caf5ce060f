// SPDX-License-Identifier: Apache-2.0
#include "agent/container/cgroup_stats.h"

#include <charconv>
#include <limits>

#include "base/files.h"

namespace kata::agent {

namespace {

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

uint64_t Number(std::string_view text) {
  if (text.starts_with("max")) return kMax;
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

uint64_t ReadNumber(const Cgroup& cgroup, const std::string& file) {
  const auto text = cgroup.Read(file);
  return text ? Number(*text) : 0;
}

// Removes the text up to the next separator from *rest and returns it.
std::string_view Next(std::string_view* rest, char separator) {
  const size_t end = std::min(rest->find(separator), rest->size());
  const std::string_view piece = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return piece;
}

void ReadCpu(const Cgroup& cgroup, grpc::CpuStats* stats) {
  constexpr uint64_t kNanoseconds = 1000;
  const auto value = [&cgroup](const char* key) { return cgroup.ReadKey("cpu.stat", key).value_or(0); };
  auto* usage = stats->mutable_cpu_usage();
  usage->set_total_usage(value("usage_usec") * kNanoseconds);
  usage->set_usage_in_usermode(value("user_usec") * kNanoseconds);
  usage->set_usage_in_kernelmode(value("system_usec") * kNanoseconds);
  auto* throttling = stats->mutable_throttling_data();
  throttling->set_periods(value("nr_periods"));
  throttling->set_throttled_periods(value("nr_throttled"));
  throttling->set_throttled_time(value("throttled_usec") * kNanoseconds);
}

void ReadMemory(const Cgroup& cgroup, grpc::MemoryStats* stats) {
  if (!cgroup.Has("memory.current")) return;
  const uint64_t used = ReadNumber(cgroup, "memory.current");
  const uint64_t limit = ReadNumber(cgroup, "memory.max");
  stats->set_use_hierarchy(true);
  stats->mutable_usage()->set_usage(used);
  stats->mutable_usage()->set_limit(limit);
  stats->mutable_usage()->set_max_usage(ReadNumber(cgroup, "memory.peak"));
  stats->mutable_usage()->set_failcnt(cgroup.ReadKey("memory.events", "max").value_or(0));
  if (cgroup.Has("memory.swap.current")) {
    // The protocol's swap_usage is that of cgroup v1 (memsw): memory and swap together.
    const uint64_t swap_limit = ReadNumber(cgroup, "memory.swap.max");
    stats->mutable_swap_usage()->set_usage(used + ReadNumber(cgroup, "memory.swap.current"));
    stats->mutable_swap_usage()->set_limit(limit == kMax || swap_limit == kMax ? kMax : limit + swap_limit);
  }
  const auto text = cgroup.Read("memory.stat");
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  while (!rest.empty()) {
    std::string_view line = Next(&rest, '\n');
    const std::string_view key = Next(&line, ' ');
    (*stats->mutable_stats())[std::string(key)] = Number(line);
  }
  const auto stat = [stats](const char* key) {
    const auto found = stats->stats().find(key);
    return found != stats->stats().end() ? found->second : 0;
  };
  stats->set_cache(stat("file"));
  stats->mutable_kernel_usage()->set_usage(stat("kernel"));
}

void ReadIo(const Cgroup& cgroup, grpc::BlkioStats* stats) {
  struct Kind {
    std::string_view key;
    const char* op;
    bool bytes;
  };
  constexpr Kind kKinds[] = {{"rbytes", "Read", true}, {"wbytes", "Write", true}, {"dbytes", "Discard", true},
                             {"rios", "Read", false},  {"wios", "Write", false},  {"dios", "Discard", false}};
  const auto text = cgroup.Read("io.stat");
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  while (!rest.empty()) {
    std::string_view line = Next(&rest, '\n');
    const uint64_t major = Number(Next(&line, ':'));
    const uint64_t minor = Number(Next(&line, ' '));
    while (!line.empty()) {
      std::string_view pair = Next(&line, ' ');
      const std::string_view key = Next(&pair, '=');
      for (const Kind& kind : kKinds) {
        if (kind.key != key) continue;
        auto* entry = kind.bytes ? stats->add_io_service_bytes_recursive() : stats->add_io_serviced_recursive();
        entry->set_major(major);
        entry->set_minor(minor);
        entry->set_op(kind.op);
        entry->set_value(Number(pair));
      }
    }
  }
}

Result<> ReadHugetlb(const Cgroup& cgroup, grpc::CgroupStats* stats) {
  constexpr std::string_view kPrefix = "hugetlb.";
  constexpr std::string_view kSuffix = ".current";
  for (const std::string& file : TRY(ListDir(cgroup.fd()))) {
    if (!file.starts_with(kPrefix) || !file.ends_with(kSuffix) || file.ends_with(".rsvd.current")) continue;
    const std::string size = file.substr(kPrefix.size(), file.size() - kPrefix.size() - kSuffix.size());
    auto& entry = (*stats->mutable_hugetlb_stats())[size];
    entry.set_usage(ReadNumber(cgroup, file));
    entry.set_failcnt(cgroup.ReadKey(fmt::format("hugetlb.{}.events", size), "max").value_or(0));
  }
  return {};
}

}  // namespace

Result<grpc::CgroupStats> ReadStats(const Cgroup& cgroup) {
  grpc::CgroupStats stats;
  ReadCpu(cgroup, stats.mutable_cpu_stats());
  ReadMemory(cgroup, stats.mutable_memory_stats());
  auto* pids = stats.mutable_pids_stats();
  if (cgroup.Has("pids.current")) {
    const uint64_t limit = ReadNumber(cgroup, "pids.max");
    pids->set_current(ReadNumber(cgroup, "pids.current"));
    pids->set_limit(limit == kMax ? 0 : limit);
  } else {
    pids->set_current(TRY(cgroup.Pids()).size());
  }
  ReadIo(cgroup, stats.mutable_blkio_stats());
  TRY(ReadHugetlb(cgroup, &stats));
  return stats;
}

}  // namespace kata::agent
