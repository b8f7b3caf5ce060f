// SPDX-License-Identifier: Apache-2.0
// Changes of a JSON file as text: members are put in and taken out, and everything else stays byte for byte.
#pragma once

#include <string>

#include "setup/setting.h"

namespace kata::setup {

// The document. A text without anything in it is an empty object, as for Docker. kInvalidArgument: it is no JSON
// object.
Result<nlohmann::json> ParseJsonObject(const std::string& text);

// The text with the settings, none of which it has (Missing). kFailedPrecondition: a name that stands twice in an
// object makes the change unsafe.
Result<std::string> PutJson(const std::string& text, const std::vector<Setting>& settings);

// The text without those of the settings that the text before the change did not have, and with the values which that
// had in their places; byte for byte that text where nothing else has been changed since. Since JSON has no comments,
// nothing in the file tells what was put in. kFailedPrecondition: a setting has been changed since, apart from the
// directory of its program.
Result<std::string> TakeJson(const std::string& text, const std::string& before, const std::vector<Setting>& settings);

}  // namespace kata::setup
