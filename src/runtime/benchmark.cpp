// SPDX-License-Identifier: Apache-2.0
// `benchmark`: measures the life of containers on this host, beside other runtimes, as docs/SPECIFICATION.md does.
#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "base/child.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/user_namespace.h"
#include "config/config.h"
#include "hypervisor/hypervisor.h"
#include "runtime/benchmark_bundle.h"
#include "runtime/benchmark_runs.h"
#include "runtime/output.h"
#include "runtime/verbs.h"

namespace kata::runtime {
namespace {

constexpr char kOurs[] = "kata-runtime";
constexpr char kUnknown[] = "unknown";

// The directory of a benchmark, which goes with it.
class WorkDirectory {
 public:
  static Result<WorkDirectory> Make() {
    const char* const named = getenv("TMPDIR");
    std::string path = fmt::format("{}/kata-benchmark-XXXXXX", named != nullptr && *named == '/' ? named : "/tmp");
    if (mkdtemp(path.data()) == nullptr) return FailErrno("cannot make the directory {}", path);
    return WorkDirectory(std::move(path));
  }
  WorkDirectory(WorkDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  WorkDirectory& operator=(WorkDirectory&&) = delete;
  ~WorkDirectory() {
    if (path_.empty()) return;
    if (auto gone = RemoveTree(path_); !gone) log::Warn("{}", gone.error().message());
  }
  const std::string& path() const { return path_; }

 private:
  explicit WorkDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

struct Report {
  std::string host;
  std::vector<std::pair<std::string, Figures<double>>> lives;  // by runtime
  std::vector<std::pair<std::string, std::string>> failed;     // runtime and reason
  Figures<double> phases;
  Figures<uint64_t> memory;
};

std::string ProcessorName() {
  const std::string text = ReadFile("/proc/cpuinfo").value_or("");
  const size_t line = text.find("model name");
  if (line == std::string::npos) return kUnknown;
  const size_t begin = text.find(": ", line);
  return begin == std::string::npos ? kUnknown : text.substr(begin + 2, text.find('\n', begin) - begin - 2);
}

Result<std::string> DescribeHost(const config::Config& config) {
  const auto choice = TRY(hypervisor::ChooseAccel(config.hypervisor.accel, config.runtime.timeout_factor));
  utsname names = {};
  uname(&names);
  return fmt::format("{} processors ({}), Linux {}, guests with {}", sysconf(_SC_NPROCESSORS_ONLN), ProcessorName(),
                     names.release, choice.accel == hypervisor::Accel::kKvm ? "kvm" : "tcg");
}

// A mistyped name must not be told after minutes.
Result<> RequireRuntime(const std::string& name) {
  const UniqueFd nothing = TRY(Open("/dev/null", O_WRONLY));
  Command command;
  command.argv = {name, "--version"};
  command.stdout_fd = command.stderr_fd = nothing.get();
  Child child = TRY(Context(Spawn(command), "--beside {}", name));
  const ExitStatus status = TRY(child.Wait());
  if (status.Shell() == 0) return {};
  return Fail(Code::kInvalidArgument, "--beside {}: its --version {}", name, status.Describe());
}

// The runtimes to measure: this program, and those of the others that are in PATH.
std::vector<MeasuredRuntime> Runtimes(const Globals& globals, const BenchmarkOptions& options,
                                      const std::string& directory, const Interrupts& interrupts) {
  std::vector<MeasuredRuntime> runtimes;
  std::string root = directory + "/state";
  // With a log elsewhere, standard error has the bare messages, as a report quotes them.
  std::vector<std::string> command = {"/proc/self/exe", "--root", root, "--log", "/dev/null"};
  if (!globals.config_path.empty()) command.insert(command.end(), {"--config", globals.config_path});
  runtimes.emplace_back(kOurs, std::move(command), root, interrupts);
  for (const std::string& name : options.beside) {
    root = directory + "/state-of-" + std::filesystem::path(name).filename().string();
    runtimes.emplace_back(name, std::vector<std::string>{name, "--root", root}, root, interrupts);
  }
  return runtimes;
}

Result<Report> Measure(const Globals& globals, const BenchmarkOptions& options, const config::Config& config) {
  const Interrupts interrupts = TRY(Interrupts::Ending());
  const WorkDirectory work = TRY(WorkDirectory::Make());
  const BenchmarkRootfs rootfs = TRY(MakeBenchmarkRootfs(work.path(), options.rootfs));
  const auto bundle = [&](const char* name, const std::vector<std::string>& command) {
    return MakeBenchmarkBundle(work.path(), name, rootfs, command);
  };
  const std::string run_true = TRY(bundle("true", {"/bin/true"}));
  const std::string run_echo = TRY(bundle("echo", {"/bin/echo", "hello"}));
  // Long enough for a slow host, and not for ever if this process is killed and cannot remove it.
  const std::string sleep = TRY(bundle("sleep", {"/bin/sleep", "1000"}));
  Report report{.host = TRY(DescribeHost(config)), .lives = {}, .failed = {}, .phases = {}, .memory = {}};
  for (const MeasuredRuntime& runtime : Runtimes(globals, options, work.path(), interrupts)) {
    const bool ours = runtime.name() == kOurs;
    log::Debug("measuring {}", runtime.name());
    auto lives = runtime.Lives(run_true, run_echo, sleep, options.rounds);
    if (!lives && (ours || lives.error().code() == Code::kAborted)) return tl::unexpected(std::move(lives).error());
    if (lives) {
      report.lives.emplace_back(runtime.name(), *std::move(lives));
    } else {
      report.failed.emplace_back(runtime.name(), lives.error().message());
    }
    if (!ours) continue;
    report.phases = TRY(runtime.Phases(run_echo, options.rounds));
    report.memory = TRY(runtime.Memory(sleep));
  }
  return report;
}

std::string AsText(const Report& report, int rounds) {
  std::string text =
      fmt::format("{}\n{} round{}, medians\n\n{:<36}", report.host, rounds, rounds == 1 ? "" : "s", "milliseconds");
  for (const auto& [name, figures] : report.lives) text += fmt::format("{:>14}", name);
  text += '\n';
  for (size_t row = 0; row < report.lives.front().second.size(); ++row) {
    text += fmt::format("{:<36}", report.lives.front().second[row].first);
    for (const auto& [name, figures] : report.lives) text += fmt::format("{:>14.1f}", figures[row].second);
    text += '\n';
  }
  for (const auto& [name, reason] : report.failed) text += fmt::format("{} was not measured: {}\n", name, reason);
  text += fmt::format("\n{:<36}{:>14}\n", "phases of run echo", "milliseconds");
  for (const auto& [name, value] : report.phases) text += fmt::format("{:<36}{:>14.1f}\n", name, value);
  text += fmt::format("\n{:<36}{:>14}\n", "memory of one sleeping container", "PSS, KiB");
  for (const auto& [name, value] : report.memory) text += fmt::format("{:<36}{:>14}\n", name, value);
  return text;
}

std::string AsJson(const Report& report, int rounds) {
  nlohmann::ordered_json json = {{"host", report.host}, {"rounds", rounds}};
  for (const auto& [runtime, figures] : report.lives) {
    for (const auto& [name, value] : figures) json["milliseconds"][name][runtime] = value;
  }
  for (const auto& [runtime, reason] : report.failed) json["failed"][runtime] = reason;
  for (const auto& [name, value] : report.phases) json["phases"][name] = value;
  // Several processes may have one name.
  json["memory_kib"] = nlohmann::ordered_json::array();
  for (const auto& [name, value] : report.memory) json["memory_kib"].push_back({{"process", name}, {"pss", value}});
  return json.dump(2) + "\n";
}

}  // namespace

Result<int> Benchmark(const Globals& globals, const BenchmarkOptions& options) {
  TRY(Context(RequireRoot(), "kata-runtime benchmark"));
  for (const std::string& name : options.beside) TRY(RequireRuntime(name));
  const config::Loaded loaded = TRY(config::Load(config::OptionsOfProcess(globals.config_path)));
  const Report report = TRY(Context(Measure(globals, options, loaded.config), "kata-runtime benchmark"));
  const int printed = TRY(Print(options.json ? AsJson(report, options.rounds) : AsText(report, options.rounds)));
  return report.failed.empty() ? printed : 1;
}

}  // namespace kata::runtime
