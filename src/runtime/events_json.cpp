// SPDX-License-Identifier: Apache-2.0
#include "runtime/events_json.h"

#include <map>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace kata::runtime {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson Event(const char* type, const std::string& id) { return {{"type", type}, {"id", id}}; }

// As Go's "omitempty": no field for 0.
void SetIfNot0(OrderedJson& json, const char* key, uint64_t value) {
  if (value != 0) json[key] = value;
}

OrderedJson Cpu(const grpc::CpuStats& from) {
  OrderedJson usage = OrderedJson::object();
  SetIfNot0(usage, "total", from.cpu_usage().total_usage());
  for (const uint64_t one : from.cpu_usage().percpu_usage()) usage["percpu"].push_back(one);
  usage["kernel"] = from.cpu_usage().usage_in_kernelmode();
  usage["user"] = from.cpu_usage().usage_in_usermode();
  OrderedJson throttling = OrderedJson::object();
  SetIfNot0(throttling, "periods", from.throttling_data().periods());
  SetIfNot0(throttling, "throttledPeriods", from.throttling_data().throttled_periods());
  SetIfNot0(throttling, "throttledTime", from.throttling_data().throttled_time());
  return {{"usage", std::move(usage)}, {"throttling", std::move(throttling)}};
}

OrderedJson Cpuset() {
  OrderedJson json = OrderedJson::object();
  for (const char* key : {"cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
                          "memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"}) {
    json[key] = 0;
  }
  return json;
}

OrderedJson MemoryEntry(const grpc::MemoryData& from) {
  OrderedJson json = {{"limit", from.limit()}};
  SetIfNot0(json, "usage", from.usage());
  SetIfNot0(json, "max", from.max_usage());
  json["failcnt"] = from.failcnt();
  return json;
}

OrderedJson Memory(const grpc::MemoryStats& from) {
  OrderedJson json = OrderedJson::object();
  SetIfNot0(json, "cache", from.cache());
  json["usage"] = MemoryEntry(from.usage());
  json["swap"] = MemoryEntry(from.swap_usage());
  json["kernel"] = MemoryEntry(from.kernel_usage());
  json["kernelTCP"] = MemoryEntry({});
  // A protobuf map has no order.
  std::map<std::string, uint64_t> raw;
  for (const auto& [key, value] : from.stats()) raw.emplace(ForeignText(key), value);
  if (!raw.empty()) json["raw"] = raw;
  return json;
}

OrderedJson Pids(const grpc::PidsStats& from) {
  OrderedJson json = OrderedJson::object();
  SetIfNot0(json, "current", from.current());
  SetIfNot0(json, "limit", from.limit());
  return json;
}

void SetBlkio(OrderedJson& json, const char* key,
              const google::protobuf::RepeatedPtrField<grpc::BlkioStatsEntry>& from) {
  for (const grpc::BlkioStatsEntry& entry : from) {
    OrderedJson one = OrderedJson::object();
    SetIfNot0(one, "major", entry.major());
    SetIfNot0(one, "minor", entry.minor());
    if (!entry.op().empty()) one["op"] = ForeignText(entry.op());
    SetIfNot0(one, "value", entry.value());
    json[key].push_back(std::move(one));
  }
}

OrderedJson Blkio(const grpc::BlkioStats& from) {
  OrderedJson json = OrderedJson::object();
  SetBlkio(json, "ioServiceBytesRecursive", from.io_service_bytes_recursive());
  SetBlkio(json, "ioServicedRecursive", from.io_serviced_recursive());
  SetBlkio(json, "ioQueueRecursive", from.io_queued_recursive());
  SetBlkio(json, "ioServiceTimeRecursive", from.io_service_time_recursive());
  SetBlkio(json, "ioWaitTimeRecursive", from.io_wait_time_recursive());
  SetBlkio(json, "ioMergedRecursive", from.io_merged_recursive());
  SetBlkio(json, "ioTimeRecursive", from.io_time_recursive());
  SetBlkio(json, "sectorsRecursive", from.sectors_recursive());
  return json;
}

OrderedJson Hugetlb(const grpc::CgroupStats& from) {
  std::map<std::string, OrderedJson> sizes;
  for (const auto& [size, pages] : from.hugetlb_stats()) {
    OrderedJson one = OrderedJson::object();
    SetIfNot0(one, "usage", pages.usage());
    SetIfNot0(one, "max", pages.max_usage());
    one["failcnt"] = pages.failcnt();
    sizes.emplace(ForeignText(size), std::move(one));
  }
  return sizes.empty() ? OrderedJson::object() : OrderedJson(sizes);
}

OrderedJson Interfaces(const grpc::StatsContainerResponse& from) {
  OrderedJson json = OrderedJson::array();
  for (const grpc::NetworkStats& one : from.network_stats()) {
    json.push_back({{"Name", ForeignText(one.name())},
                    {"RxBytes", one.rx_bytes()},
                    {"RxPackets", one.rx_packets()},
                    {"RxErrors", one.rx_errors()},
                    {"RxDropped", one.rx_dropped()},
                    {"TxBytes", one.tx_bytes()},
                    {"TxPackets", one.tx_packets()},
                    {"TxErrors", one.tx_errors()},
                    {"TxDropped", one.tx_dropped()}});
  }
  return json;
}

}  // namespace

std::string StatsEvent(const std::string& id, const grpc::StatsContainerResponse& stats) {
  const grpc::CgroupStats& from = stats.cgroup_stats();
  OrderedJson event = Event("stats", id);
  event["data"] = {{"cpu", Cpu(from.cpu_stats())},          {"cpuset", Cpuset()},
                   {"memory", Memory(from.memory_stats())}, {"pids", Pids(from.pids_stats())},
                   {"blkio", Blkio(from.blkio_stats())},    {"hugetlb", Hugetlb(from)},
                   {"intel_rdt", OrderedJson::object()},    {"network_interfaces", Interfaces(stats)}};
  return event.dump();
}

std::string OomEvent(const std::string& id) { return Event("oom", id).dump(); }

}  // namespace kata::runtime
