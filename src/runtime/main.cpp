// SPDX-License-Identifier: Apache-2.0
// kata-runtime: runc's command line for containers in VMs (docs/kata-runtime.md). The sandbox process is the same
// program with a hidden verb.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"
#include "runtime/arguments.h"
#include "runtime/output.h"
#include "runtime/report.h"
#include "runtime/verbs.h"
#include "sandbox/sandbox_process.h"

namespace kata::runtime {
namespace {

// Opens closed standard descriptors on /dev/null, so that files opened later cannot get the numbers 0, 1 or 2.
void OpenStandardDescriptors() {
  for (int fd = open("/dev/null", O_RDWR | O_CLOEXEC); fd >= 0; fd = open("/dev/null", O_RDWR | O_CLOEXEC)) {
    if (fd > STDERR_FILENO) {
      close(fd);
      return;
    }
    fcntl(fd, F_SETFD, 0);
  }
}

// Starts the log as the command line says. The log's descriptor is released, because it must stay open to the end.
Result<> StartLog(const Globals& globals) {
  int fd = STDERR_FILENO;
  if (!globals.log_path.empty()) fd = TRY(Open(globals.log_path, O_WRONLY | O_CREAT | O_APPEND, 0644)).Release();
  log::SetOutput(fd, globals.log_format);
  log::SetLevel(globals.debug ? log::Level::kDebug : log::Level::kInfo);
  return {};
}

// Calls the function of the verb whose options these are.
struct Dispatch {
  const Globals& globals;
  Result<int> operator()(const CreateOptions& options) const { return Create(globals, options); }
  Result<int> operator()(const RunOptions& options) const { return Run(globals, options); }
  Result<int> operator()(const StartOptions& options) const { return Start(globals, options); }
  Result<int> operator()(const StateOptions& options) const { return State(globals, options); }
  Result<int> operator()(const KillOptions& options) const { return Kill(globals, options); }
  Result<int> operator()(const DeleteOptions& options) const { return Delete(globals, options); }
  Result<int> operator()(const ExecOptions& options) const { return Exec(globals, options); }
  Result<int> operator()(const EventsOptions& options) const { return Events(globals, options); }
  Result<int> operator()(const ListOptions& options) const { return List(globals, options); }
  Result<int> operator()(const PsOptions& options) const { return Ps(globals, options); }
  Result<int> operator()(const PauseOptions& options) const { return Pause(globals, options); }
  Result<int> operator()(const ResumeOptions& options) const { return Resume(globals, options); }
  Result<int> operator()(const UpdateOptions& options) const { return Update(globals, options); }
  Result<int> operator()(const SpecOptions& options) const { return Spec(globals, options); }
  Result<int> operator()(const FeaturesOptions& options) const { return Features(globals, options); }
  Result<int> operator()(const CheckOptions& options) const { return Check(globals, options); }
  Result<int> operator()(const SetupOptions& options) const { return Setup(globals, options); }
  Result<int> operator()(const BenchmarkOptions& options) const { return Benchmark(globals, options); }
  Result<int> operator()(const VersionOptions& options) const { return Version(globals, options); }
  Result<int> operator()(const ConfigPathsOptions& options) const { return ConfigPaths(globals, options); }
  Result<int> operator()(const HelpOptions& options) const { return Print(options.text); }
};

int Main(const std::vector<std::string>& arguments) {
  auto invocation = ParseArguments(arguments);
  const Globals& globals = invocation ? invocation->globals : invocation.error().globals;
  if (auto started = StartLog(globals); !started) {
    Report(Globals(), started.error().message());
    return 1;
  }
  if (!invocation) {
    (void)WriteAll(STDERR_FILENO, invocation.error().usage);
    Report(globals, invocation.error().message);
    return invocation.error().exit_status;
  }
  // Log only the verb: the command line may contain secrets, in options such as --env.
  log::Debug("kata-runtime {} begins, process {}", invocation->verb, getpid());
  auto status = std::visit(Dispatch{globals}, invocation->options);
  if (status) {
    log::Debug("kata-runtime {} ends with status {}", invocation->verb, *status);
    return *status;
  }
  Report(globals, status.error().message());
  return std::holds_alternative<ExecOptions>(invocation->options) ? kExecFailed : 1;
}

}  // namespace
}  // namespace kata::runtime

int main(int argc, char** argv) {
  kata::runtime::OpenStandardDescriptors();
  // A write to a closed pipe must fail with EPIPE instead of killing this process, and one beyond the caller's limit of
  // a file's size with EFBIG.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == kata::sandbox::kSandboxVerb) {
    return kata::sandbox::SandboxProcessMain({arguments.begin() + 1, arguments.end()});
  }
  return kata::runtime::Main(arguments);
}
