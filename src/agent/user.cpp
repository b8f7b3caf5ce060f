// SPDX-License-Identifier: Apache-2.0
#include "agent/user.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/files.h"

namespace kata::agent {

namespace {

constexpr size_t kMaxFile = 1U << 20U;
constexpr int kMaxNames = 1024;

std::optional<uint32_t> ParseId(std::string_view text) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  // UINT32_MAX, which is (uid_t)-1, means "unchanged" to setresuid(2).
  if (error != std::errc() || end != text.data() + text.size() || id == UINT32_MAX) return std::nullopt;
  return id;
}

Result<std::string> ReadDatabase(int rootfs, std::string_view path) {
  // O_NONBLOCK: opening a FIFO of the image must not block the agent.
  const auto fd = TRY(OpenInRoot(rootfs, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) return FailErrno("cannot look at {}", path);
  if (!S_ISREG(status.st_mode)) return Fail(Code::kInvalidArgument, "{} is no regular file", path);
  return ReadAll(fd.get(), kMaxFile);
}

// The ids in the third and fourth field of a line; a line of a group file has no group.
struct Line {
  uint32_t id = 0;
  std::optional<uint32_t> group;
};

// Removes the next line from *database and returns its first four fields.
std::array<std::string_view, 4> TakeLine(std::string_view* database) {
  std::string_view line = database->substr(0, database->find('\n'));
  database->remove_prefix(std::min(line.size() + 1, database->size()));
  std::array<std::string_view, 4> fields;
  for (std::string_view& field : fields) {
    field = line.substr(0, line.find(':'));
    line.remove_prefix(std::min(field.size() + 1, line.size()));
  }
  return fields;
}

// If several entries have the same number, the first one counts.
std::map<uint32_t, std::string> NamesByNumber(int rootfs, std::string_view path) {
  std::map<uint32_t, std::string> names;
  const auto text = ReadDatabase(rootfs, path);
  std::string_view database = text ? std::string_view(*text) : std::string_view();
  while (!database.empty()) {
    const auto fields = TakeLine(&database);
    if (const auto id = ParseId(fields[2])) names.emplace(*id, fields[0]);
  }
  return names;
}

std::string NameOf(const std::map<uint32_t, std::string>& names, uint32_t number) {
  const auto found = names.find(number);
  return found != names.end() ? found->second : "";
}

std::optional<Line> FindName(std::string_view database, std::string_view name) {
  while (!database.empty()) {
    const auto fields = TakeLine(&database);
    if (fields[0] != name) continue;
    const auto id = ParseId(fields[2]);
    if (!id) continue;
    return Line{*id, ParseId(fields[3])};
  }
  return std::nullopt;
}

Result<uint32_t> ResolveGroup(int rootfs, const std::string& name) {
  if (const auto id = ParseId(name)) return *id;
  const auto groups = TRY(Context(ReadDatabase(rootfs, "etc/group"), "group {}", name));
  if (const auto line = FindName(groups, name)) return line->id;
  return Fail(Code::kNotFound, "the container has no group {}", name);
}

}  // namespace

UserNames::UserNames(int rootfs)
    : users_(NamesByNumber(rootfs, "etc/passwd")), groups_(NamesByNumber(rootfs, "etc/group")) {}

std::string UserNames::User(uint32_t uid) const { return NameOf(users_, uid); }
std::string UserNames::Group(uint32_t gid) const { return NameOf(groups_, gid); }

Result<> ResolveUser(int rootfs, const grpc::StringUser& names, grpc::User& user) {
  if (names.additionalgids_size() > kMaxNames) return Fail(Code::kInvalidArgument, "too many additional groups");
  if (!names.uid().empty()) {
    if (const auto id = ParseId(names.uid())) {
      user.set_uid(*id);
    } else {
      const auto users = TRY(Context(ReadDatabase(rootfs, "etc/passwd"), "user {}", names.uid()));
      const auto line = FindName(users, names.uid());
      if (!line) return Fail(Code::kNotFound, "the container has no user {}", names.uid());
      user.set_uid(line->id);
      if (line->group) user.set_gid(*line->group);
    }
  }
  if (!names.gid().empty()) user.set_gid(TRY(ResolveGroup(rootfs, names.gid())));
  for (const std::string& group : names.additionalgids()) {
    user.add_additionalgids(TRY(ResolveGroup(rootfs, group)));
  }
  return {};
}

}  // namespace kata::agent
