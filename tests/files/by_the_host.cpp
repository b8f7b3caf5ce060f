// SPDX-License-Identifier: Apache-2.0
// A volume that the host changes while the container has it: config maps and secrets, a developer's sources.
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "areas.h"

namespace kata::files {
namespace {

// One more is heard by inotify. The driver, ByTheHost in test_files.py, has as many (ROUNDS).
constexpr int kRounds = 5;

// Whether the driver has made its changes.
bool Ask() {
  char byte = 0;
  return write(STDOUT_FILENO, "ready\n", 6) == 6 && read(STDIN_FILENO, &byte, 1) == 1;
}

// The names of which there were events, within two seconds.
std::map<std::string, bool> Heard(int fd, size_t expected, const std::map<int, std::string>& watches) {
  std::map<std::string, bool> names;
  timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    pollfd wait = {fd, POLLIN, 0};
    alignas(inotify_event) char buffer[8192];
    const ssize_t size = poll(&wait, 1, 200) == 1 ? read(fd, buffer, sizeof buffer) : 0;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      names[event->len > 0 ? event->name : watches.at(event->wd)] = true;
      at += static_cast<ssize_t>(sizeof *event) + event->len;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (names.size() < expected && now.tv_sec - start.tv_sec < 2);
  return names;
}

}  // namespace

// Each round the host writes its number into "content" (in place) and "config/current/key" (by a symlink that it
// replaces), makes "made-N", removes "removed-N", and gives "mode" another mode. What is seen must be the new state in
// every round; a cache that is old for a second shows in one of them at least.
void ByTheHost(const Place&) {
  const UniqueFd held(open("content", O_RDONLY));
  std::map<std::string, bool> seen;
  for (const char* fact : {"content", "content-of-open-file", "size", "replaced-symlink", "made", "removed", "mode"})
    seen[fact] = true;
  for (int round = 1; round <= kRounds; ++round) {
    const std::string number = std::string(round, 'n'), made = "made-" + number, removed = "removed-" + number;
    // Into every cache that there is.
    Contents("content"), Contents("config/current/key"), ContentsAt(held.get(), 0);
    Look(made), Look(removed), Look("mode");
    if (!Ask()) {
      Fact("driver", "gone");
      return;
    }
    seen["content-of-open-file"] &= ContentsAt(held.get(), 0) == number;
    seen["size"] &= Status("content").st_size == round;
    seen["content"] &= Contents("content") == number;
    seen["replaced-symlink"] &= Contents("config/current/key") == number;
    seen["made"] &= Look(made) != "ENOENT";
    seen["removed"] &= Look(removed) == "ENOENT";
    seen["mode"] &= (Status("mode").st_mode & 0777) == 0600U + round;
  }
  for (const auto& [fact, good] : seen) Fact("seen-" + fact, good ? "at once" : "old for a while");

  const UniqueFd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  std::map<int, std::string> watches;
  for (const char* name : {"content", "config", "."})
    watches[inotify_add_watch(fd.get(), name, IN_ALL_EVENTS & ~(IN_ACCESS | IN_OPEN | IN_CLOSE_NOWRITE))] = name;
  if (!Ask()) return;
  const std::string number(kRounds + 1, 'n');
  const std::vector<std::string> expected = {"content", "current", "made-" + number, "removed-" + number, "mode"};
  std::map<std::string, bool> heard = Heard(fd.get(), expected.size(), watches);
  const char* const facts[] = {"content", "replaced-symlink", "made", "removed", "mode"};
  for (size_t i = 0; i < expected.size(); ++i)
    Fact(std::string("inotify-") + facts[i], heard[expected[i]] ? "heard" : "not heard");
}

}  // namespace kata::files
