// SPDX-License-Identifier: Apache-2.0
#include "agent/forward_names.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "agent/forward.h"
#include "base/child.h"
#include "base/files.h"
#include "protocol/name_frames.h"

namespace kata::agent {

namespace {

using contract::kNameFrameHead;
using contract::NameFrame;

// The clients that are remembered. Beyond that the oldest is forgotten: by UDP it asks again, by TCP it connects again.
constexpr size_t kUdpClients = 128;
constexpr size_t kTcpClients = 32;
constexpr int kBacklog = 16;
// By TCP a message has its size before it.
constexpr size_t kTcpHead = 2;

// The descriptors of the process, as Fork gives them.
constexpr int kUdp = 3;
constexpr int kTcp = 4;

Result<UniqueFd> Bind(const sockaddr_in& address, int type) {
  UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return FailErrno("cannot make a socket for names");
  const int on = 1;
  // A connection that has ended a moment ago does not matter.
  if (type == SOCK_STREAM) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      (type == SOCK_STREAM && listen(fd.get(), kBacklog) != 0)) {
    if (errno == EADDRINUSE) return Fail(Code::kAlreadyExists, "somebody listens for names already");
    return FailErrno("cannot listen for names");
  }
  return fd;
}

class NameServer {
 public:
  [[noreturn]] void Run() {
    prctl(PR_SET_NAME, "names");
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    for (;;) Turn();
  }

 private:
  struct UdpClient {
    uint32_t query = 0;
    sockaddr_in address{};
  };
  struct TcpClient {
    UniqueFd fd;
    std::string in;
    std::string out;
    uint32_t query = 0;  // that waits for its answer; 0: none
    uint64_t used = 0;   // when, counted in turns
  };

  void Turn() {
    std::array<pollfd, 3 + kTcpClients> waits{};
    waits[0] = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    waits[1] = {.fd = kUdp, .events = POLLIN, .revents = 0};
    waits[2] = {.fd = kTcp, .events = POLLIN, .revents = 0};
    for (size_t i = 0; i < kTcpClients; ++i) {
      const TcpClient& client = tcp_clients_[i];
      // The next query of a client is read when the last one has been answered, so that memory is bounded.
      const int events = !client.out.empty() ? POLLOUT : client.query != 0 ? 0 : POLLIN;
      waits[3 + i] = {.fd = client.fd ? client.fd.get() : -1, .events = static_cast<short>(events), .revents = 0};
    }
    ++turns_;
    if (poll(waits.data(), waits.size(), -1) < 0) return;
    // Those that have been there before, before others take their places.
    for (size_t i = 0; i < kTcpClients; ++i) {
      if (waits[3 + i].revents != 0) Serve(tcp_clients_[i]);
    }
    if (waits[0].revents != 0) ReadAnswers();
    if (waits[1].revents != 0) ReadQuery();
    if (waits[2].revents != 0) Accept();
  }

  uint32_t NextQuery() { return ++queries_ != 0 ? queries_ : ++queries_; }

  void Pass(uint32_t query, bool tcp, std::string_view message) {
    const NameFrame frame{.query = query, .tcp = tcp, .size = static_cast<uint16_t>(message.size())};
    if (!WriteAll(STDOUT_FILENO, contract::PackName(frame)) || !WriteAll(STDOUT_FILENO, message)) _exit(1);
  }

  void ReadQuery() {
    UdpClient client;
    socklen_t size = sizeof client.address;
    const ssize_t count =
        recvfrom(kUdp, buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(&client.address), &size);
    if (count <= 0 || size != sizeof client.address) return;
    client.query = NextQuery();
    udp_clients_[client.query % kUdpClients] = client;
    Pass(client.query, /*tcp=*/false, {buffer_.data(), static_cast<size_t>(count)});
  }

  void Accept() {
    UniqueFd fd(accept4(kTcp, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    auto& place = *std::min_element(tcp_clients_.begin(), tcp_clients_.end(),
                                    [](const TcpClient& a, const TcpClient& b) { return a.used < b.used; });
    place = TcpClient{};
    place.fd = std::move(fd);
    place.used = turns_;
  }

  void Serve(TcpClient& client) {
    client.used = turns_;
    const bool goes_on = !client.out.empty() ? WriteAnswer(client) : client.query == 0 && ReadQuery(client);
    if (!goes_on) client = TcpClient{};
  }

  static bool WriteAnswer(TcpClient& client) {
    const ssize_t count = send(client.fd.get(), client.out.data(), client.out.size(), MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    client.out.erase(0, static_cast<size_t>(count));
    return true;
  }

  bool ReadQuery(TcpClient& client) {
    const auto size = [&] {
      return static_cast<size_t>(static_cast<uint8_t>(client.in[0])) << 8U | static_cast<uint8_t>(client.in[1]);
    };
    const size_t wanted = client.in.size() < kTcpHead ? kTcpHead : kTcpHead + size();
    const ssize_t count = recv(client.fd.get(), buffer_.data(), wanted - client.in.size(), 0);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    client.in.append(buffer_.data(), static_cast<size_t>(count));
    if (client.in.size() < kTcpHead) return true;
    if (size() == 0) return false;
    if (client.in.size() < kTcpHead + size()) return true;
    client.query = NextQuery();
    Pass(client.query, /*tcp=*/true, std::string_view(client.in).substr(kTcpHead));
    client.in.clear();
    return true;
  }

  void ReadAnswers() {
    const ssize_t count = read(STDIN_FILENO, buffer_.data(), buffer_.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) _exit(0);
    answers_.append(buffer_.data(), static_cast<size_t>(count));
    std::string_view rest = answers_;
    while (rest.size() >= kNameFrameHead) {
      const NameFrame frame = contract::UnpackName(rest);
      if (rest.size() < kNameFrameHead + frame.size) break;
      Answer(frame, rest.substr(kNameFrameHead, frame.size));
      rest.remove_prefix(kNameFrameHead + frame.size);
    }
    answers_.erase(0, answers_.size() - rest.size());
  }

  void Answer(const NameFrame& frame, std::string_view message) {
    if (frame.query == 0) return;
    if (!frame.tcp) {
      const UdpClient& client = udp_clients_[frame.query % kUdpClients];
      if (client.query != frame.query || message.empty()) return;
      (void)sendto(kUdp, message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&client.address),
                   sizeof client.address);
      return;
    }
    for (TcpClient& client : tcp_clients_) {
      if (client.query != frame.query) continue;
      client.query = 0;
      if (message.empty()) {
        client = TcpClient{};
      } else {
        client.out = contract::PackName(frame).substr(kNameFrameHead - kTcpHead);
        client.out += message;
      }
      return;
    }
  }

  std::array<char, UINT16_MAX> buffer_{};
  std::array<UdpClient, kUdpClients> udp_clients_{};
  std::array<TcpClient, kTcpClients> tcp_clients_{};
  std::string answers_;
  uint32_t queries_ = 0;
  uint64_t turns_ = 0;
};

}  // namespace

Result<StartedProcess> StartForwardNames(const sockaddr_in& address, ProcessIo io) {
  const UniqueFd udp = TRY(Bind(address, SOCK_DGRAM));
  const UniqueFd tcp = TRY(Bind(address, SOCK_STREAM));
  return StartRelay({.fds = {io.stdin_read.get(), io.stdout_write.get(), -1, udp.get(), tcp.get()}},
                    [] { std::make_unique<NameServer>()->Run(); });
}

}  // namespace kata::agent
