// SPDX-License-Identifier: Apache-2.0
// The action `start`: finds or spawns the shim of a sandbox, and prints the address of its socket.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "base/child.h"
#include "base/files.h"
#include "base/patience.h"
#include "oci/bundle.h"
#include "oci/pod.h"
#include "rpc/unix_socket.h"
#include "sandbox/sandbox_process.h"
#include "shim/actions.h"
#include "shim/bootstrap.h"
#include "shim/socket_address.h"

namespace kata::shim {
namespace {

// The limit for standard input; the options of a runtime are a few hundred bytes.
constexpr size_t kMaxInput = 1U << 20U;
// Time allowed for the shim to become ready, and to end after SIGTERM. Not scaled by timeout_factor, since the
// configuration is not loaded yet.
constexpr std::chrono::milliseconds kReadyTime{30000};
constexpr std::chrono::milliseconds kEndTime{10000};

// Does not read from a terminal, which would block.
Result<std::string> ReadInput() {
  if (isatty(STDIN_FILENO) == 1) return std::string();
  return Context(ReadAll(STDIN_FILENO, kMaxInput), "standard input");
}

struct Socket {
  UniqueFd directory;
  std::string name;
};

Result<Socket> OpenDirectory(const std::string& path) {
  const std::filesystem::path whole(path);
  std::error_code error;
  if (std::filesystem::create_directories(whole.parent_path(), error)) {
    std::filesystem::permissions(whole.parent_path(), std::filesystem::perms::owner_all, error);
  }
  if (error)
    return FailWith(error.value(), "cannot make the directory of the shims' sockets {}", whole.parent_path().string());
  Socket socket;
  socket.directory = TRY(Open(whole.parent_path(), O_PATH | O_DIRECTORY));
  socket.name = whole.filename();
  return socket;
}

Result<> WriteBundleFiles(int bundle, const std::string& path, std::optional<pid_t> pid) {
  if (pid) TRY(WriteFileAtomic(bundle, "shim.pid", std::to_string(*pid), 0644));
  return WriteFileAtomic(bundle, "address", "unix://" + path, 0644);
}

Result<Child> StartShim(const Arguments& arguments, const Bootstrap& bootstrap, const std::string& path, int listener) {
  Command command;
  command.argv = {
      sandbox::OwnPath(), "-namespace", arguments.namespace_name, "-id", arguments.id, "-address", arguments.address,
      "-socket",          path};
  const RuntimeOptions& options = bootstrap.options;
  if (!options.config_path.empty()) {
    command.argv.emplace_back("-config");
    command.argv.push_back(options.config_path);
  }
  if (options.systemd_cgroup) command.argv.push_back(fmt::format("-systemd-cgroup={}", *options.systemd_cgroup));
  if (arguments.debug) command.argv.emplace_back("-debug");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  sandbox::LaunchedSandbox shim{.process = {}, .ready = UniqueFd(ends[0])};
  UniqueFd tell(ends[1]);
  command.extra_fds = {listener, tell.get()};
  command.die_with_parent = false;
  command.new_session = true;
  // The environment of containerd may hold secrets, and the shim lives as long as its containers.
  command.env = EnvironmentOf({"PATH", "KATA_CONF_FILE"});
  command.env->push_back("TTRPC_ADDRESS=" + bootstrap.ttrpc_address);
  shim.process = TRY(Context(Spawn(command), "cannot start the shim"));
  tell.Reset();
  TRY(shim.AwaitReady(PatienceWith({shim.process.pid()}, kReadyTime, Patience::Kind::kWork)));
  return std::move(shim.process);
}

// The role of the bundle's container. With `sandboxer = "shim"` containerd starts a pod's sandbox in a directory
// without a spec, and describes the pod later, in CreateSandbox.
Result<oci::PodRole> Role() {
  const auto annotations = oci::LoadAnnotations(".");
  if (annotations) return oci::PodRoleOf(*annotations);
  // containerd creates the directory "rootfs" in such a bundle; without it, the directory is not a bundle.
  const bool made = annotations.error().code() == Code::kNotFound && Open("rootfs", O_PATH | O_DIRECTORY).has_value();
  if (made) return oci::PodRole{.type = oci::ContainerType::kSandbox};
  return tl::unexpected<Error>(annotations.error());
}

// Ends a shim whose address containerd did not get. Uses SIGTERM first, so that the shim cleans up.
void EndShim(Child shim) {
  if (!shim.Signal(SIGTERM)) return;
  Patience patience = PatienceWith({shim.pid()}, kEndTime, Patience::Kind::kWork);
  AwaitReadable(shim.pidfd(), patience);
}

}  // namespace

Result<> Start(const Arguments& arguments) {
  const Bootstrap bootstrap = ReadBootstrap(arguments, TRY(ReadInput()));
  const oci::PodRole role = TRY(Role());
  const bool joins = role.type == oci::ContainerType::kContainer;
  const std::string path = SocketPath(bootstrap.socket_directory, arguments.address, arguments.namespace_name,
                                      joins ? role.sandbox : arguments.id);
  const UniqueFd bundle = TRY(Open(".", O_RDONLY | O_DIRECTORY));
  const Socket socket = TRY(OpenDirectory(path));
  // Also checked for a single container: a second start finds the running shim.
  const bool running = rpc::ConnectUnix(socket.directory.get(), socket.name).has_value();
  if (joins && !running) {
    return Fail(Code::kFailedPrecondition, "the sandbox {} of container {} does not run", role.sandbox, arguments.id);
  }
  if (running) {
    TRY(WriteBundleFiles(bundle.get(), path, std::nullopt));
    return WriteAll(STDOUT_FILENO, StartAnswer(bootstrap, path));
  }
  const UniqueFd listener = TRY(rpc::ListenUnix(socket.directory.get(), socket.name));
  auto shim = StartShim(arguments, bootstrap, path, listener.get());
  Result<> told = shim ? WriteBundleFiles(bundle.get(), path, shim->pid()) : tl::unexpected<Error>(shim.error());
  if (told) told = WriteAll(STDOUT_FILENO, StartAnswer(bootstrap, path));
  if (told) {
    shim->Disown();
    return {};
  }
  if (shim) EndShim(*std::move(shim));
  unlinkat(socket.directory.get(), socket.name.c_str(), 0);
  return told;
}

}  // namespace kata::shim
