// SPDX-License-Identifier: Apache-2.0
// Parsing of untrusted JSON: from a guest, the VMM, a bundle, or a file that may be damaged. No other file but
// oci/json_reader.cpp parses such texts (tests/lint/promises.py).
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace kata {

// Far above what real documents need: config.json has six levels.
inline constexpr int kMaxJsonDepth = 32;

// Checks size and nesting depth before a parser builds a value. kOutOfRange: more than max_bytes; kInvalidArgument:
// more than kMaxJsonDepth levels. The library parses any depth, but it copies, compares and serializes values
// recursively: a hundred thousand levels overflow the stack.
Result<> CheckJsonShape(std::string_view text, size_t max_bytes);

// Checks as CheckJsonShape, then parses. kInvalidArgument: text is not valid JSON.
inline Result<nlohmann::json> ParseJson(std::string_view text, size_t max_bytes) {
  TRY(CheckJsonShape(text, max_bytes));
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Fail(Code::kInvalidArgument, "it is no JSON");
  return json;
}

}  // namespace kata
