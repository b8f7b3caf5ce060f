// SPDX-License-Identifier: Apache-2.0
// The guest's console: reads all output, keeps the last part of it, and sends it to clients of a socket.
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

// The output is untrusted: it is made printable before use, and at most kTailSize bytes of it are kept. Clients that do
// not read fast enough are disconnected. Not thread-safe.
class Console : public std::enable_shared_from_this<Console> {
 public:
  static constexpr size_t kTailSize = kMaxForeignText;
  static constexpr size_t kMaxClients = 16;

  static std::shared_ptr<Console> Create(const asio::any_io_executor& executor);

  // Sets a function that is called with each complete line, truncated to 1 KiB. To be called before Attach.
  void OnLine(std::function<void(std::string_view)> callback) { on_line_ = std::move(callback); }
  // Starts to read from fd, a stream socket connected to the VMM.
  void Attach(UniqueFd fd);
  // Accepts connections on a listening socket. Each client gets the tail and then all further output; at most
  // kMaxClients at a time, others are closed.
  void Serve(UniqueFd listener);
  // Reads what is left in the socket after the end of the VMM, at most 1 MiB. Does not block.
  void Drain();
  // Closes all sockets. Tail() keeps its value.
  void Close();

  // The last lines of the output, at most kTailSize bytes, beginning at the start of a line.
  std::string Tail() const;
  // The number of bytes that the guest has printed.
  uint64_t bytes() const { return bytes_; }

 private:
  explicit Console(const asio::any_io_executor& executor) : source_(executor), listener_(executor) {}
  static asio::awaitable<void> ReadLoop(std::shared_ptr<Console> self);
  static asio::awaitable<void> AcceptLoop(std::shared_ptr<Console> self);
  bool ReadAvailable(int rounds);  // false: end of the stream, or an error
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
