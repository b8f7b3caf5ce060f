// SPDX-License-Identifier: Apache-2.0
// An engine's configuration file on the disk: read with what must stay, replaced in one step, backed up beside it.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace kata::setup {

// A file as it was found.
struct ConfigFile {
  std::string path;
  bool exists = false;
  std::string text;    // "" where it does not exist
  struct stat status;  // valid if it exists
};

// Where the former text is kept, and for a file that could not tell it itself, what was made with it.
std::string BackupOf(const std::string& path);
std::string MadeListOf(const std::string& path);

// Reads the file at an absolute path; one that is not there is no error. kFailedPrecondition: it may not be replaced,
// with the reason and what to do: a symbolic link, a hard link, no regular file, read-only. kOutOfRange: over 1 MiB.
Result<ConfigFile> ReadConfig(const std::string& path);

// Replaces the file, or makes it (mode 0644): rename(2) after fsync(2), with the owner, the mode and the extended
// attributes of what was found. kAborted: it is not as it was found any more.
Result<> ReplaceConfig(const ConfigFile& found, const std::string& text);

// Makes the backup of what was found, with its owner and mode, unless it is there already with the same text.
// kAlreadyExists: it has another one.
Result<> BackUp(const ConfigFile& found);

// The directories above the path that are missing, the uppermost first.
std::vector<std::string> MissingDirectories(const std::string& path);

// Makes these directories (mode 0755).
Result<> MakeDirectories(const std::vector<std::string>& directories);

// Removes the file, and then those of the directories which hold it and nothing else.
Result<> RemoveConfig(const std::string& path, const std::vector<std::string>& directories);

}  // namespace kata::setup
