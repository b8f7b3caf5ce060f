// SPDX-License-Identifier: Apache-2.0
// JSON from outside: of a guest, the VMM, a bundle, a file that may be damaged. Nothing else parses any.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace kata {

// Deeper than any document of ours by far: config.json has six levels.
inline constexpr int kMaxJsonDepth = 32;

// Before anything is built of it: kOutOfRange for more than max_bytes, kInvalidArgument for more than kMaxJsonDepth
// levels. The library's parser takes any depth, but copies, compares and writes a value by one call for each level, and
// a hundred thousand of them are more than a stack holds.
Result<> CheckJsonShape(std::string_view text, size_t max_bytes);

// As above, and kInvalidArgument for what is no JSON.
inline Result<nlohmann::json> ParseJson(std::string_view text, size_t max_bytes) {
  TRY(CheckJsonShape(text, max_bytes));
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Fail(Code::kInvalidArgument, "it is no JSON");
  return json;
}

}  // namespace kata
