// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/qmp.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/coroutine.h"
#include "base/json.h"
#include "base/text.h"

namespace kata::hypervisor::qemu {
namespace {

using Json = nlohmann::json;

// A member's text, made valid UTF-8; "" if it is missing or of another type.
std::string Text(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? ForeignText(member->get_ref<const std::string&>()) : "";
}

int64_t Number(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_number_integer() ? member->get<int64_t>() : 0;
}

// Whether the guest's ACPI has refused to eject a device (ACPI 6.3, _OST).
bool RefusesEjection(const Json& info) {
  constexpr int64_t kEjectRequest = 3;
  constexpr int64_t kInProgress = 0x84;  // the value that Linux uses
  const int64_t status = Number(info, "status");
  return info.is_object() && Number(info, "source") == kEjectRequest && status != 0 && status != kInProgress;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace

Qmp::Qmp(const asio::any_io_executor& executor, UniqueFd fd) : stream_(executor, fd.Release()), changed_(executor) {
  changed_.expires_at(asio::steady_timer::time_point::max());
}

std::shared_ptr<Qmp> Qmp::Create(const asio::any_io_executor& executor, UniqueFd fd) {
  auto qmp = std::shared_ptr<Qmp>(new Qmp(executor, std::move(fd)));
  asio::co_spawn(executor, ReadLoop(qmp), asio::detached);
  return qmp;
}

asio::awaitable<void> Qmp::ReadLoop(std::shared_ptr<Qmp> self) {
  while (self->stream_.is_open()) {
    const auto [error] = co_await self->stream_.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    if (error || !self->stream_.is_open() || !self->ReadAvailable()) break;
  }
}

// Reads one buffer in each turn, so that a flood of messages does not block the event loop.
bool Qmp::ReadAvailable() {
  std::array<char, 16384> chunk;
  const ssize_t count = recv(stream_.native_handle(), chunk.data(), chunk.size(), MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (count <= 0) {
    Lose("QEMU closed its control connection");
    return false;
  }
  buffer_.append(chunk.data(), static_cast<size_t>(count));
  size_t start = 0;
  for (size_t end; (end = buffer_.find('\n', start)) != std::string::npos; start = end + 1) {
    if (!TakeMessage(std::string_view(buffer_).substr(start, end - start))) {
      Lose("QEMU sent something that is not QMP");
      return false;
    }
  }
  buffer_.erase(0, start);
  if (buffer_.size() > kMaxMessage) {
    Lose("QEMU sent a message that is too long");
    return false;
  }
  return true;
}

bool Qmp::TakeMessage(std::string_view text) {
  const auto parsed = ParseJson(text, kMaxMessage);
  if (!parsed || !parsed->is_object()) return false;
  const Json& message = *parsed;
  if (message.contains("QMP")) {
    greeted_ = true;
  } else if (message.contains("event")) {
    const std::string event = Text(message, "event");
    const auto data = message.find("data");
    if (event == "GUEST_PANICKED") guest_panicked_ = true;
    ++events_;
    if (data != message.end() && data->is_object()) {
      if (event == "DEVICE_DELETED") NoteRemoval(Text(*data, "device"), /*gone=*/true);
      if (event == "DEVICE_UNPLUG_GUEST_ERROR") NoteRemoval(Text(*data, "device"), /*gone=*/false);
      const auto info = data->find("info");
      if (event == "ACPI_DEVICE_OST" && info != data->end() && RefusesEjection(*info)) {
        NoteRemoval(Text(*info, "device"), /*gone=*/false);
      }
    }
    if (event == "SHUTDOWN" && data != message.end() && data->is_object()) shutdown_reason_ = Text(*data, "reason");
  } else {
    const auto id = message.find("id");
    if (id == message.end() || !id->is_number_unsigned()) return false;
    const auto call = calls_.find(id->get<uint64_t>());
    if (call == calls_.end()) return true;  // the caller has timed out
    const auto error = message.find("error");
    const auto value = message.find("return");
    if (error != message.end() && error->is_object()) {
      const bool missing = Text(*error, "class") == "DeviceNotFound";
      call->second = Fail(missing ? Code::kNotFound : Code::kInternal, "{}", Text(*error, "desc"));
    } else if (value != message.end()) {
      call->second = Dump(*value);
    } else {
      return false;
    }
  }
  changed_.cancel();
  return true;
}

void Qmp::NoteRemoval(const std::string& device, bool gone) {
  const auto removal = removals_.find(device);
  if (removal != removals_.end()) removal->second = gone ? Removal::kDone : Removal::kRefused;
}

void Qmp::Drain() {
  char peek;
  while (stream_.is_open() && lost_.empty() && recv(stream_.native_handle(), &peek, 1, MSG_DONTWAIT | MSG_PEEK) > 0 &&
         ReadAvailable()) {
  }
}

void Qmp::Lose(std::string why) {
  if (lost_.empty()) lost_ = std::move(why);
  changed_.cancel();
}

void Qmp::Close() {
  Lose("the control connection to QEMU was closed");
  if (stream_.is_open()) stream_.close();
}

// Waits for the next message or the end of the connection; may also return earlier. false: patience timed out.
asio::awaitable<bool> Qmp::Changed(Patience& patience) {
  auto self = shared_from_this();
  const auto next = patience.Next();
  if (next.count() == 0) co_return false;
  asio::steady_timer timer(stream_.get_executor(), next);
  timer.async_wait([self](const boost::system::error_code& error) {
    if (!error) self->changed_.cancel();
  });
  co_await changed_.async_wait(kAwait);
  co_return true;
}

Result<> Qmp::Send(std::string_view text, int fd) {
  // Does not wait for space: the socket's buffer holds far more than the few commands that are pending at a time.
  if (!stream_.is_open() || !lost_.empty()) return Fail(Code::kUnavailable, "{}", lost_);
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  const ssize_t count = sendmsg(stream_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count == static_cast<ssize_t>(text.size())) return {};
  if (count < 0) return FailErrno("cannot send to QEMU");
  return Fail(Code::kUnavailable, "QEMU does not read its control connection");
}

asio::awaitable<Result<std::string>> Qmp::Execute(std::string command, std::string arguments, Patience patience) {
  return ExecuteWithFd(std::move(command), std::move(arguments), -1, std::move(patience));
}

asio::awaitable<Result<>> Qmp::DeleteDevice(std::string id, std::chrono::milliseconds time) {
  auto self = shared_from_this();
  Patience patience = PatienceFor(time);
  // Registered before the command is sent, because the event may arrive before the reply.
  removals_[id] = Removal::kAsked;
  const std::string arguments = Dump(Json{{"id", id}});
  auto asked = co_await Execute("device_del", arguments, patience);
  while (asked && removals_[id] == Removal::kAsked) {
    if (!lost_.empty()) {
      asked = Fail(Code::kUnavailable, "QMP device_del: {}", lost_);
    } else if (!co_await Changed(patience)) {
      asked = Fail(Code::kDeadlineExceeded, "the guest has not let the device {} go {}", id, patience.Text());
    }
  }
  const Removal removal = removals_[id];
  removals_.erase(id);
  if (removal == Removal::kDone) co_return Result<>();
  if (!asked) co_return tl::unexpected<Error>(asked.error());
  co_return Fail(Code::kAborted, "the guest does not let the device {} go", id);
}

asio::awaitable<Result<>> Qmp::WaitEvent(std::chrono::milliseconds time) {
  auto self = shared_from_this();
  Patience patience = time;
  const uint64_t seen = events_;
  while (events_ == seen) {
    if (!lost_.empty()) co_return Fail(Code::kUnavailable, "{}", lost_);
    if (!co_await Changed(patience)) co_return Fail(Code::kDeadlineExceeded, "nothing happened in time");
  }
  co_return Result<>();
}

asio::awaitable<Result<std::string>> Qmp::ExecuteWithFd(std::string command, std::string arguments, int fd,
                                                        Patience patience) {
  auto self = shared_from_this();
  const uint64_t id = next_id_++;
  Json message = {{"execute", command}, {"id", id}};
  if (!arguments.empty()) {
    CO_TRY_ASSIGN(message["arguments"], Context(ParseJson(arguments, kMaxMessage), "QMP {}: the arguments", command));
  }
  const std::string text = Dump(message) + "\n";
  CO_TRY(Context(Send(text, fd), "QMP {}", command));
  calls_[id];
  while (true) {
    if (calls_[id]) {
      Result<std::string> answer = *std::move(calls_[id]);
      calls_.erase(id);
      co_return Context(std::move(answer), "QMP {}", command);
    }
    if (!lost_.empty()) {
      calls_.erase(id);
      co_return Fail(Code::kUnavailable, "QMP {}: {}", command, lost_);
    }
    if (!co_await Changed(patience)) {
      calls_.erase(id);
      co_return Fail(Code::kDeadlineExceeded, "QMP {}: no answer {}", command, patience.Text());
    }
  }
}

asio::awaitable<Result<>> Qmp::Negotiate(Patience patience) {
  auto self = shared_from_this();
  while (!greeted_) {
    if (!lost_.empty()) co_return Fail(Code::kUnavailable, "{}", lost_);
    if (!co_await Changed(patience)) {
      co_return Fail(Code::kDeadlineExceeded, "QEMU did not greet {}", patience.Text());
    }
  }
  // Continues with the same patience, since QEMU creates its devices before it replies.
  CO_TRY(co_await Execute("qmp_capabilities", "", std::move(patience)));
  co_return Result<>();
}

}  // namespace kata::hypervisor::qemu
