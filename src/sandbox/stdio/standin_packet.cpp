// SPDX-License-Identifier: Apache-2.0
#include "sandbox/stdio/standin_packet.h"

#include <charconv>
#include <optional>
#include <vector>

#include "oci/validate.h"

namespace kata::sandbox {
namespace {

constexpr int kMaxSignal = 64;
constexpr uint32_t kMaxTerminalSide = 65535;  // of struct winsize

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    size_t space = text.find(' ');
    words.push_back(text.substr(0, space));
    if (space == std::string_view::npos) return words;
    text.remove_prefix(space + 1);
  }
}

template <typename Number>
std::optional<Number> ToNumber(std::string_view text, Number low, Number high) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < low || number > high) return std::nullopt;
  return number;
}

}  // namespace

Result<Packet> ParsePacket(std::string_view text) {
  std::vector<std::string_view> words = Words(text);
  if (words[0] == "H" && (words.size() == 3 || words.size() == 4)) {
    auto pid = ToNumber<pid_t>(words[1], 1, 1 << 30);
    if (!pid) return Fail(Code::kInvalidArgument, "a hello without a pid");
    for (size_t i = 2; i < words.size(); ++i) TRY(oci::ValidateId(words[i]));
    return HelloPacket{.standin = *pid,
                       .container = std::string(words[2]),
                       .exec = words.size() == 4 ? std::string(words[3]) : std::string()};
  }
  if ((words[0] == "S" || words[0] == "A") && words.size() == 2) {
    auto signal = ToNumber<int>(words[1], 1, kMaxSignal);
    if (signal) return SignalPacket{.signal = *signal, .all = words[0] == "A"};
  }
  if (words[0] == "W" && words.size() == 3) {
    auto rows = ToNumber<uint32_t>(words[1], 0, kMaxTerminalSide);
    auto columns = ToNumber<uint32_t>(words[2], 0, kMaxTerminalSide);
    if (rows && columns) return SizePacket{.rows = *rows, .columns = *columns};
  }
  return Fail(Code::kInvalidArgument, "a packet that means nothing");
}

}  // namespace kata::sandbox
