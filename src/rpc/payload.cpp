// SPDX-License-Identifier: Apache-2.0
#include "rpc/payload.h"

namespace kata::rpc {
namespace {

void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7U) out += static_cast<char>(value | 0x80U);
  out += static_cast<char>(value);
}

}  // namespace

std::string BytesField(int number, size_t size) {
  constexpr uint64_t kLengthDelimited = 2;
  std::string out;
  AppendVarint(out, static_cast<uint64_t>(number) << 3U | kLengthDelimited);
  AppendVarint(out, size);
  return out;
}

}  // namespace kata::rpc
