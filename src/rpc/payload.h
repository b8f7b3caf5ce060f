// SPDX-License-Identifier: Apache-2.0
// The payload of a frame. A part of it can stay in a pipe, and is then sent without being copied through this process.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace kata::rpc {

// size bytes in a pipe that holds nothing else. Connection::Send moves the pipe's pages to the socket (splice(2)).
struct Piped {
  UniqueFd pipe;
  size_t size = 0;
};

// A serialized message: the contents of bytes, followed by those of tail.
struct Payload {
  Payload() = default;
  Payload(std::string all) : bytes(std::move(all)) {}  // NOLINT(google-explicit-constructor): most have no tail
  Payload(std::string first, Piped rest) : bytes(std::move(first)), tail(std::move(rest)) {}

  size_t size() const { return bytes.size() + tail.size; }

  std::string bytes;
  Piped tail;
};

// The tag and the length of a protobuf field of type bytes, to be followed by size bytes of content.
std::string BytesField(int number, size_t size);

}  // namespace kata::rpc
