// SPDX-License-Identifier: Apache-2.0
// Reads "linux.resources" of a config.json, or the file of `update --resources`.
#include "oci/sections.h"

namespace kata::oci {
namespace {

constexpr uint32_t kUint16Max = std::numeric_limits<uint16_t>::max();
constexpr char kNoEffect[] = "ignored: the guest's cgroups (version 2) have no such limit";

void ReadDeviceRule(const JsonObject& json, grpc::LinuxDeviceCgroup& rule) {
  rule.set_allow(json.Bool("allow", Need::kRequired));
  // As in runc, no type means all devices.
  rule.set_type(json.Has("type") ? json.String("type") : "");
  if (rule.type().empty()) rule.set_type("a");
  // -1 means all numbers, as in libcontainer and in the agent protocol.
  const auto number = [&](const char* key) {
    return json.Has(key) ? json.Signed(key, Need::kOptional, -1, std::numeric_limits<uint32_t>::max()) : -1;
  };
  rule.set_major(number("major"));
  rule.set_minor(number("minor"));
  rule.set_access(json.Has("access") ? json.String("access") : "rwm");
}

void ReadMemory(const JsonObject& json, grpc::LinuxMemory& memory) {
  memory.set_limit(json.Signed("limit"));
  memory.set_reservation(json.Signed("reservation"));
  memory.set_swap(json.Signed("swap"));
  memory.set_kernel(json.Signed("kernel"));
  memory.set_kerneltcp(json.Signed("kernelTCP"));
  memory.set_swappiness(json.Unsigned("swappiness"));
  memory.set_disableoomkiller(json.Bool("disableOOMKiller"));
  for (const char* key : {"kernel", "kernelTCP", "swappiness", "disableOOMKiller"}) json.WarnIf(key, kNoEffect);
}

void ReadCpu(const JsonObject& json, grpc::LinuxCPU& cpu) {
  cpu.set_shares(json.Unsigned("shares"));
  cpu.set_quota(json.Signed("quota"));
  cpu.set_period(json.Unsigned("period"));
  if (json.Has("burst")) cpu.set_burst(json.Unsigned("burst"));
  if (json.Has("idle")) cpu.set_idle(json.Signed("idle"));
  cpu.set_cpus(json.String("cpus"));
  cpu.set_mems(json.String("mems"));
  constexpr char kNoRealtime[] = "not supported: the guest's cgroups (version 2) have no real-time budget";
  json.Refuse("realtimeRuntime", kNoRealtime);
  json.Refuse("realtimePeriod", kNoRealtime);
}

void ReadThrottle(const JsonObject& json, grpc::LinuxThrottleDevice& device) {
  device.set_major(json.Signed("major", Need::kRequired, 0));
  device.set_minor(json.Signed("minor", Need::kRequired, 0));
  device.set_rate(json.Unsigned("rate", Need::kRequired));
}

void ReadBlockIo(const JsonObject& json, grpc::LinuxBlockIO& block_io) {
  const auto weight = [](const JsonObject& object, const char* key) {
    return static_cast<uint32_t>(object.Unsigned(key, Need::kOptional, kUint16Max));
  };
  block_io.set_weight(weight(json, "weight"));
  block_io.set_leafweight(weight(json, "leafWeight"));
  json.WarnIf("leafWeight", kNoEffect);
  json.Each("weightDevice", [&](const JsonObject& entry) {
    grpc::LinuxWeightDevice& device = *block_io.add_weightdevice();
    device.set_major(entry.Signed("major", Need::kRequired, 0));
    device.set_minor(entry.Signed("minor", Need::kRequired, 0));
    device.set_weight(weight(entry, "weight"));
    device.set_leafweight(weight(entry, "leafWeight"));
  });
  const auto throttle = [&](const char* key, auto* list) {
    json.Each(key, [&](const JsonObject& device) { ReadThrottle(device, *list->Add()); });
  };
  throttle("throttleReadBpsDevice", block_io.mutable_throttlereadbpsdevice());
  throttle("throttleWriteBpsDevice", block_io.mutable_throttlewritebpsdevice());
  throttle("throttleReadIOPSDevice", block_io.mutable_throttlereadiopsdevice());
  throttle("throttleWriteIOPSDevice", block_io.mutable_throttlewriteiopsdevice());
}

void ReadNetwork(const JsonObject& json, grpc::LinuxNetwork& network) {
  network.set_classid(json.Unsigned32("classID"));
  json.Each("priorities", [&](const JsonObject& entry) {
    grpc::LinuxInterfacePriority& priority = *network.add_priorities();
    priority.set_name(entry.String("name", Need::kRequired));
    priority.set_priority(entry.Unsigned32("priority", Need::kRequired));
  });
}

}  // namespace

void ReadResources(const JsonObject& json, grpc::LinuxResources& resources) {
  json.Each("devices", [&](const JsonObject& rule) { ReadDeviceRule(rule, *resources.add_devices()); });
  json.Child("memory", [&](const JsonObject& memory) { ReadMemory(memory, *resources.mutable_memory()); });
  json.Child("cpu", [&](const JsonObject& cpu) { ReadCpu(cpu, *resources.mutable_cpu()); });
  json.Child("pids", [&](const JsonObject& pids) { resources.mutable_pids()->set_limit(pids.Signed("limit")); });
  json.Child("blockIO", [&](const JsonObject& block_io) { ReadBlockIo(block_io, *resources.mutable_blockio()); });
  json.Each("hugepageLimits", [&](const JsonObject& entry) {
    grpc::LinuxHugepageLimit& limit = *resources.add_hugepagelimits();
    limit.set_pagesize(entry.String("pageSize", Need::kRequired));
    limit.set_limit(entry.Unsigned("limit", Need::kRequired));
  });
  json.Child("network", [&](const JsonObject& network) { ReadNetwork(network, *resources.mutable_network()); });
  json.WarnIf("network", kNoEffect);
  json.EachPair("unified", [&](const std::string& name, std::string value) {
    (*resources.mutable_unified())[name] = std::move(value);
  });
  json.Refuse("rdma", "not supported: a guest has no RDMA device of the host");
}

}  // namespace kata::oci
