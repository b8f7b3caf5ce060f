// SPDX-License-Identifier: Apache-2.0
// A client of QMP, QEMU's control protocol (docs/interop/qmp-spec in QEMU's sources), over one connected socket.
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

// Time allowed for a command to a running VM, which QEMU normally answers at once.
inline constexpr std::chrono::milliseconds kCommandTime{10000};

// The client side. A guest may have taken over QEMU, so messages are untrusted: one that is too long or malformed ends
// the connection. To be used from the executor's thread only.
class Qmp : public std::enable_shared_from_this<Qmp> {
 public:
  static constexpr size_t kMaxMessage = 1U << 20U;

  static std::shared_ptr<Qmp> Create(const asio::any_io_executor& executor, UniqueFd fd);

  // Sets how PatienceFor turns a time-out into a Patience. Without it, time-outs are fixed.
  void SetPatience(std::function<Patience(std::chrono::milliseconds)> patience) { patience_ = std::move(patience); }
  Patience PatienceFor(std::chrono::milliseconds time) const { return patience_ ? patience_(time) : Patience(time); }

  // Waits for the greeting and completes the negotiation (qmp_capabilities). kDeadlineExceeded; kUnavailable: the
  // connection ended.
  asio::awaitable<Result<>> Negotiate(Patience patience);
  // Executes one command. arguments and the result are JSON texts; arguments may be empty. kInternal: QEMU refused (the
  // message has its words); kNotFound: QEMU knows no such device; kDeadlineExceeded; kUnavailable: the connection
  // ended.
  asio::awaitable<Result<std::string>> Execute(std::string command, std::string arguments, Patience patience);
  asio::awaitable<Result<std::string>> Execute(std::string command, std::string arguments) {
    return Execute(std::move(command), std::move(arguments), PatienceFor(kCommandTime));
  }

  // As Execute, and passes a descriptor with the command (SCM_RIGHTS), if fd is not -1. The caller keeps owning it.
  asio::awaitable<Result<std::string>> ExecuteWithFd(std::string command, std::string arguments, int fd,
                                                     Patience patience);
  asio::awaitable<Result<std::string>> ExecuteWithFd(std::string command, std::string arguments, int fd) {
    return ExecuteWithFd(std::move(command), std::move(arguments), fd, PatienceFor(kCommandTime));
  }
  // Executes device_del and waits for DEVICE_DELETED, which means that the guest has released the device.
  // kDeadlineExceeded: the guest has not released it in time; kAborted: the guest refused; kNotFound.
  asio::awaitable<Result<>> DeleteDevice(std::string id, std::chrono::milliseconds time);

  // Waits for the next event, of any kind; the caller then reads the value that it waits for. kDeadlineExceeded;
  // kUnavailable: the connection ended.
  asio::awaitable<Result<>> WaitEvent(std::chrono::milliseconds time);

  // Whether QEMU has sent its greeting. QEMU creates its devices after that, and accepts commands only when it is done.
  bool greeted() const { return greeted_; }
  // The reason of the SHUTDOWN event, such as "guest-shutdown", "guest-reset" or "host-signal" (QAPI's ShutdownCause);
  // empty if there was none. guest_panicked: whether there was a GUEST_PANICKED event.
  const std::string& shutdown_reason() const { return shutdown_reason_; }
  bool guest_panicked() const { return guest_panicked_; }

  // Reads the messages that are left in the socket after the end of QEMU. Does not block.
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
  uint64_t events_ = 0;                      // the number of events received
  std::string shutdown_reason_;
  bool guest_panicked_ = false;
};

}  // namespace kata::hypervisor::qemu
