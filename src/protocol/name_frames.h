// SPDX-License-Identifier: Apache-2.0
// How queries for names and their answers are packed into a stream, in both directions: a head, then a message of the
// domain name system. The numbers of the head are big-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kata::contract {

struct NameFrame {
  uint32_t query = 0;  // a number that the guest has chosen; the answer has the same
  bool tcp = false;    // how the client asked, and how the server is to be asked
  uint16_t size = 0;   // bytes of the message; an answer without any says that there is none
};

inline constexpr size_t kNameFrameHead = 7;

inline std::string PackName(const NameFrame& frame) {
  std::string head;
  for (int shift = 24; shift >= 0; shift -= 8) head += static_cast<char>(frame.query >> static_cast<unsigned>(shift));
  head += static_cast<char>(frame.tcp ? 1 : 0);
  head += static_cast<char>(frame.size >> 8U);
  head += static_cast<char>(frame.size & 0xffU);
  return head;
}

// head: at least kNameFrameHead bytes.
inline NameFrame UnpackName(std::string_view head) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(head[i])); };
  return {.query = byte(0) << 24U | byte(1) << 16U | byte(2) << 8U | byte(3),
          .tcp = byte(4) != 0,
          .size = static_cast<uint16_t>(byte(5) << 8U | byte(6))};
}

}  // namespace kata::contract
