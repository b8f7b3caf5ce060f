// SPDX-License-Identifier: Apache-2.0
#include "shim/service.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/security_module.h"
#include "oci/pod.h"
#include "sandbox/assemble.h"
#include "sandbox/task/runtime_error.h"
#include "sandbox/task/task_client.h"
#include "shim/stdio_uri.h"

namespace kata::shim {
namespace {

namespace task = containerd::task::v2;

constexpr const char* kMethods[] = {"State",  "Create", "Start",   "Delete",     "Pids",    "Pause",
                                    "Resume", "Kill",   "Exec",    "CloseIO",    "Stats",   "ResizePty",
                                    "Update", "Wait",   "Connect", "Checkpoint", "Shutdown"};
// Time allowed for the replies to pending calls of Wait and the like.
constexpr std::chrono::milliseconds kLastAnswers{1000};

// What containerd's configuration says: in the call that begins the sandbox, otherwise in the options of `start`.
// KATA_CONF_FILE has precedence, as in Kata.
RuntimeOptions OptionsOf(const wkt::Any& call, const RuntimeOptions& at_start) {
  RuntimeOptions options = Merge(at_start, ReadRuntimeOptions(call));
  if (std::getenv("KATA_CONF_FILE") != nullptr) options.config_path.clear();
  return options;
}

}  // namespace

ShimService::ShimService(const asio::any_io_executor& executor, ShimParts parts)
    : executor_(executor), parts_(std::move(parts)), begun_(executor), ended_(executor) {
  for (const char* service : {sandbox::kTaskService, sandbox::kTaskServiceV3}) {
    for (const char* method : kMethods) {
      table_.Add(service, method, [this, method](std::string payload) { return Call(method, std::move(payload)); });
    }
  }
  AddSandboxMethods();
}

asio::awaitable<Result<rpc::Payload>> ShimService::Call(std::string method, std::string payload) {
  if (!task_ && method == "Create") {
    task::CreateTaskRequest request;
    if (!request.ParseFromString(payload)) co_return Fail(Code::kInvalidArgument, "the request is not a valid message");
    auto begun = sandbox::AsRuntimeError(Begin({.bundle = request.bundle(), .options = request.options()}));
    if (!begun) {
      log::Error("{}", begun.error().message());
      co_return tl::unexpected<Error>(std::move(begun).error());
    }
  }
  if (!task_) co_return AnswerWithoutSandbox(method, payload);
  const rpc::MethodTable::Handler* handler = task_->table().Find(sandbox::kTaskService, method);
  task::DeleteRequest removed;
  if (method == "Delete") std::ignore = removed.ParseFromString(payload);
  auto answer = co_await (*handler)(std::move(payload));
  // After Delete clients expect the process's log to be complete.
  if (answer && method == "Delete") co_await parts_.loggers->Finish(removed.id(), removed.exec_id());
  if (!answer && method == "Create") log::Error("{}", answer.error().message());
  co_return answer;
}

Result<std::string> ShimService::AnswerWithoutSandbox(const std::string& method, const std::string& payload) {
  if (method == "Connect") {
    task::ConnectResponse reply;
    reply.set_shim_pid(static_cast<uint32_t>(getpid()));
    reply.set_task_pid(static_cast<uint32_t>(getpid()));
    reply.set_version(KATA_VERSION);
    return reply.SerializeAsString();
  }
  if (method == "Shutdown") {
    RequestEnd();
    return wkt::Empty().SerializeAsString();
  }
  // In all requests the first field is the container's id, so any of them parses as a StateRequest.
  task::StateRequest request;
  const bool named = request.ParseFromString(payload);
  return Fail(Code::kNotFound, "container {} does not exist", named ? request.id() : parts_.id);
}

Result<> ShimService::Begin(Beginning beginning) {
  sandbox::SandboxPlan plan;
  plan.id = parts_.id;
  plan.apparmor_profile = kShimProfile;
  plan.mounts = parts_.mounts;
  plan.state.socket = parts_.socket;
  if (beginning.made) {
    plan.bundle = *std::move(beginning.made);
    plan.pod_spec = plan.bundle.spec;
  } else {
    plan.bundle = TRY(plan.mounts.OnHost([&] { return oci::LoadBundle(beginning.bundle); }));
  }
  const oci::PodRole role = TRY(oci::PodRoleOf(plan.bundle.annotations));
  if (role.type == oci::ContainerType::kContainer) {
    return Fail(Code::kFailedPrecondition, "the container belongs to the pod {}, whose sandbox is not here",
                role.sandbox);
  }
  if (role.type == oci::ContainerType::kSandbox) TRY(oci::RefuseHostNamespaces(plan.bundle.spec));
  if (!beginning.network.empty()) oci::SetNetworkNamespace(plan.bundle.spec, beginning.network);
  plan.network_namespace = TRY(plan.mounts.OnHost([&] { return sandbox::network::NamespaceOf(plan.bundle.spec); }));
  plan.standing = beginning.standing;
  plan.pod = plan.standing || role.type == oci::ContainerType::kSandbox;
  std::optional<sandbox::network::Namespace> loopback;
  if (plan.pod && plan.network_namespace) {
    loopback = TRY(sandbox::network::Namespace::Of(TRY(plan.network_namespace->Duplicate())));
  }
  const RuntimeOptions options = OptionsOf(beginning.options, parts_.options);
  plan.config =
      TRY(plan.mounts.OnHost([&] { return sandbox::LoadConfig(options.config_path, plan.bundle, /*warn=*/true); }));
  if (!parts_.debug) log::SetLevel(sandbox::LogLevelOf(plan.config.runtime));
  sandbox::CgroupStay stay = TRY(plan.mounts.OnHost([&]() -> Result<sandbox::CgroupStay> {
    const std::string& path = plan.bundle.spec.linux().cgroupspath();
    const auto place = TRY(sandbox::SandboxCgroupPlace(path, plan.id, options.systemd_cgroup));
    const config::RuntimeConfig& runtime = plan.config.runtime;
    sandbox::CgroupStay planned = TRY(sandbox::PlanCgroupStay(place, plan.id, runtime.sandbox_cgroup_only));
    planned.scope = TRY(sandbox::PlanScope(place, plan.id, plan.bundle.annotations, runtime.timeout_factor));
    return planned;
  }));
  TRY(plan.mounts.OnHost([&] { return sandbox::CheckCgroupStay(stay); }));
  // Recorded before they are created, so that the action `delete` can remove them.
  plan.state.cgroup_paths = stay.made;
  if (stay.scope) plan.state.systemd_unit = stay.scope->unit.name;
  plan.limited_cgroups = sandbox::LimitedCgroups(stay.own, stay.made);
  plan.vcpu_cgroups = stay.vcpu_directories;
  plan.enter_cgroups = [this, &plan, &stay] {
    return plan.mounts.OnHost([&] { return parts_.cgroups->Enter(std::move(stay), parts_.id); });
  };
  plan.directory = std::move(parts_.directory);
  auto sandbox = sandbox::StartSandbox(executor_, plan);
  parts_.directory = std::move(plan.directory);
  sandbox_ = TRY(std::move(sandbox));
  if (loopback) ForwardPorts(*loopback);
  sandbox::TaskInterface interface;
  interface.stdio = std::make_unique<UriStdioSource>(executor_, parts_.namespace_name, parts_.mounts, parts_.loggers);
  interface.events = [publisher = parts_.publisher](sandbox::TaskEvent event) { publisher->Publish(std::move(event)); };
  interface.runs_hooks = true;
  task_ = std::make_unique<sandbox::TaskService>(sandbox_, std::move(interface));
  clock_gettime(CLOCK_REALTIME, &created_at_);
  asio::co_spawn(executor_, RunSandbox(sandbox_), asio::detached);
  begun_.Happen();
  return {};
}

void ShimService::ForwardPorts(const sandbox::network::Namespace& pod) {
  auto forward = sandbox::PortForward::Start(sandbox_, pod);
  if (forward) {
    forward_ = *std::move(forward);
  } else {
    log::Warn("ports of the pod cannot be forwarded: {}", forward.error().message());
  }
}

asio::awaitable<void> ShimService::RunSandbox(std::shared_ptr<sandbox::Sandbox> sandbox) {
  well_ = co_await sandbox::Sandbox::Run(std::move(sandbox));
  forward_.reset();
  // Nothing of the sandbox but this process is left in its cgroups, whose scope ends with their last process.
  (void)parts_.mounts.OnHost([&]() -> Result<> {
    parts_.cgroups->Leave();
    return {};
  });
  clock_gettime(CLOCK_REALTIME, &ended_at_);
  ended_.Happen();
}

asio::awaitable<void> ShimService::Run() {
  co_await begun_.Wait();
  if (!sandbox_) co_return;
  co_await ended_.Wait();
  // Until Shutdown containerd may still ask for the exit statuses of the containers.
  co_await task_->shutdown().Wait();
  co_await task_->Idle(kLastAnswers);
}

void ShimService::Stop(int signal) {
  if (!sandbox_ || ended_.happened()) {
    RequestEnd();
  } else {
    asio::co_spawn(executor_, sandbox::Sandbox::Stop(sandbox_, signal), asio::detached);
  }
}

void ShimService::RequestEnd() {
  begun_.Happen();
  if (sandbox_) sandbox_->RequestEnd(/*now=*/false);
  if (task_) task_->RequestShutdown();
}

}  // namespace kata::shim
