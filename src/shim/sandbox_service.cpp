// SPDX-License-Identifier: Apache-2.0
// containerd's Sandbox service: creates and ends the sandbox independently of containers.
#include <unistd.h>

#include <chrono>
#include <ctime>

#include "base/files.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/task/metrics.h"
#include "sandbox/task/runtime_error.h"
#include "shim/pod_bundle.h"
#include "shim/service.h"

namespace kata::shim {
namespace {

// As Go names it, which is what containerd compares.
#ifdef __aarch64__
constexpr char kArchitecture[] = "arm64";
#else
constexpr char kArchitecture[] = "amd64";
#endif

constexpr char kSandboxService[] = "containerd.runtime.sandbox.v1.Sandbox";
constexpr char kReadyState[] = "SANDBOX_READY";
constexpr char kNotReadyState[] = "SANDBOX_NOTREADY";
// Time allowed for the agent's answer.
constexpr std::chrono::milliseconds kPingTime{5000};

void SetTime(const timespec& time, wkt::Timestamp* to) {
  to->set_seconds(time.tv_sec);
  to->set_nanos(static_cast<int32_t>(time.tv_nsec));
}

// The resources that a process of the sandbox has used.
struct Usage {
  uint64_t cpu_microseconds = 0;
  uint64_t memory = 0;  // resident, in bytes
};

Usage UsageOf(pid_t pid) {
  Usage usage;
  const auto stat = ReadFile(fmt::format("/proc/{}/stat", pid));
  if (!stat) return usage;
  // Counted after the name in parentheses (proc(5)): state is field 1, utime and stime are 12 and 13, rss is 22.
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return usage;
  unsigned long long user = 0;
  unsigned long long system = 0;
  long long resident = 0;
  constexpr const char* kFormat =
      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %*u %*u %lld";
  if (sscanf(stat->c_str() + name_end + 1, kFormat, &user, &system, &resident) != 3) return usage;
  constexpr uint64_t kMicroseconds = 1000000;
  usage.cpu_microseconds = (user + system) * kMicroseconds / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  usage.memory = static_cast<uint64_t>(resident) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return usage;
}

}  // namespace

template <typename Request, typename Reply>
void ShimService::AddSandboxMethod(const char* method,
                                   asio::awaitable<Result<Reply>> (ShimService::*function)(Request)) {
  table_.Method<Request, Reply>(kSandboxService, method,
                                [this, function](Request request) { return (this->*function)(std::move(request)); });
}

void ShimService::AddSandboxMethods() {
  AddSandboxMethod("CreateSandbox", &ShimService::CreateSandbox);
  AddSandboxMethod("StartSandbox", &ShimService::StartSandbox);
  AddSandboxMethod("Platform", &ShimService::Platform);
  AddSandboxMethod("StopSandbox", &ShimService::StopSandbox);
  AddSandboxMethod("WaitSandbox", &ShimService::WaitSandbox);
  AddSandboxMethod("SandboxStatus", &ShimService::SandboxStatus);
  AddSandboxMethod("PingSandbox", &ShimService::PingSandbox);
  AddSandboxMethod("ShutdownSandbox", &ShimService::ShutdownSandbox);
  AddSandboxMethod("SandboxMetrics", &ShimService::SandboxMetrics);
}

Result<std::shared_ptr<sandbox::Sandbox>> ShimService::FindSandbox(const std::string& id) {
  if (sandbox_ && id == parts_.id) return sandbox_;
  return Fail(Code::kNotFound, "sandbox {} does not exist", id);
}

asio::awaitable<Result<api::CreateSandboxResponse>> ShimService::CreateSandbox(api::CreateSandboxRequest request) {
  if (request.sandbox_id() != parts_.id) {
    co_return Fail(Code::kInvalidArgument, "this is the shim of sandbox {}, not of {}", parts_.id,
                   request.sandbox_id());
  }
  Beginning beginning{.bundle = request.bundle_path(), .options = request.options(), .network = request.netns_path()};
  beginning.standing = true;
  if (sandbox_) co_return Fail(Code::kAlreadyExists, "the sandbox {} has been created already", parts_.id);
  CO_TRY_ASSIGN(beginning.made, parts_.mounts.OnHost([&]() -> Result<std::optional<oci::Bundle>> {
    if (HasSpec(request)) return std::nullopt;
    return TRY(MakePodBundle(request));
  }));
  CO_TRY(sandbox::AsRuntimeError(Begin(std::move(beginning))));
  co_return api::CreateSandboxResponse();
}

asio::awaitable<Result<api::StartSandboxResponse>> ShimService::StartSandbox(api::StartSandboxRequest request) {
  CO_TRY_ASSIGN(auto sandbox, FindSandbox(request.sandbox_id()));
  CO_TRY(co_await sandbox->vm().Ready());
  if (const auto vmm = sandbox->vm().hypervisor().Pids(); !vmm.empty()) vmm_ = vmm.front();
  api::StartSandboxResponse reply;
  reply.set_pid(static_cast<uint32_t>(vmm_));
  SetTime(created_at_, reply.mutable_created_at());
  co_return reply;
}

asio::awaitable<Result<api::PlatformResponse>> ShimService::Platform(api::PlatformRequest request) {
  CO_TRY(FindSandbox(request.sandbox_id()));
  api::PlatformResponse reply;
  reply.mutable_platform()->set_os("linux");
  reply.mutable_platform()->set_architecture(kArchitecture);
  co_return reply;
}

asio::awaitable<Result<api::StopSandboxResponse>> ShimService::StopSandbox(api::StopSandboxRequest request) {
  CO_TRY_ASSIGN(auto sandbox, FindSandbox(request.sandbox_id()));
  sandbox->RequestEnd(/*now=*/false);
  if (request.timeout_secs() == 0) {
    co_await ended_.Wait();
  } else {
    co_await ended_.WaitFor(std::chrono::seconds(request.timeout_secs()));
    if (!ended_.happened()) {
      co_return Fail(Code::kDeadlineExceeded, "the sandbox has not ended within {} s", request.timeout_secs());
    }
  }
  co_return api::StopSandboxResponse();
}

asio::awaitable<Result<api::WaitSandboxResponse>> ShimService::WaitSandbox(api::WaitSandboxRequest request) {
  CO_TRY(FindSandbox(request.sandbox_id()));
  co_await ended_.Wait();
  api::WaitSandboxResponse reply;
  reply.set_exit_status(well_ ? 0 : static_cast<uint32_t>(sandbox::kKilledStatus));
  SetTime(ended_at_, reply.mutable_exited_at());
  co_return reply;
}

asio::awaitable<Result<api::SandboxStatusResponse>> ShimService::SandboxStatus(api::SandboxStatusRequest request) {
  CO_TRY_ASSIGN(auto sandbox, FindSandbox(request.sandbox_id()));
  api::SandboxStatusResponse reply;
  reply.set_sandbox_id(parts_.id);
  reply.set_pid(static_cast<uint32_t>(vmm_));
  reply.set_state(sandbox->ending() ? kNotReadyState : kReadyState);
  SetTime(created_at_, reply.mutable_created_at());
  if (ended_.happened()) SetTime(ended_at_, reply.mutable_exited_at());
  if (request.verbose()) (*reply.mutable_info())["state"] = sandbox::ToJson(sandbox->state());
  co_return reply;
}

asio::awaitable<Result<api::PingResponse>> ShimService::PingSandbox(api::PingRequest request) {
  CO_TRY_ASSIGN(auto sandbox, FindSandbox(request.sandbox_id()));
  if (sandbox->ending()) co_return Fail(Code::kUnavailable, "the sandbox {} has ended", parts_.id);
  CO_TRY(co_await sandbox->vm().Ready());
  CO_TRY(co_await sandbox->vm().agent()->Check(sandbox->vm().PatienceFor(kPingTime)));
  co_return api::PingResponse();
}

asio::awaitable<Result<api::ShutdownSandboxResponse>> ShimService::ShutdownSandbox(
    api::ShutdownSandboxRequest request) {
  if (request.sandbox_id() != parts_.id) {
    co_return Fail(Code::kNotFound, "sandbox {} does not exist", request.sandbox_id());
  }
  RequestEnd();
  if (sandbox_) co_await ended_.Wait();
  co_return api::ShutdownSandboxResponse();
}

// The resources that the sandbox uses on the host: this process, the VMM and the file server.
asio::awaitable<Result<api::SandboxMetricsResponse>> ShimService::SandboxMetrics(api::SandboxMetricsRequest request) {
  CO_TRY_ASSIGN(auto sandbox, FindSandbox(request.sandbox_id()));
  std::vector<pid_t> pids = sandbox->vm().Pids();
  pids.push_back(getpid());
  Usage all;
  for (const pid_t pid : pids) {
    const Usage one = UsageOf(pid);
    all.cpu_microseconds += one.cpu_microseconds;
    all.memory += one.memory;
  }
  grpc::StatsContainerResponse stats;
  constexpr uint64_t kNanoseconds = 1000;
  stats.mutable_cgroup_stats()->mutable_cpu_stats()->mutable_cpu_usage()->set_total_usage(all.cpu_microseconds *
                                                                                          kNanoseconds);
  stats.mutable_cgroup_stats()->mutable_memory_stats()->mutable_usage()->set_usage(all.memory);
  stats.mutable_cgroup_stats()->mutable_pids_stats()->set_current(pids.size());
  api::SandboxMetricsResponse reply;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  SetTime(now, reply.mutable_metrics()->mutable_timestamp());
  reply.mutable_metrics()->set_id(parts_.id);
  *reply.mutable_metrics()->mutable_data() = sandbox::PackMetrics(stats, sandbox::HostIsUnified());
  co_return reply;
}

}  // namespace kata::shim
