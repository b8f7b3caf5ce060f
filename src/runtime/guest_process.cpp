// SPDX-License-Identifier: Apache-2.0
#include "runtime/guest_process.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/json.h"
#include "base/text.h"

namespace kata::runtime {
namespace {

using Json = nlohmann::json;

// Properties of the guest's kernel, which this project builds.
constexpr uint64_t kTicksPerSecond = 100;
constexpr uint64_t kPageSize = 4096;
constexpr size_t kMaxRow = 64U << 10U;

std::string Text(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_string()) return "";
  std::string text = found->get<std::string>();
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return ForeignText(text);
}

template <typename Number = int64_t>
Number NumberOf(const Json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_number_integer()) return 0;
  const auto number = found->get<int64_t>();
  return number < 0 || static_cast<uint64_t>(number) > std::numeric_limits<Number>::max() ? Number{}
                                                                                          : static_cast<Number>(number);
}

// The fields of /proc/PID/stat (proc(5)), by their numbers there. The text begins with field 3.
class StatFields {
 public:
  explicit StatFields(std::string text) : text_(std::move(text)) {}

  std::string_view Word(int field) const {
    std::string_view rest = text_;
    for (int skipped = 3; skipped < field; ++skipped) {
      const size_t space = rest.find(' ');
      rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
    }
    return rest.substr(0, rest.find(' '));
  }

  int64_t operator[](int field) const {
    const std::string_view word = Word(field);
    int64_t number = 0;
    std::from_chars(word.data(), word.data() + word.size(), number);
    return number;
  }
  uint64_t Unsigned(int field) const { return static_cast<uint64_t>(std::max<int64_t>(0, (*this)[field])); }

 private:
  std::string text_;
};

std::string UserName(std::string of_container, uint32_t uid) {
  if (!of_container.empty()) return of_container;
  const passwd* user = getpwuid(uid);
  return user != nullptr ? user->pw_name : std::to_string(uid);
}

std::string GroupName(std::string of_container, uint32_t gid) {
  if (!of_container.empty()) return of_container;
  const group* found = getgrgid(gid);
  return found != nullptr ? found->gr_name : std::to_string(gid);
}

}  // namespace

std::optional<GuestProcess> ParseGuestProcess(std::string_view json) {
  const auto parsed = ParseJson(json, kMaxRow);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  const Json& row = *parsed;
  const StatFields stat(Text(row, "stat"));
  GuestProcess process;
  process.pid = NumberOf(row, "pid");
  process.parent = NumberOf(row, "ppid");
  process.uid = NumberOf<uint32_t>(row, "uid");
  process.real_uid = NumberOf<uint32_t>(row, "ruid");
  process.gid = NumberOf<uint32_t>(row, "gid");
  process.real_gid = NumberOf<uint32_t>(row, "rgid");
  process.user = UserName(Text(row, "user"), process.uid);
  process.real_user = UserName(Text(row, "ruser"), process.real_uid);
  process.user_group = GroupName(Text(row, "group"), process.gid);
  process.real_user_group = GroupName(Text(row, "rgroup"), process.real_gid);
  process.terminal = Text(row, "tty");
  if (const std::string_view state = stat.Word(3); !state.empty()) process.state = state[0];
  process.group = stat[5];
  process.session = stat[6];
  process.foreground = stat[8];
  process.flags = stat.Unsigned(9);
  process.cpu_seconds = (stat.Unsigned(14) + stat.Unsigned(15)) / kTicksPerSecond;
  process.priority = std::clamp<int64_t>(stat[18], -1000, 1000);
  process.nice = stat[19];
  process.threads = stat[20];
  process.memory = stat.Unsigned(23);
  process.resident = stat.Unsigned(24) * kPageSize;
  process.processor = stat[39];
  process.realtime_priority = stat[40];
  process.policy = stat[41];
  process.now = NumberOf(row, "now");
  process.age = std::max<int64_t>(0, NumberOf(row, "up") - static_cast<int64_t>(stat.Unsigned(22) / kTicksPerSecond));
  process.started = process.now - process.age;
  process.guest_memory = NumberOf<uint64_t>(row, "memory");
  process.name = Text(row, "comm");
  process.command = Text(row, "cmd");
  return process;
}

}  // namespace kata::runtime
