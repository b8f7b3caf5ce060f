// SPDX-License-Identifier: Apache-2.0
#include "sandbox/task/metrics.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/text.h"
#include "protocol/metrics_v1.pb.h"
#include "protocol/metrics_v2.pb.h"

namespace kata::sandbox {
namespace {

namespace v1 = io::containerd::cgroups::v1;
namespace v2 = io::containerd::cgroups::v2;

constexpr uint64_t kNanosecondsPerMicrosecond = 1000;

// Returns the value of a key of the guest's memory.stat (cgroup v2); 0 if it has none.
class MemoryStatOf {
 public:
  explicit MemoryStatOf(const grpc::MemoryStats& memory) : memory_(memory) {}
  uint64_t operator()(const char* key) const {
    const auto found = memory_.stats().find(key);
    return found == memory_.stats().end() ? 0 : found->second;
  }

 private:
  const grpc::MemoryStats& memory_;
};

void SetEntry(const grpc::MemoryData& data, v1::MemoryEntry* entry) {
  entry->set_usage(data.usage());
  entry->set_limit(data.limit());
  entry->set_max(data.max_usage());
  entry->set_failcnt(data.failcnt());
}

void SetMemory(const grpc::MemoryStats& memory, v1::MemoryStat* to) {
  const MemoryStatOf stat(memory);
  const uint64_t cache = stat("file");
  const uint64_t rss = stat("anon");
  to->set_cache(cache);
  to->set_total_cache(cache);
  to->set_rss(rss);
  to->set_total_rss(rss);
  to->set_rss_huge(stat("anon_thp"));
  to->set_total_rss_huge(stat("anon_thp"));
  to->set_mapped_file(stat("file_mapped"));
  to->set_total_mapped_file(stat("file_mapped"));
  to->set_dirty(stat("file_dirty"));
  to->set_total_dirty(stat("file_dirty"));
  to->set_writeback(stat("file_writeback"));
  to->set_total_writeback(stat("file_writeback"));
  to->set_pg_fault(stat("pgfault"));
  to->set_total_pg_fault(stat("pgfault"));
  to->set_pg_maj_fault(stat("pgmajfault"));
  to->set_total_pg_maj_fault(stat("pgmajfault"));
  to->set_inactive_anon(stat("inactive_anon"));
  to->set_total_inactive_anon(stat("inactive_anon"));
  to->set_active_anon(stat("active_anon"));
  to->set_total_active_anon(stat("active_anon"));
  to->set_inactive_file(stat("inactive_file"));
  to->set_total_inactive_file(stat("inactive_file"));
  to->set_active_file(stat("active_file"));
  to->set_total_active_file(stat("active_file"));
  to->set_unevictable(stat("unevictable"));
  to->set_total_unevictable(stat("unevictable"));
  to->set_hierarchical_memory_limit(memory.usage().limit());
  to->set_hierarchical_swap_limit(memory.swap_usage().limit());
  SetEntry(memory.usage(), to->mutable_usage());
  SetEntry(memory.swap_usage(), to->mutable_swap());
  SetEntry(memory.kernel_usage(), to->mutable_kernel());
}

void SetMemory(const grpc::MemoryStats& memory, v2::MemoryStat* to) {
  const MemoryStatOf stat(memory);
  to->set_anon(stat("anon"));
  to->set_file(stat("file"));
  to->set_kernel_stack(stat("kernel_stack"));
  to->set_slab(stat("slab"));
  to->set_sock(stat("sock"));
  to->set_shmem(stat("shmem"));
  to->set_file_mapped(stat("file_mapped"));
  to->set_file_dirty(stat("file_dirty"));
  to->set_file_writeback(stat("file_writeback"));
  to->set_anon_thp(stat("anon_thp"));
  to->set_inactive_anon(stat("inactive_anon"));
  to->set_active_anon(stat("active_anon"));
  to->set_inactive_file(stat("inactive_file"));
  to->set_active_file(stat("active_file"));
  to->set_unevictable(stat("unevictable"));
  to->set_slab_reclaimable(stat("slab_reclaimable"));
  to->set_slab_unreclaimable(stat("slab_unreclaimable"));
  to->set_pgfault(stat("pgfault"));
  to->set_pgmajfault(stat("pgmajfault"));
  to->set_workingset_refault_anon(stat("workingset_refault_anon"));
  to->set_workingset_refault_file(stat("workingset_refault_file"));
  to->set_workingset_activate_anon(stat("workingset_activate_anon"));
  to->set_workingset_activate_file(stat("workingset_activate_file"));
  to->set_workingset_nodereclaim(stat("workingset_nodereclaim"));
  to->set_pgrefill(stat("pgrefill"));
  to->set_pgscan(stat("pgscan"));
  to->set_pgsteal(stat("pgsteal"));
  to->set_pgactivate(stat("pgactivate"));
  to->set_pgdeactivate(stat("pgdeactivate"));
  to->set_pglazyfree(stat("pglazyfree"));
  to->set_pglazyfreed(stat("pglazyfreed"));
  to->set_thp_fault_alloc(stat("thp_fault_alloc"));
  to->set_thp_collapse_alloc(stat("thp_collapse_alloc"));
  const uint64_t used = memory.usage().usage();
  const uint64_t limit = memory.usage().limit();
  to->set_usage(used);
  to->set_usage_limit(limit);
  to->set_max_usage(memory.usage().max_usage());
  // The agent's protocol counts swap as cgroup v1 does: with memory included.
  to->set_swap_usage(memory.swap_usage().usage() - std::min(used, memory.swap_usage().usage()));
  const uint64_t both = memory.swap_usage().limit();
  to->set_swap_limit(both == UINT64_MAX || both < limit ? both : both - limit);
}

template <typename Metrics>
void SetNetwork(const grpc::StatsContainerResponse& stats, Metrics& metrics) {
  for (const grpc::NetworkStats& from : stats.network_stats()) {
    auto* to = metrics.add_network();
    to->set_name(ForeignText(from.name()));
    to->set_rx_bytes(from.rx_bytes());
    to->set_rx_packets(from.rx_packets());
    to->set_rx_errors(from.rx_errors());
    to->set_rx_dropped(from.rx_dropped());
    to->set_tx_bytes(from.tx_bytes());
    to->set_tx_packets(from.tx_packets());
    to->set_tx_errors(from.tx_errors());
    to->set_tx_dropped(from.tx_dropped());
  }
}

using AgentEntries = google::protobuf::RepeatedPtrField<grpc::BlkioStatsEntry>;

void SetIo(const AgentEntries& from, google::protobuf::RepeatedPtrField<v1::BlkIOEntry>* to) {
  for (const grpc::BlkioStatsEntry& entry : from) {
    v1::BlkIOEntry* copy = to->Add();
    copy->set_op(ForeignText(entry.op()));
    copy->set_major(entry.major());
    copy->set_minor(entry.minor());
    copy->set_value(entry.value());
  }
}

v1::Metrics MetricsV1(const grpc::StatsContainerResponse& stats) {
  const grpc::CgroupStats& from = stats.cgroup_stats();
  v1::Metrics metrics;
  metrics.mutable_pids()->set_current(from.pids_stats().current());
  metrics.mutable_pids()->set_limit(from.pids_stats().limit());
  const grpc::CpuUsage& usage = from.cpu_stats().cpu_usage();
  metrics.mutable_cpu()->mutable_usage()->set_total(usage.total_usage());
  metrics.mutable_cpu()->mutable_usage()->set_kernel(usage.usage_in_kernelmode());
  metrics.mutable_cpu()->mutable_usage()->set_user(usage.usage_in_usermode());
  for (const uint64_t one : usage.percpu_usage()) metrics.mutable_cpu()->mutable_usage()->add_per_cpu(one);
  const grpc::ThrottlingData& throttling = from.cpu_stats().throttling_data();
  metrics.mutable_cpu()->mutable_throttling()->set_periods(throttling.periods());
  metrics.mutable_cpu()->mutable_throttling()->set_throttled_periods(throttling.throttled_periods());
  metrics.mutable_cpu()->mutable_throttling()->set_throttled_time(throttling.throttled_time());
  SetMemory(from.memory_stats(), metrics.mutable_memory());
  SetIo(from.blkio_stats().io_service_bytes_recursive(), metrics.mutable_blkio()->mutable_io_service_bytes_recursive());
  SetIo(from.blkio_stats().io_serviced_recursive(), metrics.mutable_blkio()->mutable_io_serviced_recursive());
  for (const auto& [size, pages] : from.hugetlb_stats()) {
    v1::HugetlbStat* to = metrics.add_hugetlb();
    to->set_pagesize(ForeignText(size));
    to->set_usage(pages.usage());
    to->set_max(pages.max_usage());
    to->set_failcnt(pages.failcnt());
  }
  SetNetwork(stats, metrics);
  return metrics;
}

// One entry for each device. The agent sends one for each device and kind of access.
void SetIo(const grpc::BlkioStats& from, v2::IOStat* to) {
  std::map<std::pair<uint64_t, uint64_t>, v2::IOEntry*> devices;
  const auto entry_of = [&](const grpc::BlkioStatsEntry& entry) {
    v2::IOEntry*& device = devices[{entry.major(), entry.minor()}];
    if (device == nullptr) {
      device = to->add_usage();
      device->set_major(entry.major());
      device->set_minor(entry.minor());
    }
    return device;
  };
  for (const grpc::BlkioStatsEntry& entry : from.io_service_bytes_recursive()) {
    if (entry.op() == "Read") entry_of(entry)->set_rbytes(entry.value());
    if (entry.op() == "Write") entry_of(entry)->set_wbytes(entry.value());
  }
  for (const grpc::BlkioStatsEntry& entry : from.io_serviced_recursive()) {
    if (entry.op() == "Read") entry_of(entry)->set_rios(entry.value());
    if (entry.op() == "Write") entry_of(entry)->set_wios(entry.value());
  }
}

v2::Metrics MetricsV2(const grpc::StatsContainerResponse& stats) {
  const grpc::CgroupStats& from = stats.cgroup_stats();
  v2::Metrics metrics;
  metrics.mutable_pids()->set_current(from.pids_stats().current());
  metrics.mutable_pids()->set_limit(from.pids_stats().limit());
  const grpc::CpuUsage& usage = from.cpu_stats().cpu_usage();
  v2::CPUStat& cpu = *metrics.mutable_cpu();
  cpu.set_usage_usec(usage.total_usage() / kNanosecondsPerMicrosecond);
  cpu.set_user_usec(usage.usage_in_usermode() / kNanosecondsPerMicrosecond);
  cpu.set_system_usec(usage.usage_in_kernelmode() / kNanosecondsPerMicrosecond);
  const grpc::ThrottlingData& throttling = from.cpu_stats().throttling_data();
  cpu.set_nr_periods(throttling.periods());
  cpu.set_nr_throttled(throttling.throttled_periods());
  cpu.set_throttled_usec(throttling.throttled_time() / kNanosecondsPerMicrosecond);
  SetMemory(from.memory_stats(), metrics.mutable_memory());
  SetIo(from.blkio_stats(), metrics.mutable_io());
  for (const auto& [size, pages] : from.hugetlb_stats()) {
    v2::HugeTlbStat* to = metrics.add_hugetlb();
    to->set_pagesize(ForeignText(size));
    to->set_current(pages.usage());
    to->set_max(pages.max_usage());
    to->set_failcnt(pages.failcnt());
  }
  SetNetwork(stats, metrics);
  return metrics;
}

template <typename Message>
wkt::Any Pack(const Message& message) {
  wkt::Any any;
  any.set_type_url(message.GetTypeName());
  any.set_value(message.SerializeAsString());
  return any;
}

}  // namespace

wkt::Any PackMetrics(const grpc::StatsContainerResponse& stats, bool unified) {
  return unified ? Pack(MetricsV2(stats)) : Pack(MetricsV1(stats));
}

}  // namespace kata::sandbox
