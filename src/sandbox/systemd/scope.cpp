// SPDX-License-Identifier: Apache-2.0
#include "sandbox/systemd/scope.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <iterator>
#include <utility>

#include "base/patience.h"
#include "sandbox/systemd/manager.h"

namespace kata::sandbox {
namespace {

constexpr std::chrono::milliseconds kTime{30000};
constexpr char kBooted[] = "/run/systemd/system";
constexpr char kUnitInterface[] = "org.freedesktop.systemd1.Unit";
constexpr char kScopeInterface[] = "org.freedesktop.systemd1.Scope";
constexpr int kAnswerFd = 3;
constexpr size_t kMaxAnswer = 4096;

std::chrono::milliseconds TimeWith(double factor) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(kTime * factor);
}

// By this text a unit is known as ours when it is to be stopped.
std::string DescriptionOf(const std::string& id) { return "Kata container " + id; }

std::vector<Property> AllProperties(const Scope& scope) {
  std::vector<Property> all = {
      {"Description", "s", DescriptionOf(scope.id)},
      {"Slice", "s", scope.unit.slice},
      {"Delegate", "b", true},
      {"PIDs", "au", std::vector<uint32_t>{static_cast<uint32_t>(getpid())}},
      {"MemoryAccounting", "b", true},
      {"CPUAccounting", "b", true},
      {"IOAccounting", "b", true},
      {"TasksAccounting", "b", true},
      // Otherwise the scope would end, and the container with it, before the engine that cares for it.
      {"DefaultDependencies", "b", false},
  };
  std::copy_if(scope.properties.begin(), scope.properties.end(), std::back_inserter(all),
               [](const Property& property) { return property.name != "Description"; });
  return all;
}

Result<> Start(const Scope& scope, std::chrono::milliseconds time) {
  const Unit& unit = scope.unit;
  Manager manager = TRY(Manager::Connect(time));
  const std::vector<Property> properties = AllProperties(scope);
  auto started = manager.StartTransientUnit(unit.name, properties);
  if (!started && started.error().code() == Code::kAlreadyExists) {
    // One that has failed is only remembered, and makes room.
    if (manager.ResetFailedUnit(unit.name)) started = manager.StartTransientUnit(unit.name, properties);
  }
  TRY(std::move(started));
  const std::string cgroup = TRY(manager.TextOf(unit.name, kScopeInterface, "ControlGroup"));
  if (cgroup == CgroupOf(unit)) return {};
  return Fail(Code::kFailedPrecondition, "systemd has put the unit {} at {}, not at {}", unit.name, cgroup,
              CgroupOf(unit));
}

Result<> Stop(const std::string& unit, const std::string& id, std::chrono::milliseconds time) {
  Manager manager = TRY(Manager::Connect(time));
  if (TRY(manager.TextOf(unit, kUnitInterface, "Description")) != DescriptionOf(id)) return {};
  const auto tolerate = [](Result<> result) -> Result<> {
    if (!result && result.error().code() == Code::kNotFound) return {};
    return result;
  };
  TRY(tolerate(manager.StopUnit(unit)));
  return tolerate(manager.ResetFailedUnit(unit));
}

Result<> Set(const std::string& unit, const std::string& id, const std::vector<Property>& properties,
             std::chrono::milliseconds time) {
  Manager manager = TRY(Manager::Connect(time));
  if (TRY(manager.TextOf(unit, kUnitInterface, "Description")) != DescriptionOf(id)) {
    return Fail(Code::kNotFound, "systemd has no such unit for the container {}", id);
  }
  return manager.SetUnitProperties(unit, properties);
}

// The child's answer is one packet: the number of the error's Code, or 0, and the message. Then it stays until the
// other end is closed.
void Answer(const Result<>& result) {
  std::string packet(1, result ? '\0' : static_cast<char>(result.error().code()));
  if (!result) packet += result.error().message().substr(0, kMaxAnswer - 1);
  if (send(kAnswerFd, packet.data(), packet.size(), MSG_NOSIGNAL) < 0 || !result) _exit(1);
  char end = 0;
  while (recv(kAnswerFd, &end, sizeof end, 0) < 0 && errno == EINTR) {
  }
  _exit(0);
}

Result<ScopeHolder> InChild(double timeout_factor, const std::function<Result<>(std::chrono::milliseconds)>& work) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return FailErrno("cannot make a socket");
  ScopeHolder holder{.connection = UniqueFd(ends[0]), .process = {}};
  UniqueFd theirs(ends[1]);
  const auto time = TimeWith(timeout_factor);
  holder.process = TRY(Fork({.fds = {-1, -1, STDERR_FILENO, theirs.get()}}, [&] { Answer(work(time)); }));
  theirs.Reset();
  // The child has the same time-out; this one is for a library that does not come back.
  Patience patience(time + time / 2);
  if (!AwaitReadable(holder.connection.get(), patience)) {
    return Fail(Code::kDeadlineExceeded, "systemd did not answer {}", patience.Text());
  }
  std::array<char, kMaxAnswer> packet{};
  const ssize_t length = recv(holder.connection.get(), packet.data(), packet.size(), 0);
  if (length <= 0)
    return Fail(Code::kUnavailable, "the process that asks systemd {}", TRY(holder.process.Wait()).Describe());
  if (packet[0] == 0) return holder;
  return tl::unexpected<Error>(
      Error(static_cast<Code>(packet[0]), std::string(packet.data() + 1, static_cast<size_t>(length) - 1)));
}

}  // namespace

bool SystemdRuns() {
  struct stat info {};
  return lstat(kBooted, &info) == 0 && S_ISDIR(info.st_mode);
}

Result<ScopeHolder> StartScope(const Scope& scope) {
  auto holder = InChild(scope.timeout_factor, [&](std::chrono::milliseconds time) { return Start(scope, time); });
  if (holder) return holder;
  Error error = std::move(holder).error();
  if (error.code() == Code::kDeadlineExceeded) {
    error = Error(error.code(), fmt::format("{} ({} makes that longer)", error.message(), kTimeoutFactorKey));
  }
  error.AddContext(fmt::format("unable to start unit \"{}\"", scope.unit.name));
  return tl::unexpected<Error>(std::move(error));
}

Result<> SetScopeProperties(const std::string& unit, const std::string& id, const std::vector<Property>& properties) {
  auto done =
      InChild(/*timeout_factor=*/1, [&](std::chrono::milliseconds time) { return Set(unit, id, properties, time); });
  if (done) return {};
  done.error().AddContext(fmt::format("unable to set unit properties of \"{}\"", unit));
  return tl::unexpected<Error>(std::move(done).error());
}

Result<> StopScope(const std::string& unit, const std::string& id) {
  auto done = InChild(/*timeout_factor=*/1, [&](std::chrono::milliseconds time) { return Stop(unit, id, time); });
  if (done) return {};
  done.error().AddContext(fmt::format("unable to stop unit \"{}\"", unit));
  return tl::unexpected<Error>(std::move(done).error());
}

}  // namespace kata::sandbox
