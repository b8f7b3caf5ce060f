// SPDX-License-Identifier: Apache-2.0
// Names and paths that are too long, depth, many open files.
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "areas.h"

namespace kata::files {

void Limits(const Place&) {
  const std::string longest(NAME_MAX, 'n'), longer(NAME_MAX + 1, 'n');
  Opened("longest-name-creat", open(longest.c_str(), O_RDWR | O_CREAT, 0666));
  Fact("longest-name-look", Look(longest));
  Opened("longer-name-creat", open(longer.c_str(), O_RDWR | O_CREAT, 0666));
  Opened("longer-name-open", open(longer.c_str(), O_RDONLY));
  Fact("longer-name-stat", Look(longer));
  Call("longer-name-unlink", unlink(longer.c_str()));
  Call("longer-name-mkdir", mkdir(longer.c_str(), 0777));
  Call("longer-name-rename", rename(longest.c_str(), longer.c_str()));
  Call("longer-name-link", link(longest.c_str(), longer.c_str()));
  Call("longer-name-symlink", symlink("x", longer.c_str()));
  Call("longest-name-rename", rename(longest.c_str(), std::string(NAME_MAX, 'm').c_str()));
  std::string bytes;
  for (int i = 0; i < 127; ++i) bytes += "\xc3\xa9";
  Make(bytes, "utf-8");
  Fact("longest-name-utf-8", Contents(bytes));
  Call("pathconf-name", pathconf(".", _PC_NAME_MAX));
  Call("pathconf-links", pathconf(".", _PC_LINK_MAX) > 1 ? 1 : 0);

  std::string path = ".";
  while (path.size() + 2 < PATH_MAX) path += "/.";
  path.resize(PATH_MAX - 1, '.');
  Fact("longest-path", Look(path + ""));
  Fact("longer-path", Look(path + "/."));
  // A tree that is deeper than a path can say, made and removed step by step.
  const std::string step(250, 'd');
  int depth = 0;
  InChild([&] {
    while (depth < 20 && mkdir(step.c_str(), 0777) == 0 && chdir(step.c_str()) == 0) ++depth;
    Fact("deep", std::to_string(depth));
    Make("bottom", "bottom");
    Fact("deep-content", Contents("bottom"));
    char buffer[PATH_MAX];
    Done("deep-getcwd", getcwd(buffer, sizeof buffer) != nullptr);
    Ignore(unlink("bottom"));
    int removed = 0;
    while (chdir("..") == 0 && rmdir(step.c_str()) == 0) ++removed;
    Fact("deep-removed", std::to_string(removed));
    return 0;
  });

  // All at once, and each with something of its own.
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit enough = {512, 512 < limit.rlim_max ? limit.rlim_max : 512};
  setrlimit(RLIMIT_NOFILE, &enough);
  MakeDir("open");
  std::vector<UniqueFd> files;
  for (int i = 0; i < 300; ++i) {
    UniqueFd fd(open(("open/" + std::to_string(i)).c_str(), O_RDWR | O_CREAT, 0666));
    Ignore(Write(fd.get(), std::to_string(i)));
    if (fd) files.push_back(std::move(fd));
  }
  Fact("open-at-once", std::to_string(files.size()));
  int right = 0;
  for (size_t i = 0; i < files.size(); ++i) right += ContentsAt(files[i].get(), 0) == std::to_string(i) ? 1 : 0;
  Fact("open-at-once-content", std::to_string(right));
  for (int i = 0; i < 300; ++i) Ignore(unlink(("open/" + std::to_string(i)).c_str()));
  right = 0;
  for (size_t i = 0; i < files.size(); ++i) right += ContentsAt(files[i].get(), 0) == std::to_string(i) ? 1 : 0;
  Fact("open-at-once-unlinked-content", std::to_string(right));
  Call("open-at-once-rmdir", rmdir("open"));
}

}  // namespace kata::files
