// SPDX-License-Identifier: Apache-2.0
// kata-agent: PID 1 of the guest, which makes containers there on behalf of the host.
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdlib>

#include "agent/guest_init.h"
#include "agent/options.h"
#include "agent/pod.h"
#include "agent/reaper.h"
#include "agent/services.h"
#include "agent/transport.h"
#include "base/coroutine.h"
#include "base/files.h"
#include "base/log.h"
#include "protocol/guest_contract.h"

namespace kata::agent {

namespace {

// Time allowed for the answer to DestroySandbox to reach the host before power-off.
constexpr std::chrono::milliseconds kFarewell{100};

// Makes malloc return unused memory to the kernel at once, so that containers can use it.
void TuneMemory() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 64 << 10);
  ::mallopt(M_TOP_PAD, 16 << 10);
}

Options ReadOptions() {
  Options options;
  if (::getpid() == 1) {
    auto text = ReadFile("/proc/cmdline", 64 << 10);
    options = ParseOptions(text ? *text : "");
    if (!text) log::Error("{}", text.error().message());
  } else {
    const char* address = ::getenv("KATA_AGENT_SERVER_ADDR");
    const char* level = ::getenv("KATA_AGENT_LOG_LEVEL");
    options = ParseOptions((address != nullptr ? fmt::format("{}={} ", contract::kServerAddressWord, address) : "") +
                           (level != nullptr ? fmt::format("{}={}", contract::kLogWord, level) : ""));
  }
  log::SetLevel(options.log_level);
  return options;
}

// Ends the VM if the agent is PID 1, else only the process.
[[noreturn]] void End(int status) {
  if (::getpid() == 1) PowerOff();
  ::_exit(status);
}

asio::awaitable<Result<Address>> ChooseAddress(asio::any_io_executor executor, std::string text) {
  if (!text.empty()) co_return ParseAddress(text);
  co_return co_await FindAddress(executor);
}

asio::awaitable<void> Run(Pod& pod, const rpc::MethodTable& table) {
  auto address = co_await ChooseAddress(pod.executor(), pod.options().server_address);
  if (!address) {
    log::Error("the host cannot reach the agent: {}", address.error().message());
    End(1);
  }
  if (auto device = DeviceOf(*address)) pod.protected_devices.push_back(*device);
  for (;;) {
    try {
      const Error why = co_await ServeAddress(pod.executor(), *address, table);
      log::Error("the host cannot reach the agent: {}", why.message());
      End(1);
    } catch (const std::exception& e) {
      // Out of memory while a request was read: that connection is lost, but the next one may succeed.
      log::Error("a connection was lost: {}", e.what());
    }
  }
}

asio::awaitable<void> EndWithSandbox(Pod& pod) {
  co_await pod.Destroyed();
  asio::steady_timer timer(pod.executor(), kFarewell);
  co_await timer.async_wait(kAwait);
  log::Info("the sandbox has been destroyed");
  End(0);
}

// The agent passes a container's output on in pieces, and few large pieces are faster than many small ones. With
// SCHED_BATCH (sched(7)) the agent does not preempt a process that is still filling a pipe. With its negative nice
// value it is not preempted by a writer whose pipe it has just emptied. Container processes inherit neither: the kernel
// resets the nice value on fork (SCHED_RESET_ON_FORK), and ApplyAttributes sets the policy.
void ScheduleForLargePieces() {
  constexpr int kAhead = -5;
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none);
  ::setpriority(PRIO_PROCESS, 0, kAhead);
}

int AgentMain() {
  TuneMemory();
  // Container processes begin as forks of the agent. Like the agent, they must not be open to inspection through /proc
  // before they execute their command.
  ::prctl(PR_SET_DUMPABLE, 0);
  log::AddField("source", "agent");
  // The host measures the boot time by this line, so it is written first, to the console that the kernel has opened.
  log::Info("{}, version {}", contract::kAgentBegins, KATA_VERSION);
  if (::getpid() == 1) SetUpGuest();
  ::signal(SIGPIPE, SIG_IGN);
  ScheduleForLargePieces();
  const Options options = ReadOptions();
  auto root = GuestDir::Open(contract::kGuestDir);
  if (!root) {
    log::Error("{}", root.error().message());
    return 1;
  }
  asio::io_context context(1);
  Reaper reaper(context.get_executor());
  Pod pod(context.get_executor(), *std::move(root), options);
  rpc::MethodTable table;
  AddServices(table, pod);
  asio::co_spawn(context, Run(pod, table), asio::detached);
  asio::co_spawn(context, EndWithSandbox(pod), asio::detached);
  log::Debug("kata-agent is ready");
  for (;;) {
    // An exception, such as bad_alloc, ends the call that has thrown it; PID 1 goes on.
    try {
      context.run();
      End(0);
    } catch (const std::exception& e) {
      log::Error("unexpected: {}", e.what());
    }
  }
}

}  // namespace

}  // namespace kata::agent

int main() { return kata::agent::AgentMain(); }
