// SPDX-License-Identifier: Apache-2.0
#include "agent/transport.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
// Must come after sys/socket.h, whose types it uses.
#include <linux/vm_sockets.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <bit>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <chrono>

#include "base/coroutine.h"
#include "base/files.h"
#include "base/log.h"
#include "protocol/guest_contract.h"
#include "rpc/unix_socket.h"

namespace kata::agent {

namespace {

using asio::posix::stream_descriptor;
constexpr char kPorts[] = "/sys/class/virtio-ports";
constexpr std::chrono::seconds kDeviceTimeout{30};
constexpr std::chrono::milliseconds kReconnectPoll{100};

// The guest has a vsock device if its CID is one that a host assigns.
bool HasVsock() {
  auto device = Open("/dev/vsock", O_RDONLY);
  unsigned cid = 0;
  return device && ::ioctl(device->get(), IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) == 0 && cid > VMADDR_CID_HOST &&
         cid != VMADDR_CID_ANY;
}

// Returns a socket that becomes readable at every uevent.
Result<UniqueFd> DeviceEvents() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;  // the kernel's own messages
  if (!socket || ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return FailErrno("cannot listen for devices");
  }
  return socket;
}

// Shared by the deadline's handler and the waiting coroutine.
struct DeviceWait {
  DeviceWait(const asio::any_io_executor& executor, UniqueFd socket) : events(executor, socket.Release()) {}
  stream_descriptor events;
  bool late = false;
};

bool HostConnected(int fd) {
  pollfd state{fd, POLLOUT, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) == 0;
}

// Closes a connection at the end of the scope, however serving has ended. A virtio-serial port can be opened only once
// at a time, and calls in progress keep their reference to the connection.
struct Closing {
  std::shared_ptr<rpc::Connection> connection;
  ~Closing() { connection->Close(); }
};

// Serves one connection after the other over the same port. While the host's end is closed, poll(2) reports POLLHUP
// immediately, so waiting for the host to open it again needs polling at intervals.
asio::awaitable<Error> ServeSerial(asio::any_io_executor executor, std::string path, const rpc::MethodTable& table) {
  asio::steady_timer timer(executor);
  for (;;) {
    auto port = Open(path, O_RDWR | O_NONBLOCK | O_NOCTTY);
    if (!port) co_return std::move(port).error();
    while (!HostConnected(port->get())) {
      timer.expires_after(kReconnectPoll);
      co_await timer.async_wait(kAwait);
    }
    const Closing closing{rpc::Connection::Create(executor, *std::move(port))};
    const Error why = co_await rpc::Serve(closing.connection, table);
    log::Info("the connection on {} ended: {}", path, why.message());
  }
}

asio::awaitable<void> ServeOne(std::shared_ptr<rpc::Connection> connection, const rpc::MethodTable& table) {
  const Closing closing{connection};
  const Error why = co_await rpc::Serve(connection, table);
  log::Info("the host's connection ended: {}", why.message());
}

bool HungUp(int fd) {
  pollfd state{fd, POLLRDHUP, 0};
  return ::poll(&state, 1, 0) == 1;
}

// Whether the connection is alive. The peer may have closed it before the reader has noticed.
bool Lives(const std::shared_ptr<rpc::Connection>& connection) {
  return connection && !connection->closed() && !HungUp(connection->fd());
}

bool PeerMayCommand(int socket) {
  sockaddr_vm peer{};
  socklen_t length = sizeof peer;
  return ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &length) == 0 && peer.svm_family == AF_VSOCK &&
         MayCommand(peer.svm_cid, peer.svm_port);
}

Result<UniqueFd> ListenVsock(uint32_t port) {
  UniqueFd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return FailErrno("cannot make a vsock");
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = port;
  // A long backlog, so that peers that will be refused hardly ever keep the host from connecting. The host retries.
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
      ::listen(socket.get(), SOMAXCONN) < 0) {
    return FailErrno("cannot listen on vsock port {}", port);
  }
  return socket;
}

asio::awaitable<Error> ServeVsock(asio::any_io_executor executor, uint32_t port, const rpc::MethodTable& table) {
  auto listener = ListenVsock(port);
  if (!listener) co_return std::move(listener).error();
  co_return co_await ServeControl(executor, *std::move(listener), PeerMayCommand, table);
}

asio::awaitable<Error> ServeUnixPath(std::string path, const rpc::MethodTable& table) {
  const size_t slash = path.rfind('/');
  auto directory = Open(path.substr(0, slash + 1), O_PATH | O_DIRECTORY);
  if (!directory) co_return std::move(directory).error();
  auto listener = rpc::ListenUnix(directory->get(), path.substr(slash + 1));
  if (!listener) co_return std::move(listener).error();
  co_await rpc::ServeUnix(*std::move(listener), table);
  co_return Error(Code::kUnavailable, "the server has stopped");
}

}  // namespace

Result<Address> ParseAddress(const std::string& text) {
  constexpr std::string_view kVsock = "vsock://-1:";
  constexpr std::string_view kUnix = "unix://";
  Address address;
  if (text.starts_with(kVsock)) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + kVsock.size(), end, address.port);
    if (parsed.ec == std::errc() && parsed.ptr == end) return address;
  } else if (text.starts_with(kUnix) && text.size() > kUnix.size() + 1 && text[kUnix.size()] == '/') {
    address.kind = Address::Kind::kUnix;
    address.path = text.substr(kUnix.size());
    return address;
  }
  return Fail(Code::kInvalidArgument, "\"{}\" is no address: vsock://-1:PORT or unix:///PATH", text);
}

std::optional<std::string> FindSerialPort(const std::string& ports, const std::string& name) {
  auto directory = Open(ports, O_RDONLY | O_DIRECTORY);
  if (!directory) return std::nullopt;
  auto entries = ListDir(directory->get());
  if (!entries) return std::nullopt;
  for (const std::string& entry : *entries) {
    auto text = ReadFile(fmt::format("{}/{}/name", ports, entry), 256);
    if (!text) continue;
    while (!text->empty() && text->back() == '\n') text->pop_back();
    if (*text == name) return "/dev/" + entry;
  }
  return std::nullopt;
}

asio::awaitable<Result<Address>> FindAddress(asio::any_io_executor executor) {
  // Listens for events before the first look, so that no device is missed that appears in between.
  CO_TRY_ASSIGN(auto socket, DeviceEvents());
  auto wait = std::make_shared<DeviceWait>(executor, std::move(socket));
  asio::steady_timer deadline(executor, kDeviceTimeout);
  deadline.async_wait([wait](boost::system::error_code error) {
    if (error) return;
    wait->late = true;
    boost::system::error_code ignored;
    wait->events.cancel(ignored);
  });
  for (;;) {
    Address address;
    if (auto port = FindSerialPort(kPorts, contract::kAgentPortName)) {
      address.kind = Address::Kind::kSerial;
      address.path = *port;
      co_return address;
    }
    if (HasVsock()) co_return address;
    if (wait->late) {
      co_return Fail(Code::kUnavailable, "the guest has neither a virtio-serial port \"{}\" nor a vsock",
                     contract::kAgentPortName);
    }
    co_await wait->events.async_wait(stream_descriptor::wait_read, kAwait);
    std::array<char, 4096> dropped;
    while (::recv(wait->events.native_handle(), dropped.data(), dropped.size(), 0) > 0) {
    }
  }
}

std::optional<ProtectedDevice> DeviceOf(const Address& address) {
  struct stat status {};
  if (address.kind != Address::Kind::kSerial || ::stat(address.path.c_str(), &status) < 0) return std::nullopt;
  return ProtectedDevice{'c', ::major(status.st_rdev), ::minor(status.st_rdev)};
}

bool MayCommand(uint32_t cid, uint32_t port) {
  return cid == VMADDR_CID_HOST && port < contract::kFirstUnprivilegedVsockPort;
}

asio::awaitable<Error> ServeControl(asio::any_io_executor executor, UniqueFd listener, PeerRule may_command,
                                    const rpc::MethodTable& table) {
  stream_descriptor incoming(executor, listener.Release());
  asio::steady_timer pause(executor);
  std::shared_ptr<rpc::Connection> current;
  uint64_t refused = 0;
  for (;;) {
    co_await incoming.async_wait(stream_descriptor::wait_read, kAwait);
    UniqueFd socket(::accept4(incoming.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
      // The listener stays readable: without a pause this would be a busy loop.
      pause.expires_after(kReconnectPoll);
      co_await pause.async_wait(kAwait);
    }
    if (!socket) continue;
    if (!may_command(socket.get()) || Lives(current)) {
      // Strangers can cause these lines at will, so only the 1st, 2nd, 4th, 8th ... refusal is logged.
      if (std::has_single_bit(++refused)) log::Warn("refused {} connections that are not the host's", refused);
      continue;
    }
    current = rpc::Connection::Create(executor, std::move(socket));
    asio::co_spawn(executor, ServeOne(current, table), asio::detached);
  }
}

asio::awaitable<Error> ServeAddress(asio::any_io_executor executor, Address address, const rpc::MethodTable& table) {
  switch (address.kind) {
    case Address::Kind::kSerial:
      return ServeSerial(executor, address.path, table);
    case Address::Kind::kVsock:
      return ServeVsock(executor, address.port, table);
    case Address::Kind::kUnix:
      break;
  }
  return ServeUnixPath(address.path, table);
}

}  // namespace kata::agent
