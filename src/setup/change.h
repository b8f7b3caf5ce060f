// SPDX-License-Identifier: Apache-2.0
// The change of an engine's configuration file: planned, so that it can be shown, then made; and taken back.
#pragma once

#include <string>
#include <vector>

#include "setup/config_file.h"
#include "setup/engines.h"

namespace kata::setup {

struct Plan {
  ConfigFile file;                // as it was found
  std::string text;               // what it is to be
  std::string own;                // without what is put in: what the backup has
  bool removes = false;           // it goes, since it was made and nothing else is in it
  std::vector<std::string> made;  // the file and the directories that were not there before
  std::vector<std::string> notes;

  bool ChangesNothing() const { return !removes && text == file.text; }
};

// What Apply would do to the file at an absolute path. may_make_directories: those above the file, if they are missing.
// Changes nothing. An error is one line that says what is in the way.
Result<Plan> PlanToApply(Engine engine, const Wishes& wishes, const std::string& path, bool may_make_directories);
// Makes it: directories, backup, file. An error leaves everything as it was.
Result<> Apply(Engine engine, const Plan& plan);

// What Undo would do; the plan changes nothing if nothing was put in. Of wishes only the programs count.
Result<Plan> PlanToUndo(Engine engine, const Wishes& wishes, const std::string& path);
// Returns whether the backup has been kept, because it is not what the file is now.
Result<bool> Undo(const Plan& plan);

}  // namespace kata::setup
