// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace kata {
namespace {

constexpr std::string_view kCut = "...";

// Decodes the character at the start of text, and returns its length in bytes. 0: not a complete, shortest-form UTF-8
// character.
size_t DecodeUtf8(std::string_view text, uint32_t& character) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) {
    character = first;
    return 1;
  }
  const size_t length = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (first >= 0xf5 || length == 0 || text.size() < length) return 0;
  character = first & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0U) != 0x80) return 0;
    character = character << 6U | (byte & 0x3fU);
  }
  const bool shortest = length == 2 || (length == 3 && character >= 0x800) || (length == 4 && character >= 0x10000);
  const bool surrogate = character >= 0xd800 && character < 0xe000;
  return shortest && !surrogate && character < 0x110000 ? length : 0;
}

bool MayBeShown(uint32_t character) {
  if (character == '\n' || character == '\t') return true;
  if (character < 0x20 || (character >= 0x7f && character < 0xa0)) return false;
  // Zero-width characters, line separators, and characters that change the writing direction.
  const bool invisible = (character >= 0x200b && character <= 0x200f) || (character >= 0x2028 && character <= 0x202e) ||
                         (character >= 0x2060 && character <= 0x206f) || character == 0xfeff || character == 0xad;
  return !invisible;
}

void AppendEscaped(std::string& out, std::string_view bytes) {
  for (const char c : bytes) fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
}

}  // namespace

std::string ForeignText(std::string_view text, size_t limit) {
  std::string result;
  size_t fits = 0;  // the longest prefix of result, at a character's end, after which kCut still fits
  while (!text.empty()) {
    uint32_t character = 0;
    const size_t length = DecodeUtf8(text, character);
    const std::string_view bytes = text.substr(0, std::max<size_t>(length, 1));
    if (length > 0 && MayBeShown(character)) {
      result += bytes;
    } else {
      AppendEscaped(result, bytes);
    }
    text.remove_prefix(bytes.size());
    if (result.size() > limit) {
      result.resize(fits);
      return result += kCut.substr(0, limit - fits);
    }
    if (result.size() + kCut.size() <= limit) fits = result.size();
  }
  return result;
}

std::string Printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) {
    if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f)) {
      result += c;
    } else if (c != '\r') {
      AppendEscaped(result, {&c, 1});
    }
  }
  return result;
}

}  // namespace kata
