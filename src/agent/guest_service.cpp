// SPDX-License-Identifier: Apache-2.0
// The ttRPC methods for the guest itself: health, details, clock, entropy, files, diagnostics.
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <charconv>

#include "agent/hotplug/online.h"
#include "agent/method.h"
#include "agent/process_list.h"
#include "agent/services.h"
#include "agent/storage/copy_file.h"
#include "agent/storage/drivers.h"
#include "base/files.h"
#include "protocol/guest_contract.h"
#include "protocol/health.pb.h"

namespace kata::agent {

namespace {

asio::awaitable<Result<grpc::HealthCheckResponse>> Check(grpc::CheckRequest) {
  grpc::HealthCheckResponse reply;
  reply.set_status(grpc::HealthCheckResponse::SERVING);
  co_return reply;
}

asio::awaitable<Result<grpc::VersionCheckResponse>> Version(grpc::CheckRequest) {
  grpc::VersionCheckResponse reply;
  reply.set_agent_version(KATA_VERSION);
  reply.set_grpc_version("0.0.1");  // the protocol version that Kata's agents report
  co_return reply;
}

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Result<grpc::GuestDetailsResponse> GetGuestDetails(Pod&, const grpc::GuestDetailsRequest& request) {
  grpc::GuestDetailsResponse reply;
  if (request.mem_block_size()) {
    // The file is missing on a kernel without memory hotplug: the size stays 0.
    if (const auto text = ReadFile(std::string(kMemoryDirectory) + "/block_size_bytes", 64)) {
      uint64_t size = 0;
      std::from_chars(text->data(), text->data() + text->size(), size, 16);
      reply.set_mem_block_size_bytes(size);
    }
  }
  if (request.mem_hotplug_probe())
    reply.set_support_mem_hotplug_probe(Exists(std::string(kMemoryDirectory) + "/probe"));
  auto* details = reply.mutable_agent_details();
  details->set_version(KATA_VERSION);
  details->set_init_daemon(::getpid() == 1);
  for (const std::string& driver : StorageDrivers()) details->add_storage_handlers(driver);
  for (const char* type : {contract::kBlockDriver, "mmioblk", contract::kScsiDriver, "nvdimm"})
    details->add_device_handlers(type);
  details->set_supports_seccomp(Exists("/proc/sys/kernel/seccomp/actions_avail"));
  return reply;
}

Result<Empty> SetGuestDateTime(Pod&, const grpc::SetGuestDateTimeRequest& request) {
  constexpr int64_t kMicroseconds = 1000000;
  if (request.sec() < 0 || request.usec() < 0 || request.usec() >= kMicroseconds) {
    return Fail(Code::kInvalidArgument, "{} s and {} us are no time", request.sec(), request.usec());
  }
  timeval now{};
  now.tv_sec = request.sec();
  now.tv_usec = request.usec();
  if (::settimeofday(&now, nullptr) < 0) return FailErrno("cannot set the clock to {} s", request.sec());
  return Empty();
}

// random(4): mixes the bytes into the pool, credits them as entropy, and reseeds the generator.
Result<Empty> ReseedRandomDev(Pod&, const grpc::ReseedRandomDevRequest& request) {
  constexpr size_t kMost = 4096;
  if (request.data().empty() || request.data().size() > kMost) {
    return Fail(Code::kInvalidArgument, "{} bytes of entropy: 1 to {} are wanted", request.data().size(), kMost);
  }
  const auto device = TRY(Open("/dev/random", O_WRONLY));
  TRY(Context(WriteAll(device.get(), request.data()), "cannot write to /dev/random"));
  const int bits = static_cast<int>(request.data().size() * 8);
  if (::ioctl(device.get(), RNDADDTOENTCNT, &bits) < 0) return FailErrno("cannot count the entropy");
  if (::ioctl(device.get(), RNDRESEEDCRNG) < 0) return FailErrno("cannot reseed the random generator");
  return Empty();
}

Result<Empty> CopyFileCall(Pod& pod, const grpc::CopyFileRequest& request) {
  return Done(CopyFile(pod.root(), request));
}

Result<grpc::GetDiagnosticDataResponse> GetDiagnosticData(Pod& pod, const grpc::GetDiagnosticDataRequest& request) {
  if (request.log_type() != contract::kProcessesLog) {
    return Fail(Code::kUnimplemented, "GetDiagnosticData: the log type \"{}\" is not implemented; \"processes\" is",
                request.log_type().substr(0, 64));
  }
  const auto entry = TRY(pod.Find(request.container_id()));
  grpc::GetDiagnosticDataResponse reply;
  // By path and not by /proc/PID/root, which the process could have changed.
  const auto rootfs =
      TRY(pod.root().OpenExisting(pod.root().path() + "/" + entry->id + "/rootfs", O_PATH | O_DIRECTORY));
  reply.set_data(ListProcesses(TRY(entry->container->Pids()), UserNames(rootfs.get())));
  return reply;
}

}  // namespace

void AddGuestMethods(rpc::MethodTable& table, Pod& pod) {
  table.Method<grpc::CheckRequest, grpc::HealthCheckResponse>(contract::kHealthService, "Check", Check);
  table.Method<grpc::CheckRequest, grpc::VersionCheckResponse>(contract::kHealthService, "Version", Version);
  Add(table, pod, "GetGuestDetails", GetGuestDetails);
  Add(table, pod, "SetGuestDateTime", SetGuestDateTime);
  Add(table, pod, "ReseedRandomDev", ReseedRandomDev);
  Add(table, pod, "CopyFile", CopyFileCall);
  Add(table, pod, "GetDiagnosticData", GetDiagnosticData);
}

void AddServices(rpc::MethodTable& table, Pod& pod) {
  AddContainerMethods(table, pod);
  AddProcessMethods(table, pod);
  AddSandboxMethods(table, pod);
  AddGuestMethods(table, pod);
  AddNetworkMethods(table, pod);
  AddResourceMethods(table, pod);
}

}  // namespace kata::agent
