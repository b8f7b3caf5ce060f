// SPDX-License-Identifier: Apache-2.0
#include "agent/storage/storage_options.h"

#include <sys/mount.h>

#include <array>

namespace kata::agent {

namespace {

struct Word {
  std::string_view name;
  unsigned long set;
  unsigned long clear;
};

// mount(8), "filesystem-independent mount options".
constexpr std::array kWords{
    Word{"defaults", 0, 0},
    Word{"ro", MS_RDONLY, 0},
    Word{"rw", 0, MS_RDONLY},
    Word{"nosuid", MS_NOSUID, 0},
    Word{"suid", 0, MS_NOSUID},
    Word{"nodev", MS_NODEV, 0},
    Word{"dev", 0, MS_NODEV},
    Word{"noexec", MS_NOEXEC, 0},
    Word{"exec", 0, MS_NOEXEC},
    Word{"sync", MS_SYNCHRONOUS, 0},
    Word{"async", 0, MS_SYNCHRONOUS},
    Word{"dirsync", MS_DIRSYNC, 0},
    Word{"mand", MS_MANDLOCK, 0},
    Word{"nomand", 0, MS_MANDLOCK},
    Word{"noatime", MS_NOATIME, 0},
    Word{"atime", 0, MS_NOATIME},
    Word{"nodiratime", MS_NODIRATIME, 0},
    Word{"diratime", 0, MS_NODIRATIME},
    Word{"relatime", MS_RELATIME, 0},
    Word{"norelatime", 0, MS_RELATIME},
    Word{"strictatime", MS_STRICTATIME, 0},
    Word{"nostrictatime", 0, MS_STRICTATIME},
    Word{"bind", MS_BIND, 0},
    Word{"rbind", MS_BIND | MS_REC, 0},
};

constexpr std::array kPropagations{
    Word{"private", MS_PRIVATE, 0},       Word{"rprivate", MS_PRIVATE | MS_REC, 0},
    Word{"shared", MS_SHARED, 0},         Word{"rshared", MS_SHARED | MS_REC, 0},
    Word{"slave", MS_SLAVE, 0},           Word{"rslave", MS_SLAVE | MS_REC, 0},
    Word{"unbindable", MS_UNBINDABLE, 0}, Word{"runbindable", MS_UNBINDABLE | MS_REC, 0},
};

template <size_t N>
const Word* Find(const std::array<Word, N>& words, std::string_view name) {
  for (const Word& word : words) {
    if (word.name == name) return &word;
  }
  return nullptr;
}

}  // namespace

StorageOptions ParseStorageOptions(const std::vector<std::string>& options) {
  StorageOptions parsed;
  for (const std::string& option : options) {
    if (const Word* word = Find(kWords, option)) {
      parsed.flags = (parsed.flags & ~word->clear) | word->set;
    } else if (const Word* propagation = Find(kPropagations, option)) {
      parsed.propagation = propagation->set;
    } else if (!option.empty()) {
      if (!parsed.data.empty()) parsed.data += ',';
      parsed.data += option;
    }
  }
  return parsed;
}

}  // namespace kata::agent
