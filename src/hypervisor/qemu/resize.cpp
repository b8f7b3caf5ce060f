// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/resize.h"

#include <algorithm>

#include "base/json.h"

namespace kata::hypervisor::qemu {
namespace {

using Json = nlohmann::json;

// How long to wait before the size is read again: QEMU sends the event at most once a second, while a guest that has no
// pages to move needs only milliseconds.
constexpr std::chrono::milliseconds kFirstPause{10};
constexpr std::chrono::milliseconds kLongestPause{1000};
constexpr uint64_t kMib = 1U << 20U;

uint64_t RoundUp(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

// A string member; "" if it is missing or no string. A guest may have taken over QEMU, so its replies are untrusted.
std::string TextOf(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? member->get<std::string>() : "";
}

// A vCPU slot of QEMU.
struct Cpu {
  Json address;      // its place: socket, core and so on
  std::string type;  // the device type to plug
  std::string id;    // the id of a vCPU that was plugged; empty: present since boot, or absent
  bool present = false;
};

// QEMU's list of vCPU slots, in the order in which vCPUs are plugged.
Result<std::vector<Cpu>> ParseCpus(const Json& list) {
  constexpr std::string_view kPluggedDirectory = "/machine/peripheral/";
  if (!list.is_array()) return Fail(Code::kInternal, "QMP query-hotpluggable-cpus: the answer is no list");
  std::vector<Cpu> cpus;
  // QEMU's list begins with the last slot.
  for (auto item = list.rbegin(); item != list.rend(); ++item) {
    const auto props = item->find("props");
    Cpu cpu;
    cpu.type = TextOf(*item, "type");
    if (cpu.type.empty() || props == item->end() || !props->is_object()) {
      return Fail(Code::kInternal, "QMP query-hotpluggable-cpus: the answer has no processors");
    }
    cpu.address = *props;
    const std::string path = TextOf(*item, "qom-path");
    cpu.present = !path.empty();
    if (path.starts_with(kPluggedDirectory)) cpu.id = path.substr(kPluggedDirectory.size());
    cpus.push_back(std::move(cpu));
  }
  return cpus;
}

}  // namespace

bool CanAddVcpus(const VmSpec& spec) { return spec.max_vcpus > spec.vcpus; }

bool CanAddMemory(const VmSpec& spec) { return spec.max_memory_mib > spec.memory_mib; }

uint64_t MaxMemoryMib(const VmSpec& spec) {
  return spec.memory_mib + RoundUp(spec.max_memory_mib - spec.memory_mib, kMemoryBlockMib);
}

Resizer::Resizer(std::shared_ptr<Qmp> qmp, const config::HypervisorConfig& settings, const VmSpec& spec,
                 std::chrono::milliseconds time, bool unplugs_vcpus)
    : qmp_(std::move(qmp)),
      settings_(settings),
      time_(time),
      unplugs_vcpus_(unplugs_vcpus),
      max_vcpus_(CanAddVcpus(spec) ? spec.max_vcpus : spec.vcpus),
      base_mib_(spec.memory_mib),
      max_mib_(CanAddMemory(spec) ? MaxMemoryMib(spec) : spec.memory_mib) {}

asio::awaitable<Result<Json>> Resizer::Execute(const char* command, Json arguments) {
  std::string text = arguments.dump();
  CO_TRY_ASSIGN(const std::string answer, co_await qmp_->Execute(command, std::move(text)));
  co_return ParseJson(answer, Qmp::kMaxMessage);
}

asio::awaitable<Result<uint32_t>> Resizer::SetVcpus(uint32_t count) {
  if (count == 0 || count > max_vcpus_) {
    co_return Fail(Code::kInvalidArgument, "{} vCPUs: the VM can have 1 to {}", count, max_vcpus_);
  }
  Json nothing = Json::object();
  CO_TRY_ASSIGN(const Json list, co_await Execute("query-hotpluggable-cpus", std::move(nothing)));
  CO_TRY_ASSIGN(const auto cpus, ParseCpus(list));
  auto present = static_cast<uint32_t>(std::count_if(cpus.begin(), cpus.end(), [](const Cpu& c) { return c.present; }));
  for (size_t i = 0; i < cpus.size() && present < count; ++i) {
    if (cpus[i].present) continue;
    Json device = cpus[i].address;
    device["driver"] = cpus[i].type;
    device["id"] = fmt::format("cpu{}", i);
    CO_TRY(Context(co_await Execute("device_add", std::move(device)), "cannot plug vCPU {}", i));
    ++present;
  }
  // Only vCPUs that were plugged can be unplugged; the last one goes first.
  for (auto cpu = cpus.rbegin(); cpu != cpus.rend() && present > count && unplugs_vcpus_; ++cpu) {
    if (cpu->id.empty()) continue;
    std::string id = cpu->id;
    auto gone = co_await qmp_->DeleteDevice(std::move(id), time_);
    CO_TRY(Context(std::move(gone), "cannot unplug a vCPU"));
    --present;
  }
  co_return present;
}

asio::awaitable<Result<uint64_t>> Resizer::SetMemory(uint64_t mib) {
  if (mib > max_mib_) {
    co_return Fail(Code::kInvalidArgument, "{} MiB of memory: the VM can have at most {}", mib, max_mib_);
  }
  if (settings_.enable_virtio_mem && max_mib_ > base_mib_) co_return co_await SetVirtioMem(mib);
  const uint64_t now = base_mib_ + plugged_mib_;
  if (mib <= now) co_return now;
  co_return co_await PlugDimm(RoundUp(mib - now, kMemoryBlockMib));
}

asio::awaitable<Result<uint64_t>> Resizer::PlugDimm(uint64_t mib) {
  if (dimms_ >= settings_.memory_slots) {
    co_return Fail(Code::kResourceExhausted,
                   "all {} slots for memory are used: raise memory_slots, or set "
                   "enable_virtio_mem",
                   dimms_);
  }
  const std::string memory = fmt::format("mem{}", dimms_);
  Json backend = {{"qom-type", "memory-backend-memfd"},
                  {"id", memory},
                  {"size", mib * kMib},
                  {"share", true},
                  {"prealloc", settings_.enable_mem_prealloc},
                  {"hugetlb", settings_.enable_hugepages}};
  CO_TRY(Context(co_await Execute("object-add", std::move(backend)), "cannot make {} MiB of memory", mib));
  Json dimm = {{"driver", "pc-dimm"}, {"id", fmt::format("dimm{}", dimms_)}, {"memdev", memory}};
  auto plugged = co_await Execute("device_add", std::move(dimm));
  if (!plugged) {
    Json object = {{"id", memory}};
    (void)co_await Execute("object-del", std::move(object));
    plugged.error().AddContext(fmt::format("cannot plug {} MiB of memory", mib));
    co_return tl::unexpected<Error>(std::move(plugged).error());
  }
  ++dimms_;
  plugged_mib_ += mib;
  co_return base_mib_ + plugged_mib_;
}

asio::awaitable<Result<uint64_t>> Resizer::VirtioMemSize() {
  Json property = {{"path", fmt::format("/machine/peripheral/{}", kVirtioMem)}, {"property", "size"}};
  CO_TRY_ASSIGN(const Json size, co_await Execute("qom-get", std::move(property)));
  if (!size.is_number_unsigned()) co_return Fail(Code::kInternal, "QMP qom-get: the size of virtio-mem is no number");
  co_return size.get<uint64_t>() / kMib;
}

asio::awaitable<Result<uint64_t>> Resizer::SetVirtioMem(uint64_t mib) {
  const uint64_t wanted = RoundUp(std::max(mib, base_mib_) - base_mib_, kVirtioMemBlockMib);
  Json property = {{"path", fmt::format("/machine/peripheral/{}", kVirtioMem)},
                   {"property", "requested-size"},
                   {"value", wanted * kMib}};
  CO_TRY(co_await Execute("qom-set", std::move(property)));
  Patience patience = qmp_->PatienceFor(time_);
  for (auto pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    CO_TRY_ASSIGN(const uint64_t size, co_await VirtioMemSize());
    if (size == wanted) co_return base_mib_ + size;
    // A guest keeps memory that it cannot free. After the time-out the caller gets the actual size.
    auto event = co_await qmp_->WaitEvent(pause);
    if (!event && event.error().code() != Code::kDeadlineExceeded) {
      co_return tl::unexpected<Error>(std::move(event).error());
    }
    if (patience.Next().count() == 0) co_return base_mib_ + size;
  }
}

}  // namespace kata::hypervisor::qemu
