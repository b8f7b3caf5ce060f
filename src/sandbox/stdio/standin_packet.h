// SPDX-License-Identifier: Apache-2.0
// Parses the packets of a stand-in connection (docs/architecture.md, "Stand-in connection").
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace kata::sandbox {

// In bytes; room for two ids of 255 bytes, and numbers.
inline constexpr size_t kMaxPacket = 1024;

struct HelloPacket {
  pid_t standin = 0;
  std::string container;
  std::string exec;  // empty: the container's own process
};
struct SignalPacket {
  int signal = 0;    // 1 to 64
  bool all = false;  // for all processes of the container
};
struct SizePacket {
  uint32_t rows = 0;
  uint32_t columns = 0;
};
using Packet = std::variant<HelloPacket, SignalPacket, SizePacket>;

// kInvalidArgument: not a packet of a stand-in.
Result<Packet> ParsePacket(std::string_view text);

}  // namespace kata::sandbox
