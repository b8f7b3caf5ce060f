// SPDX-License-Identifier: Apache-2.0
#include "runtime/duration.h"

#include <charconv>
#include <utility>

namespace kata::runtime {
namespace {

// A longer name stands before a shorter one that begins it.
constexpr std::pair<std::string_view, double> kUnits[] = {{"ns", 1},  {"us", 1e3}, {"ms", 1e6},
                                                          {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}};

}  // namespace

Result<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  const std::string_view whole = text;
  const auto invalid = [&] {
    return Fail(Code::kInvalidArgument, "\"{}\" is no duration, such as 5s, 100ms or 1m30s", whole);
  };
  if (text == "0") return std::chrono::nanoseconds(0);
  if (text.empty()) return invalid();
  double sum = 0;
  while (!text.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), number, std::chars_format::fixed);
    if (error != std::errc() || number < 0) return invalid();
    text.remove_prefix(static_cast<size_t>(end - text.begin()));
    const std::pair<std::string_view, double>* unit = nullptr;
    for (const auto& each : kUnits) {
      if (unit == nullptr && text.starts_with(each.first)) unit = &each;
    }
    if (unit == nullptr) return invalid();
    text.remove_prefix(unit->first.size());
    sum += number * unit->second;
    if (!(sum < 9.2e18)) return invalid();
  }
  return std::chrono::nanoseconds(static_cast<int64_t>(sum));
}

}  // namespace kata::runtime
