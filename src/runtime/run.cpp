// SPDX-License-Identifier: Apache-2.0
// `run`: create, start, wait in the foreground, delete.
#include <optional>

#include "base/log.h"
#include "runtime/create.h"
#include "runtime/destroy.h"
#include "runtime/foreground.h"
#include "runtime/report.h"
#include "runtime/start.h"
#include "runtime/terminal.h"
#include "runtime/verbs.h"
#include "sandbox/container_process.h"

namespace kata::runtime {
namespace {

Result<int> StartAndWait(Created& created, const Interrupts& interrupts) {
  Task task = TRY(Task::Connect(created.record.directory.get()));
  Foreground foreground{
      .container = created.record.id, .exec_id = "", .terminal = -1, .outputs = created.outputs.get()};
  OwnTerminal terminal;
  std::optional<RawTerminal> raw;
  // Before the terminal is raw: a signal that ended this process would leave it so.
  const Interrupts signals = TRY(Interrupts::Forwarded());
  if (created.spec.process().terminal()) {
    terminal = TRY(FindOwnTerminal());
    foreground.terminal = terminal.fd;
    if (auto sized = SyncWindowSize(task, foreground); !sized) log::Warn("{}", sized.error().message());
    raw.emplace(TRY(RawTerminal::Enter(foreground.terminal)));
  }
  TRY(StartContainer(task, created.record, created.spec.hooks(), interrupts));
  return AwaitEnd(created.standin, task, foreground, signals);
}

Result<int> RunToEnd(const Globals& globals, const RunOptions& options, Created created, const Interrupts& interrupts) {
  auto status = StartAndWait(created, interrupts);
  const bool killed = status && *status == sandbox::kKilledStatus;
  const std::string failure = killed ? SandboxFailure(created.record.directory.get()) : "";
  created.standin.End();
  if (!options.keep || !status) {
    if (auto gone = Destroy(globals.root, std::move(created.record)); !gone && gone.error().code() != Code::kNotFound) {
      log::Warn("cannot delete the container: {}", gone.error().message());
    }
  }
  if (!status || failure.empty()) return status;
  log::Error("the sandbox of {} failed: {}", options.create.id, failure);
  return sandbox::kKilledStatus;
}

Result<int> RunDetached(const Globals& globals, Created created, const Interrupts& interrupts) {
  Task task = TRY(Task::Connect(created.record.directory.get()));
  auto started = StartContainer(task, created.record, created.spec.hooks(), interrupts);
  created.standin.Disown();
  if (started) return 0;
  if (auto gone = Destroy(globals.root, std::move(created.record)); !gone && gone.error().code() != Code::kNotFound) {
    log::Warn("cannot clean up after the failed start: {}", gone.error().message());
  }
  return tl::unexpected(std::move(started).error());
}

Result<int> CreateAndRun(const Globals& globals, const RunOptions& options, const Interrupts& interrupts) {
  Created created = TRY(CreateContainer(globals, options.create, options.detach, interrupts));
  return options.detach ? RunDetached(globals, std::move(created), interrupts)
                        : RunToEnd(globals, options, std::move(created), interrupts);
}

}  // namespace

Result<int> Run(const Globals& globals, const RunOptions& options) {
  const Interrupts interrupts = TRY(Interrupts::Ending());
  auto status = Context(CreateAndRun(globals, options, interrupts), "kata-runtime run failed");
  if (status || interrupts.taken() == 0) return status;
  Report(globals, status.error().message());
  return 128 + interrupts.taken();
}

}  // namespace kata::runtime
