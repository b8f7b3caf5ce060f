// SPDX-License-Identifier: Apache-2.0
// The ttRPC methods for the guest's resources: processors, memory, swap, volumes, packet filter and metrics.
#include <sys/swap.h>

#include "agent/hotplug/block_device.h"
#include "agent/hotplug/online.h"
#include "agent/hotplug/uevents.h"
#include "agent/iptables.h"
#include "agent/method.h"
#include "agent/metrics.h"
#include "agent/services.h"
#include "agent/volume.h"
#include "base/files.h"
#include "protocol/guest_contract.h"

namespace kata::agent {

namespace {

constexpr char kCpus[] = "/sys/devices/system/cpu";

asio::awaitable<Result<Empty>> OnlineCpuMem(Pod& pod, grpc::OnlineCPUMemRequest request) {
  uint32_t online = 0;
  std::function<Result<>()> look = [&]() -> Result<> {
    online += TRY(OnlineCpus(kCpus));
    if (online >= request.nb_cpus()) return {};
    return Fail(Code::kNotFound, "{} of {} new processors have come", online, request.nb_cpus());
  };
  if (request.wait()) {
    CO_TRY(co_await LookUntilFound(pod.executor(), pod.options().hotplug_timeout, look));
  } else {
    auto looked = look();
    if (!looked && looked.error().code() != Code::kNotFound) co_return Done(std::move(looked));
  }
  if (!request.cpu_only()) CO_TRY(OnlineMemory(kMemoryDirectory));
  co_return Empty();
}

Result<Empty> MemHotplugByProbe(Pod&, const grpc::MemHotplugByProbeRequest& request) {
  const std::string file = std::string(kMemoryDirectory) + "/probe";
  for (const uint64_t address : request.memhotplugprobeaddr()) {
    TRY(Context(WriteFile(file, fmt::format("{:#x}", address)),
                "cannot add the memory at {:#x} (the guest's kernel needs ARCH_MEMORY_PROBE)", address));
  }
  return Empty();
}

Result<Empty> SwapOn(const std::string& path) {
  if (::swapon(path.c_str(), 0) < 0) return FailErrno("cannot swap to {}", path);
  return Empty();
}

asio::awaitable<Result<Empty>> AddSwapDisk(Pod& pod, std::string address) {
  auto disk =
      co_await WaitForDisk(pod.executor(), contract::kBlockDriver, std::move(address), pod.options().hotplug_timeout);
  CO_TRY_ASSIGN(auto found, Context(std::move(disk), "swap"));
  co_return SwapOn(found.path);
}

asio::awaitable<Result<Empty>> AddSwap(Pod& pod, grpc::AddSwapRequest request) {
  std::string address;
  for (const uint32_t slot : request.pcipath()) address += fmt::format("{}{:02x}", address.empty() ? "" : "/", slot);
  return AddSwapDisk(pod, std::move(address));
}

asio::awaitable<Result<Empty>> AddSwapPath(Pod& pod, grpc::AddSwapPathRequest request) {
  // Disks only: any file that a path could name belongs to a container or to the host.
  std::string address = request.path().starts_with("/dev/") ? request.path() : "/dev/" + request.path();
  return AddSwapDisk(pod, std::move(address));
}

Result<Empty> UpdateEphemeralMounts(Pod& pod, const grpc::UpdateEphemeralMountsRequest& request) {
  return Done(pod.storages().Remount(request.storages()));
}

Result<grpc::VolumeStatsResponse> GetVolumeStats(Pod& pod, const grpc::VolumeStatsRequest& request) {
  return VolumeStats(pod.root(), request.volume_guest_path());
}

Result<Empty> ResizeVolumeCall(Pod& pod, const grpc::ResizeVolumeRequest& request) {
  return Done(ResizeVolume(pod.root(), request.volume_guest_path(), request.size()));
}

Result<grpc::Metrics> GetMetrics(Pod&, const grpc::GetMetricsRequest&) {
  static uint64_t scrapes = 0;
  grpc::Metrics reply;
  reply.set_metrics(Metrics(++scrapes));
  return reply;
}

asio::awaitable<Result<grpc::GetIPTablesResponse>> GetIpTables(Pod&, grpc::GetIPTablesRequest request) {
  grpc::GetIPTablesResponse reply;
  CO_TRY_ASSIGN(*reply.mutable_data(), co_await SaveIpTables(request.is_ipv6()));
  co_return reply;
}

asio::awaitable<Result<grpc::SetIPTablesResponse>> SetIpTables(Pod&, grpc::SetIPTablesRequest request) {
  grpc::SetIPTablesResponse reply;
  std::string rules = std::move(*request.mutable_data());
  CO_TRY_ASSIGN(*reply.mutable_data(), co_await RestoreIpTables(request.is_ipv6(), std::move(rules)));
  co_return reply;
}

}  // namespace

void AddResourceMethods(rpc::MethodTable& table, Pod& pod) {
  Add(table, pod, "OnlineCPUMem", OnlineCpuMem);
  Add(table, pod, "MemHotplugByProbe", MemHotplugByProbe);
  Add(table, pod, "AddSwap", AddSwap);
  Add(table, pod, "AddSwapPath", AddSwapPath);
  Add(table, pod, "UpdateEphemeralMounts", UpdateEphemeralMounts);
  Add(table, pod, "GetVolumeStats", GetVolumeStats);
  Add(table, pod, "ResizeVolume", ResizeVolumeCall);
  Add(table, pod, "GetMetrics", GetMetrics);
  Add(table, pod, "GetIPTables", GetIpTables);
  Add(table, pod, "SetIPTables", SetIpTables);
}

}  // namespace kata::agent
