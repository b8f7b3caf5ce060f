// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/stopping_signals.h"

#include <signal.h>

#include "base/interrupts.h"

namespace kata::hypervisor {

std::function<bool()> BlockStoppingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : StoppingSignals()) sigaddset(&signals, signal);
  return [signals] { return sigprocmask(SIG_BLOCK, &signals, nullptr) == 0; };
}

}  // namespace kata::hypervisor
