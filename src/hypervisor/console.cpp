// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/console.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/accept.h"
#include "base/coroutine.h"
#include "base/text.h"

namespace kata::hypervisor {
namespace {

constexpr size_t kMaxLine = 1024;

bool Gone(const UniqueFd& client) {
  pollfd entry{client.get(), POLLRDHUP, 0};
  return poll(&entry, 1, 0) == 1 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

// Sends the whole text, or returns false: the client has not read enough, and is to be disconnected.
bool SendWhole(int fd, std::string_view text) {
  return send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

}  // namespace

std::shared_ptr<Console> Console::Create(const asio::any_io_executor& executor) {
  return std::shared_ptr<Console>(new Console(executor));
}

void Console::Attach(UniqueFd fd) {
  source_.assign(fd.Release());
  asio::co_spawn(source_.get_executor(), ReadLoop(shared_from_this()), asio::detached);
}

void Console::Serve(UniqueFd listener) {
  listener_.assign(listener.Release());
  asio::co_spawn(listener_.get_executor(), AcceptLoop(shared_from_this()), asio::detached);
}

asio::awaitable<void> Console::ReadLoop(std::shared_ptr<Console> self) {
  while (self->source_.is_open()) {
    const auto [error] = co_await self->source_.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    // At most 4 reads in a row, so that a guest that prints all the time does not block the event loop.
    if (error || !self->source_.is_open() || !self->ReadAvailable(4)) break;
  }
}

bool Console::ReadAvailable(int rounds) {
  std::array<char, 16384> buffer;
  for (int i = 0; i < rounds; ++i) {
    const ssize_t count = recv(source_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count > 0) {
      Take(std::string_view(buffer.data(), static_cast<size_t>(count)));
    } else {
      return count < 0 && (errno == EAGAIN || errno == EINTR);
    }
  }
  return true;
}

void Console::Drain() {
  if (source_.is_open()) ReadAvailable(64);
}

void Console::Take(std::string_view raw) {
  bytes_ += raw.size();
  const std::string text = Printable(raw);
  tail_ += text;
  if (tail_.size() > kTailSize) tail_.erase(0, tail_.size() - kTailSize);
  clients_.remove_if([&text](const UniqueFd& client) { return !SendWhole(client.get(), text); });
  if (!on_line_) return;
  for (const char c : text) {
    if (c != '\n' && line_.size() < kMaxLine) {
      line_ += c;
    } else if (c == '\n') {
      on_line_(line_);
      line_.clear();
    }
  }
}

asio::awaitable<void> Console::AcceptLoop(std::shared_ptr<Console> self) {
  while (UniqueFd client = co_await AcceptNext(self->listener_, SOCK_CLOEXEC | SOCK_NONBLOCK)) {
    self->clients_.remove_if(Gone);
    if (self->clients_.size() >= kMaxClients || !SendWhole(client.get(), self->tail_)) continue;
    self->clients_.push_back(std::move(client));
  }
}

void Console::Close() {
  if (source_.is_open()) source_.close();
  if (listener_.is_open()) listener_.close();
  clients_.clear();
  on_line_ = nullptr;
}

std::string Console::Tail() const {
  if (tail_.size() < kTailSize) return tail_;
  const size_t line = tail_.find('\n');
  return line == std::string::npos ? tail_ : tail_.substr(line + 1);
}

}  // namespace kata::hypervisor
