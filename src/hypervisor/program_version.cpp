// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/program_version.h"

#include <chrono>

#include "base/child.h"
#include "base/patience.h"
#include "hypervisor/capped_log.h"

namespace kata::hypervisor {
namespace {

constexpr std::chrono::milliseconds kVersionTime{10000};

}  // namespace

Result<std::string> VersionLine(const std::string& program, double timeout_factor) {
  const CappedLog output = TRY(CappedLog::Create());
  Command command;
  command.argv = {program, "--version"};
  command.stdout_fd = output.fd();
  command.stderr_fd = output.fd();
  Child child = TRY(Spawn(command));
  const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(kVersionTime * timeout_factor);
  Patience patience = PatienceWith({child.pid()}, time, Patience::Kind::kWork, kTimeoutFactorKey);
  if (!AwaitReadable(child.pidfd(), patience)) {
    return Fail(Code::kDeadlineExceeded, "{} --version has not ended {}", program, patience.Text());
  }
  const ExitStatus status = TRY(child.Wait());
  const std::string text = output.Tail();
  if (status.Shell() != 0) return Fail(Code::kInternal, "{} --version {} {}", program, status.Describe(), text);
  return text.substr(0, text.find('\n'));
}

}  // namespace kata::hypervisor
