// SPDX-License-Identifier: Apache-2.0
#include "base/cpu_list.h"

#include <charconv>

namespace kata {
namespace {

std::optional<uint32_t> ParseNumber(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number > kMaxListedCpu) return std::nullopt;
  return number;
}

}  // namespace

std::optional<std::vector<uint32_t>> ParseCpuList(std::string_view text) {
  std::vector<uint32_t> numbers;
  if (text.empty()) return numbers;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const size_t dash = part.find('-');
    const auto first = ParseNumber(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : ParseNumber(part.substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    for (uint32_t number = *first; number <= *last; ++number) numbers.push_back(number);
    if (numbers.size() > size_t{16} * (kMaxListedCpu + 1)) return std::nullopt;
    if (comma == std::string_view::npos) return numbers;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace kata
