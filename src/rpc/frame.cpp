// SPDX-License-Identifier: Apache-2.0
#include "rpc/frame.h"

namespace kata::rpc {
namespace {

void PutBigEndian(uint8_t* out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

uint32_t GetBigEndian(const uint8_t* in) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8U | in[i];
  return value;
}

}  // namespace

std::array<uint8_t, kHeaderSize> EncodeHeader(const FrameHeader& header) {
  std::array<uint8_t, kHeaderSize> bytes{};
  PutBigEndian(bytes.data(), header.length);
  PutBigEndian(bytes.data() + 4, header.stream);
  bytes[8] = static_cast<uint8_t>(header.type);
  bytes[9] = header.flags;
  return bytes;
}

Result<FrameHeader> DecodeHeader(const std::array<uint8_t, kHeaderSize>& bytes) {
  FrameHeader header;
  header.length = GetBigEndian(bytes.data());
  header.stream = GetBigEndian(bytes.data() + 4);
  header.type = static_cast<FrameType>(bytes[8]);
  header.flags = bytes[9];
  if (bytes[8] < 1 || bytes[8] > 3) {
    return Fail(Code::kInvalidArgument, "a ttRPC frame has the unknown type {}", bytes[8]);
  }
  if (header.length > kMaxPayload) {
    return Fail(Code::kInvalidArgument, "a ttRPC frame of {} bytes is over the limit of {}", header.length,
                kMaxPayload);
  }
  return header;
}

}  // namespace kata::rpc
