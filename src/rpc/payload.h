// SPDX-License-Identifier: Apache-2.0
// The payload of a frame, and how much of it is passed on without being copied through this process.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace kata::rpc {

// Bytes that wait in a pipe which holds nothing else: the kernel hands its pages on to where they are sent, see
// splice(2).
struct Piped {
  UniqueFd pipe;
  size_t size = 0;
};

// A serialized message; what is in tail comes after bytes.
struct Payload {
  Payload() = default;
  Payload(std::string all) : bytes(std::move(all)) {}  // NOLINT(google-explicit-constructor): most are nothing else
  Payload(std::string first, Piped rest) : bytes(std::move(first)), tail(std::move(rest)) {}

  size_t size() const { return bytes.size() + tail.size; }

  std::string bytes;
  Piped tail;
};

// The start of a field of bytes in a message, whose content follows (protobuf's encoding: tag, length).
std::string BytesField(int number, size_t size);

}  // namespace kata::rpc
