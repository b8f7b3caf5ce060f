// SPDX-License-Identifier: Apache-2.0
#include "setup/diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace kata::setup {
namespace {

constexpr size_t kContext = 3;
// Above so many pairs of lines, what lies between the first and the last difference counts as changed.
constexpr size_t kMaxPairs = 4U << 20U;

using TextLines = std::vector<std::string_view>;

// Each with its newline, which the last one may lack.
TextLines SplitLines(std::string_view text) {
  TextLines lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

// One line of a diff: ' ' for both texts, '-' for the old one, '+' for the new one.
struct Step {
  char kind;
  std::string_view line;
};

// The longest common subsequence of lines decides what is common.
void AddSteps(const TextLines& before, const TextLines& after, std::vector<Step>& steps) {
  const size_t rows = before.size();
  const size_t columns = after.size();
  const bool small = columns == 0 || rows <= kMaxPairs / columns;
  std::vector<uint32_t> common(small ? (rows + 1) * (columns + 1) : 0);
  const auto at = [&](size_t row, size_t column) -> uint32_t& { return common[row * (columns + 1) + column]; };
  for (size_t row = small ? rows : 0; row-- > 0;) {
    for (size_t column = columns; column-- > 0;) {
      at(row, column) = before[row] == after[column] ? at(row + 1, column + 1) + 1
                                                     : std::max(at(row + 1, column), at(row, column + 1));
    }
  }
  size_t row = 0;
  size_t column = 0;
  while (row < rows || column < columns) {
    if (small && row < rows && column < columns && before[row] == after[column]) {
      steps.push_back({' ', before[row]});
      ++row;
      ++column;
    } else if (row < rows && (!small || column == columns || at(row + 1, column) >= at(row, column + 1))) {
      steps.push_back({'-', before[row++]});
    } else {
      steps.push_back({'+', after[column++]});
    }
  }
}

std::vector<Step> StepsOf(const TextLines& before, const TextLines& after) {
  size_t head = 0;
  while (head < std::min(before.size(), after.size()) && before[head] == after[head]) ++head;
  size_t tail = 0;
  while (tail < std::min(before.size(), after.size()) - head &&
         before[before.size() - 1 - tail] == after[after.size() - 1 - tail]) {
    ++tail;
  }
  std::vector<Step> steps;
  for (size_t i = 0; i < head; ++i) steps.push_back({' ', before[i]});
  const auto middle = [&](const TextLines& lines) {
    return TextLines(lines.begin() + static_cast<ptrdiff_t>(head), lines.end() - static_cast<ptrdiff_t>(tail));
  };
  AddSteps(middle(before), middle(after), steps);
  for (size_t i = tail; i > 0; --i) steps.push_back({' ', before[before.size() - i]});
  return steps;
}

// As diff counts: the line before for no lines.
std::string RangeText(size_t first, size_t count) {
  return count == 1 ? fmt::format("{}", first) : fmt::format("{},{}", count == 0 ? first - 1 : first, count);
}

}  // namespace

std::string UnifiedDiff(std::string_view old_name, std::string_view old_text, std::string_view new_name,
                        std::string_view new_text) {
  if (old_text == new_text) return "";
  const TextLines before = SplitLines(old_text);
  const TextLines after = SplitLines(new_text);
  const std::vector<Step> steps = StepsOf(before, after);
  std::string text = fmt::format("--- {}\n+++ {}\n", old_name, new_name);
  size_t old_line = 1;
  size_t new_line = 1;
  for (size_t at = 0; at < steps.size();) {
    size_t change = at;
    while (change < steps.size() && steps[change].kind == ' ') ++change;
    if (change == steps.size()) break;
    const size_t begin = change - std::min(change - at, kContext);
    old_line += begin - at;
    new_line += begin - at;
    size_t end = change;  // behind the last change of this hunk, and then behind its context
    for (size_t look = change; look < steps.size() && look < end + 2 * kContext + 1; ++look) {
      if (steps[look].kind != ' ') end = look + 1;
    }
    end = std::min(end + kContext, steps.size());
    std::string lines;
    size_t old_count = 0;
    size_t new_count = 0;
    for (size_t i = begin; i < end; ++i) {
      const bool whole = steps[i].line.ends_with('\n');
      const std::string_view line = steps[i].line.substr(0, steps[i].line.size() - (whole ? 1 : 0));
      lines += fmt::format("{}{}\n{}", steps[i].kind, line, whole ? "" : "\\ No newline at end of file\n");
      old_count += steps[i].kind != '+' ? 1 : 0;
      new_count += steps[i].kind != '-' ? 1 : 0;
    }
    text += fmt::format("@@ -{} +{} @@\n{}", RangeText(old_line, old_count), RangeText(new_line, new_count), lines);
    old_line += old_count;
    new_line += new_count;
    at = end;
  }
  return text;
}

}  // namespace kata::setup
