// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/hotplug.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "hypervisor/qemu/argv.h"

namespace kata::hypervisor::qemu {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

// Time allowed for a guest to release a device. It takes about 10 ms, or seconds in a busy emulated guest.
constexpr milliseconds kUnplugTime{30000};

}  // namespace

void Hotplug::Occupy(uint32_t place, std::string device) { taken_[place] = std::move(device); }

asio::awaitable<Result<>> Hotplug::PassFd(std::string name, UniqueFd fd) {
  const std::string arguments = Json{{"fdname", name}}.dump();
  CO_TRY(co_await qmp_->ExecuteWithFd("getfd", arguments, fd.get()));
  co_return Result<>();
}

asio::awaitable<Result<std::string>> Hotplug::Plug(std::string properties) {
  auto self = shared_from_this();
  if (places_ == 0) {
    co_return Fail(Code::kUnimplemented,
                   "this machine has no places for devices that come while the guest runs: it needs machine_type q35 "
                   "and default_bridges = 1");
  }
  CO_TRY_ASSIGN(Json device, ParseJson(properties, Qmp::kMaxMessage));
  if (!device.is_object() || !device.contains("id")) {
    co_return Fail(Code::kInvalidArgument, "a device needs a JSON object with an id");
  }
  uint32_t place = 0;
  while (place < places_ && taken_.contains(place)) ++place;
  if (place == places_) {
    co_return Fail(Code::kResourceExhausted, "all {} places for devices are taken", places_);
  }
  // Before the first suspension, so that no other call takes the same place.
  taken_[place] = device["id"].get<std::string>();
  device["bus"] = kBridge;
  device["addr"] = PlaceAddress(place);
  const std::string arguments = device.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  auto added = co_await qmp_->Execute("device_add", arguments);
  if (!added) {
    // Without an answer in time, QEMU may plug the device later: the place stays taken.
    if (added.error().code() != Code::kDeadlineExceeded) taken_.erase(place);
    co_return tl::unexpected<Error>(added.error());
  }
  co_return PlacePath(place);
}

asio::awaitable<Result<>> Hotplug::Unplug(std::string device) {
  auto self = shared_from_this();
  const auto held = [&] {
    return std::find_if(taken_.begin(), taken_.end(), [&](const auto& taken) { return taken.second == device; });
  };
  if (held() == taken_.end()) {
    co_return Fail(Code::kFailedPrecondition, "the device {} is not in a place from which it can be taken", device);
  }
  auto deleted = co_await qmp_->DeleteDevice(device, kUnplugTime);
  // kNotFound: the guest released the device after an earlier call had timed out.
  if (!deleted && deleted.error().code() != Code::kNotFound) co_return deleted;
  if (auto mine = held(); mine != taken_.end()) taken_.erase(mine);
  co_return Result<>();
}

}  // namespace kata::hypervisor::qemu
