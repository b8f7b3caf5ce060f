// SPDX-License-Identifier: Apache-2.0
// Messages of the protocol vhost-user (QEMU's docs/interop/vhost-user.rst), as they come over the socket.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::fsd {

// The requests of a front end that a back end of this kind can get.
enum class MessageType : uint32_t {
  kGetFeatures = 1,
  kSetFeatures = 2,
  kSetOwner = 3,
  kResetOwner = 4,
  kSetMemTable = 5,
  kSetVringNum = 8,
  kSetVringAddr = 9,
  kSetVringBase = 10,
  kGetVringBase = 11,
  kSetVringKick = 12,
  kSetVringCall = 13,
  kSetVringErr = 14,
  kGetProtocolFeatures = 15,
  kSetProtocolFeatures = 16,
  kGetQueueNum = 17,
  kSetVringEnable = 18,
  kGetMaxMemSlots = 36,
  kAddMemReg = 37,
  kRemMemReg = 38,
};

// Payloads, with the layout that they have in a message.
struct VringState {
  uint32_t index;
  uint32_t number;
};
struct VringAddresses {
  uint32_t index;
  uint32_t flags;
  uint64_t descriptors;
  uint64_t used;
  uint64_t available;
  uint64_t log;
};
struct RegionDescription {
  uint64_t guest_address;
  uint64_t size;
  uint64_t user_address;
  uint64_t file_offset;
};
struct MemTable {
  static constexpr size_t kMaxRegions = 8;
  uint32_t count;
  uint32_t padding;
  RegionDescription regions[kMaxRegions];  // count of them are sent
};
struct SingleRegion {
  uint64_t padding;
  RegionDescription region;
};

// One message of the front end.
struct Message {
  // In the descriptor messages, the payload has the queue's index and a flag that there is no descriptor.
  static constexpr uint64_t kIndexMask = 0xff;
  static constexpr uint64_t kNoDescriptor = 0x100;
  static constexpr size_t kMaxDescriptors = MemTable::kMaxRegions;

  MessageType request{};
  bool need_reply = false;
  uint32_t size = 0;
  std::array<std::byte, sizeof(MemTable)> payload{};
  std::vector<UniqueFd> descriptors;

  // The payload as a T. kInvalidArgument: it has another size.
  template <typename T>
  Result<T> As() const {
    if (size != sizeof(T)) return Fail(Code::kInvalidArgument, "a payload of {} bytes, not {}", size, sizeof(T));
    T value;
    memcpy(&value, payload.data(), sizeof value);
    return value;
  }
  // The payload of SET_MEM_TABLE, with as many descriptors as regions.
  Result<MemTable> AsMemTable() const;
  // The only descriptor of the message. kInvalidArgument: there are none, or several.
  Result<UniqueFd> TakeDescriptor();
};

// Waits for the next message. False: the front end has closed the connection. kInvalidArgument: it is no message.
Result<bool> Receive(int socket, Message& message);

// Answers a request with a payload.
Result<> SendReply(int socket, MessageType request, const void* payload, size_t size);
template <typename T>
Result<> SendReply(int socket, MessageType request, const T& payload) {
  return SendReply(socket, request, &payload, sizeof payload);
}

}  // namespace kata::fsd
