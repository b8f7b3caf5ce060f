// SPDX-License-Identifier: Apache-2.0
// The directories ROOT/ID on the host, one for each sandbox: claim, open, remove.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

// ROOT, unless kata-runtime gets --root.
inline constexpr char kDefaultRoot[] = "/run/kata";

// Names in a sandbox's directory, beside state.json.
inline constexpr char kTaskSocket[] = "task.sock";
inline constexpr char kStandinSocket[] = "standin.sock";
inline constexpr char kConsoleSocket[] = "console.sock";
inline constexpr char kSandboxLog[] = "sandbox.log";

// Makes ROOT/ID, mode 0700, and ROOT when it is missing, and opens ROOT/ID. kInvalidArgument: a malformed id.
// kAlreadyExists: "container with given ID already exists".
Result<UniqueFd> ClaimDirectory(const std::string& root, const std::string& id);

// Opens ROOT/ID. kInvalidArgument: a malformed id. kNotFound: "container does not exist".
Result<UniqueFd> OpenDirectory(const std::string& root, const std::string& id);

// Removes ROOT/ID and what is below it. Never enters a mount point (kFailedPrecondition). Success when there is no
// ROOT/ID; kNotFound: there is no ROOT.
Result<> RemoveDirectory(const std::string& root, const std::string& id);

}  // namespace kata::sandbox
