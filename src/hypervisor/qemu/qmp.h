// SPDX-License-Identifier: Apache-2.0
// QMP, QEMU's control protocol (docs/interop/qmp-spec of QEMU), over one connected socket.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/patience.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::hypervisor::qemu {

namespace asio = boost::asio;

// Time for a command to a running VM, which QEMU answers at once.
inline constexpr std::chrono::milliseconds kCommandTime{10000};

// The calling side. QEMU may be in a guest's hands: a message that is too long or no QMP ends the connection.
// Used from one thread, the executor's.
class Qmp : public std::enable_shared_from_this<Qmp> {
 public:
  static constexpr size_t kMaxMessage = 1U << 20U;

  static std::shared_ptr<Qmp> Create(const asio::any_io_executor& executor, UniqueFd fd);

  // By which rule QEMU is waited for; without: for a fixed time.
  void SetPatience(std::function<Patience(std::chrono::milliseconds)> patience) { patience_ = std::move(patience); }
  Patience PatienceFor(std::chrono::milliseconds time) const { return patience_ ? patience_(time) : Patience(time); }

  // Waits for the greeting and ends the negotiation. kDeadlineExceeded, or kUnavailable when the connection ends.
  asio::awaitable<Result<>> Negotiate(Patience patience);
  // One command; arguments and the answer are JSON texts, arguments may be empty. kInternal with QEMU's words when it
  // refuses (kNotFound: it knows no such device), kDeadlineExceeded, or kUnavailable when the connection is lost.
  asio::awaitable<Result<std::string>> Execute(std::string command, std::string arguments, Patience patience);
  asio::awaitable<Result<std::string>> Execute(std::string command, std::string arguments) {
    return Execute(std::move(command), std::move(arguments), PatienceFor(kCommandTime));
  }

  // As Execute, and passes a descriptor with the command (SCM_RIGHTS); it stays the caller's.
  asio::awaitable<Result<std::string>> ExecuteWithFd(std::string command, std::string arguments, int fd,
                                                     Patience patience);
  asio::awaitable<Result<std::string>> ExecuteWithFd(std::string command, std::string arguments, int fd) {
    return ExecuteWithFd(std::move(command), std::move(arguments), fd, PatienceFor(kCommandTime));
  }
  // device_del, until DEVICE_DELETED says that the guest has let the device go. kDeadlineExceeded: it has not;
  // kAborted: it has refused.
  asio::awaitable<Result<>> DeleteDevice(std::string id, std::chrono::milliseconds time);

  // Waits until some event has come: for values that QEMU announces, and the caller then asks for. kDeadlineExceeded.
  asio::awaitable<Result<>> WaitEvent(std::chrono::milliseconds time);

  // QEMU has said hello; after that it makes its devices, and only then it takes commands.
  bool greeted() const { return greeted_; }
  // The reason of a SHUTDOWN event, such as "guest-shutdown", "guest-reset", "host-signal" (QAPI's ShutdownCause);
  // empty before it. And whether GUEST_PANICKED was seen.
  const std::string& shutdown_reason() const { return shutdown_reason_; }
  bool guest_panicked() const { return guest_panicked_; }

  // Takes in what is already waiting in the socket, for the moment after QEMU's end.
  void Drain();
  void Close();

 private:
  Qmp(const asio::any_io_executor& executor, UniqueFd fd);
  static asio::awaitable<void> ReadLoop(std::shared_ptr<Qmp> self);
  asio::awaitable<bool> Changed(Patience& patience);
  Result<> Send(std::string_view text, int fd);
  bool ReadAvailable();
  bool TakeMessage(std::string_view text);
  void NoteRemoval(const std::string& device, bool gone);
  void Lose(std::string why);

  asio::posix::stream_descriptor stream_;
  asio::steady_timer changed_;
  std::function<Patience(std::chrono::milliseconds)> patience_;
  std::string buffer_;
  bool greeted_ = false;
  std::string lost_;  // why the connection ended
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::optional<Result<std::string>>> calls_;
  enum class Removal { kAsked, kDone, kRefused };
  std::map<std::string, Removal> removals_;  // devices that DeleteDevice waits for
  uint64_t events_ = 0;                      // how many have come
  std::string shutdown_reason_;
  bool guest_panicked_ = false;
};

}  // namespace kata::hypervisor::qemu
