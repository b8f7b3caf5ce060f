// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

namespace kata {

Result<> CheckJsonShape(std::string_view text, size_t max_bytes) {
  if (text.size() > max_bytes) {
    return Fail(Code::kOutOfRange, "{} bytes, and at most {} are read", text.size(), max_bytes);
  }
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return Fail(Code::kInvalidArgument, "nested deeper than {} levels", kMaxJsonDepth);
    } else if (c == ']' || c == '}') {
      if (depth > 0) --depth;
    }
  }
  return {};
}

}  // namespace kata
