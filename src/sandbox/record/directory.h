// SPDX-License-Identifier: Apache-2.0
// The directories ROOT/ID on the host, one for each sandbox: claiming a new id, finding one, taking one away.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace kata::sandbox {

// ROOT, unless kata-runtime is told another.
inline constexpr char kDefaultRoot[] = "/run/kata";

// What is in a sandbox's directory beside its state.
inline constexpr char kTaskSocket[] = "task.sock";
inline constexpr char kStandinSocket[] = "standin.sock";
inline constexpr char kConsoleSocket[] = "console.sock";
inline constexpr char kSandboxLog[] = "sandbox.log";

// Makes ROOT/ID, mode 0700, and ROOT when it is missing. kInvalidArgument: a wrong id; kAlreadyExists: "container with
// given ID already exists".
Result<UniqueFd> ClaimDirectory(const std::string& root, const std::string& id);

// Opens ROOT/ID. kNotFound: "container does not exist".
Result<UniqueFd> OpenDirectory(const std::string& root, const std::string& id);

// Removes ROOT/ID, never through a mount point.
Result<> RemoveDirectory(const std::string& root, const std::string& id);

}  // namespace kata::sandbox
