// SPDX-License-Identifier: Apache-2.0
// Watches files and directories with inotify, and prints a line for each event, until its standard input ends:
//
//   files-watcher [--read FILE] PATH...
//
// The first line is "ready PID". An event's line is "PATH: EVENT NAME", and " #N" behind the halves of the Nth move.
// With --read each event of a move or of a file that was closed is followed by what is in FILE then, and "ready" by
// what was in it at the start.
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "suite.h"

namespace kata::files {
namespace {

constexpr uint32_t kQuiet = IN_ACCESS | IN_OPEN | IN_CLOSE_NOWRITE;

std::string EventName(uint32_t mask) {
  const struct {
    uint32_t bit;
    const char* name;
  } bits[] = {{IN_MODIFY, "modify"},         {IN_ATTRIB, "attrib"},       {IN_CLOSE_WRITE, "close-write"},
              {IN_MOVED_FROM, "moved-from"}, {IN_MOVED_TO, "moved-to"},   {IN_CREATE, "create"},
              {IN_DELETE, "delete"},         {IN_MOVE_SELF, "move-self"}, {IN_DELETE_SELF, "delete-self"},
              {IN_IGNORED, "ignored"},       {IN_UNMOUNT, "unmount"},     {IN_Q_OVERFLOW, "overflow"},
              {IN_ISDIR, "directory"}};
  std::string text;
  for (const auto& [bit, name] : bits) {
    if ((mask & bit) != 0) text += (text.empty() ? "" : "+") + std::string(name);
  }
  return text;
}

class Watcher {
 public:
  explicit Watcher(std::string read) : read_(std::move(read)) {}

  bool Add(const std::string& path) {
    const int watch = inotify_add_watch(fd_.get(), path.c_str(), IN_ALL_EVENTS & ~kQuiet);
    if (watch < 0) return false;
    paths_[watch] = path;
    return true;
  }
  void ShowContents() const {
    if (!read_.empty()) printf("%s\n", Contents(read_).c_str());
  }
  void Run() {
    for (;;) {
      pollfd waits[2] = {{STDIN_FILENO, POLLIN, 0}, {fd_.get(), POLLIN, 0}};
      if (poll(waits, 2, -1) < 0) return;
      if ((waits[1].revents & POLLIN) != 0) ReadEvents();
      char byte = 0;
      if (waits[0].revents != 0 && read(STDIN_FILENO, &byte, 1) <= 0) return;
    }
  }

 private:
  void ReadEvents() {
    alignas(inotify_event) char buffer[16384];
    const ssize_t size = read(fd_.get(), buffer, sizeof buffer);
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      Show(*event);
      at += static_cast<ssize_t>(sizeof *event) + event->len;
    }
  }
  void Show(const inotify_event& event) {
    std::string line = paths_[event.wd] + ": " + EventName(event.mask);
    if (event.len > 0) line += " " + std::string(event.name);
    if (event.cookie != 0)
      line += " #" + std::to_string(moves_.try_emplace(event.cookie, moves_.size() + 1).first->second);
    printf("%s\n", line.c_str());
    if ((event.mask & (IN_MOVED_TO | IN_CLOSE_WRITE)) != 0) ShowContents();
  }

  const std::string read_;
  UniqueFd fd_{inotify_init1(IN_CLOEXEC)};
  std::map<int, std::string> paths_ = {{-1, "all"}};
  std::map<uint32_t, size_t> moves_;
};

int Main(std::vector<std::string> words) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  std::string read;
  if (words.size() >= 2 && words[0] == "--read") {
    read = words[1];
    words.erase(words.begin(), words.begin() + 2);
  }
  Watcher watcher(read);
  for (const std::string& path : words) {
    if (watcher.Add(path)) continue;
    perror(path.c_str());
    return 1;
  }
  printf("ready %d\n", getpid());
  watcher.ShowContents();
  watcher.Run();
  return 0;
}

}  // namespace
}  // namespace kata::files

int main(int argc, char** argv) { return kata::files::Main({argv + 1, argv + argc}); }
