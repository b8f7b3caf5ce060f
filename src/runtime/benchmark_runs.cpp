// SPDX-License-Identifier: Apache-2.0
#include "runtime/benchmark_runs.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/child.h"
#include "base/files.h"
#include "base/log.h"
#include "base/process_table.h"
#include "hypervisor/capped_log.h"
#include "runtime/store.h"
#include "sandbox/timing.h"

namespace kata::runtime {
namespace {

using Clock = std::chrono::steady_clock;

// PSS of a process in KiB (proc(5), smaps_rollup); 0 if it has ended.
uint64_t PssOf(pid_t pid) {
  const std::string text = ReadFile(fmt::format("/proc/{}/smaps_rollup", pid)).value_or("");
  const size_t line = text.find("\nPss:");
  if (line == std::string::npos) return 0;
  const size_t number = text.find_first_of("0123456789", line);
  uint64_t kib = 0;
  if (number != std::string::npos) std::from_chars(text.data() + number, text.data() + text.size(), kib);
  return kib;
}

std::string NameOf(pid_t pid) {
  std::string name = ReadFile(fmt::format("/proc/{}/comm", pid)).value_or("?");
  while (name.ends_with('\n')) name.pop_back();
  return name;
}

void AddMemory(pid_t pid, std::set<pid_t>& seen, Figures<uint64_t>& figures) {
  if (!seen.insert(pid).second) return;
  if (const uint64_t kib = PssOf(pid); kib != 0) figures.emplace_back(NameOf(pid), kib);
  for (const pid_t child : ChildrenOf(pid)) AddMemory(child, seen, figures);
}

// Reads one byte, or the end.
void AwaitByte(int fd) {
  char byte = 0;
  while (read(fd, &byte, 1) < 0 && errno == EINTR) {
  }
}

}  // namespace

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// A container that sleeps, and is removed in any case.
class MeasuredRuntime::Sleeping {
 public:
  Sleeping(const MeasuredRuntime& runtime, std::string id) : runtime_(runtime), id_(std::move(id)) {}
  Sleeping(const Sleeping&) = delete;
  Sleeping& operator=(const Sleeping&) = delete;
  ~Sleeping() {
    if (!there_) return;
    if (auto gone = Remove(); !gone && gone.error().code() != Code::kAborted) log::Warn("{}", gone.error().message());
  }

  Result<> Start(const std::string& bundle) {
    there_ = true;  // also a start that fails may leave something
    TRY(runtime_.Call({"run", "--detach", "--bundle", bundle, id_}));
    return {};
  }
  Result<Milliseconds> Remove() {
    there_ = false;
    return runtime_.Call({"delete", "--force", id_});
  }

 private:
  const MeasuredRuntime& runtime_;
  std::string id_;
  bool there_ = false;
};

Result<Milliseconds> MeasuredRuntime::Call(std::vector<std::string> arguments, bool to_first_output) const {
  const hypervisor::CappedLog messages = TRY(hypervisor::CappedLog::Create());
  std::array<int, 2> ends{-1, -1};
  if (to_first_output && pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  Command command;
  command.argv = command_;
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.stdout_fd = writer.get();
  command.stderr_fd = messages.fd();
  command.die_with_parent = false;  // a runtime that is killed cannot clean up
  const auto start = Clock::now();
  Child child = TRY(Spawn(command));
  writer.Reset();
  if (to_first_output) AwaitByte(reader.get());
  const auto first = Clock::now();
  const ExitStatus status = TRY(child.Wait());
  const auto end = Clock::now();
  // A signal of the terminal's reaches the runtime too, so its failure is no news then.
  if (interrupts_.Next() != 0 || interrupts_.taken() != 0) return Fail(Code::kAborted, "interrupted by a signal");
  if (status.Shell() != 0) {
    return Fail(Code::kUnknown, "{} {} {}: {}", name_, arguments.front(), status.Describe(), messages.Tail());
  }
  return Milliseconds((to_first_output ? first : end) - start);
}

Result<Figures<double>> MeasuredRuntime::Lives(const std::string& run_true, const std::string& run_echo,
                                               const std::string& sleep, int rounds) const {
  std::vector<double> whole;
  std::vector<double> first;
  std::vector<double> exec;
  std::vector<double> state;
  std::vector<double> removal;
  for (int round = 0; round < rounds; ++round) {
    whole.push_back(TRY(Call({"run", "--bundle", run_true, fmt::format("benchmark-{}-t", getpid())})).count());
    first.push_back(
        TRY(Call({"run", "--bundle", run_echo, fmt::format("benchmark-{}-e", getpid())}, /*to_first_output=*/true))
            .count());
    const std::string id = fmt::format("benchmark-{}-s", getpid());
    Sleeping sleeping(*this, id);
    TRY(sleeping.Start(sleep));
    for (int i = 0; i < 3; ++i) {
      exec.push_back(TRY(Call({"exec", id, "/bin/true"})).count());
      state.push_back(TRY(Call({"state", id})).count());
    }
    removal.push_back(TRY(sleeping.Remove()).count());
  }
  return Figures<double>{{"run true", Median(whole)},
                         {"run echo, to its first output", Median(first)},
                         {"exec true", Median(exec)},
                         {"state", Median(state)},
                         {"delete", Median(removal)}};
}

Result<Figures<double>> MeasuredRuntime::Phases(const std::string& run_echo, int rounds) const {
  std::map<std::string, std::vector<double>> samples;
  std::vector<double> all;
  const std::string id = fmt::format("benchmark-{}-p", getpid());
  for (int round = 0; round < rounds; ++round) {
    Sleeping kept(*this, id);
    all.push_back(TRY(Call({"run", "--keep", "--bundle", run_echo, id}, /*to_first_output=*/true)).count());
    for (const auto& [phase, microseconds] : TRY(FindContainer(root_, id)).state.timing) {
      samples[phase].push_back(static_cast<double>(microseconds) / 1000);
    }
    TRY(Call({"delete", id}));
  }
  Figures<double> figures;
  double rest = Median(all);
  // In the order of a start, which the record does not keep.
  for (int number = 0; number <= static_cast<int>(sandbox::Phase::kStart); ++number) {
    const char* const phase = sandbox::PhaseName(static_cast<sandbox::Phase>(number));
    if (samples[phase].empty()) continue;
    figures.emplace_back(phase, Median(samples[phase]));
    rest -= figures.back().second;
  }
  figures.emplace_back("kata-runtime, and the program itself", rest);
  figures.emplace_back("all", Median(all));
  const auto machine = [&](sandbox::Phase phase) {
    const auto& found = samples[sandbox::PhaseName(phase)];
    return found.empty() ? 0 : Median(found);
  };
  figures.emplace_back("all but vmm and kernel",
                       Median(all) - machine(sandbox::Phase::kVmm) - machine(sandbox::Phase::kKernel));
  return figures;
}

Result<Figures<uint64_t>> MeasuredRuntime::Memory(const std::string& sleep) const {
  const std::string id = fmt::format("benchmark-{}-m", getpid());
  Sleeping sleeping(*this, id);
  TRY(sleeping.Start(sleep));
  const sandbox::State state = TRY(FindContainer(root_, id)).state;
  Figures<uint64_t> figures;
  std::set<pid_t> seen;
  for (const pid_t pid : {state.sandbox.pid, state.standin.pid}) AddMemory(pid, seen, figures);
  for (const ProcessRef& helper : state.helpers) AddMemory(helper.pid, seen, figures);
  return figures;
}

}  // namespace kata::runtime
