// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/hotplug.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hypervisor/qemu/argv.h"

namespace kata::hypervisor::qemu {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kCommandTime{10000};
// The guest answers in some 10 ms, an emulated one that is busy in seconds.
constexpr milliseconds kUnplugTime{30000};

}  // namespace

void Hotplug::Occupy(uint32_t port, std::string device) { taken_[port] = std::move(device); }

asio::awaitable<Result<>> Hotplug::PassFd(std::string name, UniqueFd fd) {
  const std::string arguments = Json{{"fdname", name}}.dump();
  CO_TRY(co_await qmp_->ExecuteWithFd("getfd", arguments, fd.get(), kCommandTime));
  co_return Result<>();
}

asio::awaitable<Result<std::string>> Hotplug::Plug(std::string properties) {
  auto self = shared_from_this();
  if (ports_ == 0) {
    co_return Fail(Code::kUnimplemented,
                   "this machine has no places for devices that come while the guest runs: it needs machine_type q35 "
                   "and a pcie_root_port that is not 0");
  }
  Json device = Json::parse(properties, nullptr, false);
  if (!device.is_object() || !device.contains("id")) {
    co_return Fail(Code::kInvalidArgument, "a device needs a JSON object with an id");
  }
  uint32_t port = 0;
  while (port < ports_ && taken_.contains(port)) ++port;
  if (port == ports_) {
    co_return Fail(Code::kResourceExhausted,
                   "all {} places for devices are taken: raise pcie_root_port in [hypervisor.qemu]", ports_);
  }
  // Before the wait, so that nobody else takes the same.
  taken_[port] = device["id"].get<std::string>();
  device["bus"] = RootPortId(port);
  const std::string arguments = device.dump(-1, ' ', false, Json::error_handler_t::replace);
  auto added = co_await qmp_->Execute("device_add", arguments, kCommandTime);
  if (!added) {
    taken_.erase(port);
    co_return tl::unexpected<Error>(added.error());
  }
  co_return RootPortAddress(port) + "/00";
}

asio::awaitable<Result<>> Hotplug::Unplug(std::string device) {
  auto self = shared_from_this();
  const auto held = [&] {
    return std::find_if(taken_.begin(), taken_.end(), [&](const auto& port) { return port.second == device; });
  };
  if (held() == taken_.end()) {
    co_return Fail(Code::kFailedPrecondition, "the device {} is not in a place from which it can be taken", device);
  }
  auto deleted = co_await qmp_->DeleteDevice(device, kUnplugTime);
  // The guest may have let it go after an earlier call had given up.
  if (!deleted && deleted.error().code() != Code::kNotFound) co_return deleted;
  if (auto port = held(); port != taken_.end()) taken_.erase(port);
  co_return Result<>();
}

}  // namespace kata::hypervisor::qemu
