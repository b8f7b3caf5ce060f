// SPDX-License-Identifier: Apache-2.0
// The guest's console: read all the time, its end remembered, and shown to whoever connects.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "base/text.h"
#include "base/unique_fd.h"

namespace kata::hypervisor {

namespace asio = boost::asio;

// What a guest prints is hostile: it is made printable before anyone sees it, at most kTailSize bytes of it are kept,
// and a client that does not read fast enough is dropped. Used from one thread.
class Console : public std::enable_shared_from_this<Console> {
 public:
  static constexpr size_t kTailSize = kMaxForeignText;
  static constexpr size_t kMaxClients = 16;

  static std::shared_ptr<Console> Create(const asio::any_io_executor& executor);

  // Each complete line goes to this function, cut at 1 KiB. Set before Attach.
  void OnLine(std::function<void(std::string_view)> callback) { on_line_ = std::move(callback); }
  // Starts reading fd, a stream socket to the VMM.
  void Attach(UniqueFd fd);
  // Sends what is printed to every connection of a listening socket: the tail first, then what follows.
  void Serve(UniqueFd listener);
  // Takes in what is already waiting in the socket, for the moment after the VMM's end.
  void Drain();
  // Closes everything; the tail stays.
  void Close();

  // The last lines, from the start of a line.
  std::string Tail() const;
  // All that has come, in bytes.
  uint64_t bytes() const { return bytes_; }

 private:
  explicit Console(const asio::any_io_executor& executor) : source_(executor), listener_(executor) {}
  static asio::awaitable<void> ReadLoop(std::shared_ptr<Console> self);
  static asio::awaitable<void> AcceptLoop(std::shared_ptr<Console> self);
  bool ReadAvailable(int rounds);  // false at the end of the stream
  void Take(std::string_view text);

  asio::posix::stream_descriptor source_;
  asio::posix::stream_descriptor listener_;
  std::function<void(std::string_view)> on_line_;
  std::list<UniqueFd> clients_;
  std::string tail_;
  uint64_t bytes_ = 0;
  std::string line_;
};

}  // namespace kata::hypervisor
