// SPDX-License-Identifier: Apache-2.0
#include "fsd/vhost_user_message.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <utility>

namespace kata::fsd {

namespace {

struct Header {
  uint32_t request;
  uint32_t flags;
  uint32_t size;  // of the payload
};

// Of Header::flags.
constexpr uint32_t kVersionMask = 0x3;
constexpr uint32_t kVersion = 0x1;
constexpr uint32_t kIsReply = 0x4;
constexpr uint32_t kNeedReply = 0x8;

// The length of what there is; 0: the connection was closed.
Result<size_t> Got(ssize_t length) {
  if (length >= 0) return static_cast<size_t>(length);
  // A front end that was killed counts as one that has closed.
  if (errno == ECONNRESET) return 0;
  return FailErrno("cannot read from the VMM");
}

Result<size_t> Read(int socket, void* buffer, size_t size) {
  ssize_t length = 0;
  do {
    length = recv(socket, buffer, size, MSG_WAITALL);
  } while (length < 0 && errno == EINTR);
  return Got(length);
}

// As Read, with the descriptors that come with the first byte.
Result<size_t> ReadWithDescriptors(int socket, void* buffer, size_t size, std::vector<UniqueFd>& descriptors) {
  alignas(cmsghdr) char control[CMSG_SPACE(Message::kMaxDescriptors * sizeof(int))];
  iovec data = {buffer, size};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t length = 0;
  do {
    length = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length <= 0) return Got(length);
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    return Fail(Code::kInvalidArgument, "more than {} descriptors in a message", Message::kMaxDescriptors);
  }
  return Got(length);
}

}  // namespace

Result<MemTable> Message::AsMemTable() const {
  MemTable table = {};
  constexpr size_t kBefore = offsetof(MemTable, regions);
  if (size < kBefore) return Fail(Code::kInvalidArgument, "a payload of {} bytes", size);
  memcpy(&table, payload.data(), size);
  if (table.count > MemTable::kMaxRegions || size != kBefore + table.count * sizeof(RegionDescription) ||
      table.count != descriptors.size()) {
    return Fail(Code::kInvalidArgument, "{} regions in {} bytes with {} descriptors", table.count, size,
                descriptors.size());
  }
  return table;
}

Result<UniqueFd> Message::TakeDescriptor() {
  if (descriptors.size() != 1) return Fail(Code::kInvalidArgument, "{} descriptors, not 1", descriptors.size());
  return std::move(descriptors.front());
}

Result<bool> Receive(int socket, Message& message) {
  message.descriptors.clear();
  Header header = {};
  auto* start = reinterpret_cast<std::byte*>(&header);
  size_t length = TRY(ReadWithDescriptors(socket, start, sizeof header, message.descriptors));
  if (length == 0) return false;
  if (length < sizeof header) length += TRY(Read(socket, start + length, sizeof header - length));
  if (length < sizeof header) return false;
  if ((header.flags & kVersionMask) != kVersion || (header.flags & kIsReply) != 0 ||
      header.size > message.payload.size()) {
    return Fail(Code::kInvalidArgument, "request {} of the VMM with flags {:#x} and {} bytes", header.request,
                header.flags, header.size);
  }
  message.request = static_cast<MessageType>(header.request);
  message.need_reply = (header.flags & kNeedReply) != 0;
  message.size = header.size;
  if (header.size == 0) return true;
  return TRY(Read(socket, message.payload.data(), header.size)) == header.size;
}

Result<> SendReply(int socket, MessageType request, const void* payload, size_t size) {
  Header header = {static_cast<uint32_t>(request), kVersion | kIsReply, static_cast<uint32_t>(size)};
  iovec parts[] = {{&header, sizeof header}, {const_cast<void*>(payload), size}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  // A stream that takes only a part of so few bytes is full of answers that nobody reads.
  if (sent != static_cast<ssize_t>(sizeof header + size)) return FailErrno("cannot answer the VMM");
  return {};
}

}  // namespace kata::fsd
