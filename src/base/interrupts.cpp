// SPDX-License-Identifier: Apache-2.0
#include "base/interrupts.h"

#include <sys/signalfd.h>

namespace kata {

std::vector<int> StoppingSignals() {
  std::vector<int> signals = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGPWR};
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) signals.push_back(signal);
  return signals;
}

Result<Interrupts> Interrupts::Block(const sigset_t& signals) {
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return FailErrno("cannot block signals");
  Interrupts interrupts;
  interrupts.fd_ = UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!interrupts.fd_) return FailErrno("cannot make a signalfd");
  return interrupts;
}

Result<Interrupts> Interrupts::Ending() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&signals, signal);
  return Block(signals);
}

Result<Interrupts> Interrupts::Forwarded() {
  sigset_t signals;
  sigfillset(&signals);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGCHLD, SIGPIPE, SIGURG, SIGTSTP,
                           SIGTTIN, SIGTTOU, SIGCONT}) {
    sigdelset(&signals, signal);
  }
  return Block(signals);
}

int Interrupts::Next() const {
  signalfd_siginfo info{};
  const bool any = read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info);
  taken_ = any ? static_cast<int>(info.ssi_signo) : 0;
  return taken_;
}

}  // namespace kata
