// SPDX-License-Identifier: Apache-2.0
#include "runtime/create.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <poll.h>

#include <algorithm>
#include <optional>

#include "base/files.h"
#include "base/log.h"
#include "base/patience.h"
#include "base/user_namespace.h"
#include "config/config.h"
#include "oci/bundle.h"
#include "oci/parse.h"
#include "protocol/shim.pb.h"
#include "runtime/destroy.h"
#include "runtime/foreground.h"
#include "runtime/join.h"
#include "runtime/standin_view.h"
#include "runtime/start_standin.h"
#include "runtime/task.h"
#include "runtime/terminal.h"
#include "runtime/verbs.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/host/hooks.h"
#include "sandbox/host/host_cgroups.h"
#include "sandbox/network/network.h"
#include "sandbox/record/directory.h"
#include "sandbox/sandbox_process.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

// Time allowed for the sandbox process to open its sockets, which it does before anything that takes long.
constexpr std::chrono::milliseconds kReadyTime{30000};
constexpr size_t kShownLog = 2048;
// How often SandboxFailure reads the record, and the pause in between in milliseconds.
constexpr int kFailureTries = 100;
constexpr int kFailurePause = 10;

Result<> CheckTerminal(const grpc::Spec& spec, const CreateOptions& options, bool detached) {
  const bool terminal = spec.process().terminal();
  if (detached && terminal && options.console_socket.empty()) {
    return Fail(Code::kInvalidArgument,
                "cannot allocate tty if kata-runtime will detach without setting console socket");
  }
  if (!options.console_socket.empty() && !(detached && terminal)) {
    return Fail(Code::kInvalidArgument, "cannot use console socket if kata-runtime will not detach or allocate tty");
  }
  if (terminal && !detached) TRY(FindOwnTerminal());
  return {};
}

// The steps of a creation (docs/architecture.md, "A start"), in order, and the things that they have created.
class Creation {
 public:
  Creation(const Globals& globals, const CreateOptions& options, bool detached, const Interrupts& interrupts)
      : globals_(globals), options_(options), detached_(detached), interrupts_(interrupts) {}

  Result<Created> Run() {
    TRY(RequireRoot());
    bundle_ = TRY(oci::LoadBundle(options_.bundle));
    for (const std::string& warning : bundle_.warnings) log::Warn("{}", warning);
    log::Debug("the bundle is {}, the root file system {}", bundle_.path, bundle_.rootfs);
    TRY(CheckMappings(bundle_.spec.linux()));
    TRY(CheckTerminal(bundle_.spec, options_, detached_));
    TRY(CheckPidFile(options_.pid_file));
    const config::LoadOptions load = config::OptionsOfProcess(globals_.config_path);
    config::Loaded loaded = TRY(config::Load(load));
    config_path_ = load.named_file();
    for (const std::string& warning : loaded.warnings) log::Warn("{}", warning);
    standin_program_ = std::move(loaded.config.runtime.standin_path);
    timeout_factor_ = loaded.config.runtime.timeout_factor;
    joined_ = TRY(FindSandbox(globals_.root, bundle_));
    if (joined_) log::Debug("the container joins the sandbox of {}", joined_->id);
    TRY(PlanCgroups(joined_ || loaded.config.runtime.sandbox_cgroup_only));
    directory_ = TRY(ClaimDirectory(globals_.root, options_.id));
    KeepDefaultRoot(globals_.root);
    log::Debug("the container's directory is {}/{}", globals_.root, options_.id);

    auto made = Make();
    if (made) return made;
    Error error = std::move(made).error();
    CleanUp();
    return tl::unexpected(std::move(error));
  }

 private:
  Result<> PlanCgroups(bool sandbox_cgroup_only) {
    // Podman's default on a host with systemd, which is a user's own there.
    if (globals_.systemd_cgroup && cgroup_use_ == sandbox::CgroupUse::kIfAllowed && !IsHostsRoot()) {
      log::Debug("the container has no cgroup of its own: a user's systemd is not asked for scopes");
      return {};
    }
    const std::string& path = bundle_.spec.linux().cgroupspath();
    const sandbox::CgroupPlace place = TRY(sandbox::PlaceOf(path, options_.id, globals_.systemd_cgroup));
    auto scope = TRY(sandbox::PlanScope(place, options_.id, bundle_.annotations, timeout_factor_));
    auto stay = sandbox::PlanCgroupStay(place, options_.id, sandbox_cgroup_only);
    if (!stay) log::Warn("the container has no cgroup of its own on the host: {}", stay.error().message());
    if (stay) {
      stay_ = *std::move(stay);
      stay_.scope = std::move(scope);
    }
    TRY(sandbox::CheckCgroupStay(stay_));
    log::Debug("cgroups on the host: {}", fmt::join(stay_.made, ", "));
    return {};
  }

  Result<Created> Make() {
    TRY(WriteRecord());
    TRY(MakeCgroups());
    network_ = TRY(sandbox::network::NamespaceOf(bundle_.spec));
    TRY(joined_ ? JoinSandbox() : StartSandbox());
    TRY(LaunchStandin());
    scope_holder_.reset();
    TRY(RunCreateHooks());
    TRY(CallCreate());
    TRY(CheckStandin());
    TRY(ShowContainer(standin_.pid(), bundle_));
    if (pty_) TRY(SendToConsoleSocket(options_.console_socket, *pty_));
    TRY(WritePidFile(options_.pid_file, standin_.pid()));
    if (!options_.pid_file.empty()) log::Debug("the pid is in {}", options_.pid_file);
    Record record{.id = options_.id, .directory = std::move(directory_), .state = {}};
    record.state = TRY(sandbox::LoadState(record.directory.get()));
    sandbox_.process.Disown();
    return Created{.record = std::move(record),
                   .standin = std::move(standin_),
                   .outputs = std::move(outputs_.here),
                   .spec = std::move(bundle_.spec)};
  }

  // Written before anything else is created, so that `delete` can clean up if this process is killed.
  Result<> WriteRecord() {
    const std::string spec = TRY(ReadRegularFile(bundle_.path + "/config.json", oci::kMaxSpecBytes));
    TRY(WriteFileAtomic(directory_.get(), kSpecCopy, spec, 0600));
    state_.id = options_.id;
    state_.oci_version = bundle_.oci_version;
    state_.bundle = bundle_.path;
    state_.rootfs = bundle_.rootfs;
    state_.annotations = bundle_.annotations;
    state_.created = sandbox::FormatNow();
    state_.owner = getuid();
    state_.cgroup_paths = stay_.made;
    if (stay_.scope) state_.systemd_unit = stay_.scope->unit.name;
    return sandbox::StoreState(directory_.get(), state_);
  }

  Result<> StartScope() {
    auto holder = sandbox::StartScope(*stay_.scope);
    if (holder) {
      scope_holder_ = *std::move(holder);
      return {};
    }
    // Then there is nothing to stop, and a systemd that has not answered is not asked again.
    state_.systemd_unit.clear();
    TRY(sandbox::StoreState(directory_.get(), state_));
    return tl::unexpected<Error>(std::move(holder).error());
  }

  // cgroups_ is for the stand-in: engines look for the container in the cgroup of its pid.
  Result<> MakeCgroups() {
    if (stay_.process.empty()) return {};
    if (stay_.scope) TRY(StartScope());
    sandbox_cgroups_ = TRY(sandbox::MakeCgroupsOf(stay_.process, cgroup_use_));
    if (!stay_.vcpus.empty()) vcpu_cgroups_ = TRY(sandbox::MakeCgroupsOf(stay_.vcpus, cgroup_use_));
    cgroups_ = stay_.vcpus.empty() ? sandbox_cgroups_ : vcpu_cgroups_;
    return {};
  }

  Result<> JoinSandbox() {
    auto linked = sandbox::LinkSandbox(joined_->directory.get(), directory_.get());
    if (linked || linked.error().code() != Code::kNotFound) return linked;
    return Fail(Code::kUnavailable,
                "the container {}, in whose virtual machine this one is to be, has just been removed", joined_->id);
  }

  Result<> StartSandbox() {
    log::Debug("starting the sandbox process, which logs to {}/{}/{}", globals_.root, options_.id,
               sandbox::kSandboxLog);
    sandbox_ = TRY(LaunchSandbox());
    const pid_t pid = sandbox_.process.pid();
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(kReadyTime * timeout_factor_);
    TRY(sandbox_.AwaitReady(PatienceWith({pid}, time, Patience::Kind::kWork, kTimeoutFactorKey)));
    log::Debug("the sandbox process {} is ready", pid);
    return {};
  }

  Result<sandbox::LaunchedSandbox> LaunchSandbox() {
    sandbox::SandboxOptions options;
    options.id = options_.id;
    options.bundle = bundle_.path;
    options.config_path = config_path_;
    options.cgroups = sandbox_cgroups_;
    options.vcpu_cgroups = vcpu_cgroups_;
    options.cgroup_paths = stay_.made;
    options.systemd_unit = state_.systemd_unit;
    options.network_namespace = network_.has_value();
    options.rootless = cgroup_use_ == sandbox::CgroupUse::kIfAllowed;
    options.debug = globals_.debug;
    return sandbox::LaunchSandbox(options, directory_.get(), NetworkFd());
  }

  int NetworkFd() const { return network_ ? network_->fd() : -1; }

  Result<> LaunchStandin() {
    if (!options_.console_socket.empty()) {
      const grpc::Box& size = bundle_.spec.process().consolesize();
      pty_ = TRY(OpenPty(size.height(), size.width()));
    }
    if (!detached_) outputs_ = TRY(MakeOutputsEnd());
    auto standin = StartStandin({.program = standin_program_,
                                 .container = options_.id,
                                 .exec_id = "",
                                 .cgroups = cgroups_,
                                 .cgroup_use = cgroup_use_,
                                 .network_namespace = NetworkFd(),
                                 .pty = pty_ ? &*pty_ : nullptr,
                                 .own_mounts = true,
                                 .until_end = outputs_.there.get()},
                                directory_.get());
    // The sandbox process may have failed and ended before the stand-in could connect to it.
    if (!standin) return tl::unexpected(Explain(std::move(standin).error()));
    standin_ = *std::move(standin);
    outputs_.there.Reset();
    state_.standin.pid = standin_.pid();
    if (auto standin = IdentifyProcess(standin_.pid())) state_.standin = *standin;
    log::Debug("process {} stands for the container", standin_.pid());
    // The sandbox process of other containers reads the record when it is asked for this one. The own one's has written
    // more into it already.
    return joined_ ? sandbox::StoreState(directory_.get(), state_) : Result<>();
  }

  // Until the container is created, only the record of the one that it joins says what has become of their sandbox.
  Error Explain(Error error) const {
    return ExplainStartFailure(std::move(error), joined_ ? joined_->directory.get() : directory_.get());
  }

  Result<> RunCreateHooks() {
    const grpc::Hooks& hooks = bundle_.spec.hooks();
    if (hooks.prestart().empty() && hooks.createruntime().empty() && hooks.createcontainer().empty()) return {};
    const UniqueFd dir = TRY(Open(bundle_.path, O_PATH | O_DIRECTORY));
    sandbox::HookContext context{.state = sandbox::HookState(state_, sandbox::Status::kCreating),
                                 .working_directory = dir.get(),
                                 .interrupts = &interrupts_};
    TRY(sandbox::RunHooks("prestart", hooks.prestart(), context));
    TRY(sandbox::RunHooks("createRuntime", hooks.createruntime(), context));
    // createContainer hooks run in the container's network namespace, rootfs and environment.
    if (hooks.createcontainer().empty()) return {};
    const UniqueFd rootfs = TRY(Open(bundle_.rootfs, O_PATH | O_DIRECTORY));
    const auto& variables = bundle_.spec.process().env();
    const std::vector<std::string> environment(variables.begin(), variables.end());
    context.network_namespace = NetworkFd();
    context.working_directory = rootfs.get();
    context.environment = &environment;
    return sandbox::RunHooks("createContainer", hooks.createcontainer(), context);
  }

  Result<> CallCreate() {
    auto task = Task::Connect(directory_.get());
    if (!task) return tl::unexpected(Explain(std::move(task).error()));
    containerd::task::v2::CreateTaskRequest request;
    request.set_id(options_.id);
    request.set_bundle(bundle_.path);
    request.set_terminal(bundle_.spec.process().terminal());
    const bool foreground = bundle_.spec.process().terminal() && !detached_;
    const std::string stdio = sandbox::StandinStdio(standin_.pid(), foreground ? getpid() : 0);
    request.set_stdin(stdio);
    request.set_stdout(stdio);
    request.set_stderr(stdio);
    auto created = task->Call<containerd::task::v2::CreateTaskResponse>("Create", request, {}, &interrupts_);
    if (!created) return tl::unexpected(Explain(std::move(created).error()));
    return {};
  }

  // Engines know the container by the stand-in's pid: without a stand-in they could never end the container.
  Result<> CheckStandin() {
    pollfd ended{standin_.pidfd(), POLLIN, 0};
    if (poll(&ended, 1, 0) == 0) return {};
    const ExitStatus status = TRY(standin_.Wait());
    return Fail(Code::kAborted, "the stand-in {} while the container was made", status.Describe());
  }

  void CleanUp() {
    log::Debug("taking back what was made");
    sandbox_.process.End();
    standin_.End();
    scope_holder_.reset();
    auto record = FindContainer(globals_.root, options_.id);
    if (!record) return;  // a concurrent delete has removed the container
    if (auto gone = Destroy(globals_.root, std::move(*record)); !gone && gone.error().code() != Code::kNotFound) {
      log::Warn("cannot clean up after the failed start: {}", gone.error().message());
    }
  }

  const Globals& globals_;
  const CreateOptions& options_;
  const bool detached_;
  const Interrupts& interrupts_;

  oci::Bundle bundle_;
  std::string config_path_;  // the configuration file that the user named; empty: the default places
  std::string standin_program_;
  double timeout_factor_ = 1;
  const sandbox::CgroupUse cgroup_use_ = CgroupUseOf(globals_.rootless);
  std::optional<Record> joined_;  // a container in whose sandbox this one is to be; none: it gets a sandbox of its own
  sandbox::CgroupStay stay_;
  std::optional<sandbox::ScopeHolder> scope_holder_;
  std::vector<std::string> cgroups_;          // of the stand-in
  std::vector<std::string> sandbox_cgroups_;  // of the sandbox process, with everything but the vCPUs
  std::vector<std::string> vcpu_cgroups_;
  UniqueFd directory_;
  sandbox::State state_;
  std::optional<sandbox::network::Namespace> network_;  // the bundle's or a new one; unset: the caller's
  std::optional<Pty> pty_;
  OutputsEnd outputs_;  // only in the foreground
  Child standin_;
  // Unless it joins another's. Without a container, the sandbox process ends when this is closed.
  sandbox::LaunchedSandbox sandbox_;
};

std::string LogTail(int directory) {
  const auto file = OpenBeneath(directory, sandbox::kSandboxLog, O_RDONLY);
  if (!file) return "";
  const off_t size = lseek(file->get(), 0, SEEK_END);
  std::string text(kShownLog, '\0');
  const ssize_t length =
      pread(file->get(), text.data(), text.size(), std::max<off_t>(0, size - static_cast<off_t>(kShownLog)));
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

std::string SandboxFailure(int directory) {
  for (int tries = kFailureTries; tries > 0; --tries) {
    const auto state = sandbox::LoadState(directory);
    if (!state) return "";
    if (!state->failure.empty()) return state->failure;
    if (state->status == sandbox::Status::kStopped) return "";
    if (!IsAlive(state->sandbox)) {
      const std::string tail = LogTail(directory);
      return "the sandbox process ended unexpectedly" + (tail.empty() ? "" : "; the end of its log:\n" + tail);
    }
    poll(nullptr, 0, kFailurePause);
  }
  return "";
}

Error ExplainStartFailure(Error error, int directory) {
  if (error.code() == Code::kUnavailable) {
    std::string failure = SandboxFailure(directory);
    return failure.empty() ? error : Error(Code::kUnavailable, std::move(failure));
  }
  for (const char* runcs : {"exec: \"", "chdir to cwd ("}) {
    const size_t at = error.message().find(runcs);
    if (at == std::string::npos) continue;
    return Error(error.code(), "unable to start container process: " + error.message().substr(at), error.sys());
  }
  return error;
}

Result<Created> CreateContainer(const Globals& globals, const CreateOptions& options, bool detached,
                                const Interrupts& interrupts) {
  return Creation(globals, options, detached, interrupts).Run();
}

Result<int> Create(const Globals& globals, const CreateOptions& options) {
  const Interrupts interrupts = TRY(Interrupts::Ending());
  Created created =
      TRY(Context(CreateContainer(globals, options, /*detached=*/true, interrupts), "kata-runtime create failed"));
  created.standin.Disown();
  return 0;
}

}  // namespace kata::runtime
