// SPDX-License-Identifier: Apache-2.0
// Changes of a TOML file as text: what is put in stands between two marker lines, and everything else stays byte for
// byte, comments included.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "setup/setting.h"

namespace kata::setup {

// The document as JSON, for comparisons: a date or a time is only the word "date". kInvalidArgument, with the line: it
// does not parse.
Result<nlohmann::json> ParseToml(std::string_view text);

// The settings as TOML, without marker lines: what a file that has nothing else would say.
std::string TomlOf(const std::vector<Setting>& settings);

// The text with the settings, none of which it has (Missing). made: paths for TakeToml to return. kFailedPrecondition:
// the file's form allows no such change, as with tables that are written in one line.
Result<std::string> PutToml(const std::string& text, const std::vector<Setting>& settings,
                            const std::vector<std::string>& made);

struct TakenToml {
  std::string text;               // as it would be if nothing had ever been put in
  bool found = false;             // whether something was
  std::vector<std::string> made;  // as PutToml got it
};
// The text without what PutToml has put in, whatever has been changed around it. kInvalidArgument: a marker line lacks
// its other.
Result<TakenToml> TakeToml(std::string_view text);

}  // namespace kata::setup
