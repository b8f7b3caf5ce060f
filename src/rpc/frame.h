// SPDX-License-Identifier: Apache-2.0
// The ttRPC frame: a 10 byte header (length, stream id, type, flags; big endian) and a payload.
// Source: containerd's ttrpc PROTOCOL.md, section "Message Frames".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace kata::rpc {

inline constexpr size_t kHeaderSize = 10;
inline constexpr uint32_t kMaxPayload = 4U << 20U;

enum class FrameType : uint8_t { kRequest = 1, kResponse = 2, kData = 3 };

// The header of one frame.
struct FrameHeader {
  uint32_t length = 0;  // bytes of payload that follow
  uint32_t stream = 0;  // the call that the frame belongs to; odd numbers, since clients choose them
  FrameType type = FrameType::kRequest;
  uint8_t flags = 0;
};

std::array<uint8_t, kHeaderSize> EncodeHeader(const FrameHeader& header);

// kInvalidArgument: an unknown type, or a length above kMaxPayload. The caller must close the connection then.
Result<FrameHeader> DecodeHeader(const std::array<uint8_t, kHeaderSize>& bytes);

}  // namespace kata::rpc
