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
inline constexpr char kSharedFiles[] = "shared";

// Makes ROOT/ID, mode 0700, and ROOT when it is missing, and opens ROOT/ID. kInvalidArgument: a malformed id.
// kAlreadyExists: "container with given ID already exists".
Result<UniqueFd> ClaimDirectory(const std::string& root, const std::string& id);

// Opens ROOT/ID. kInvalidArgument: a malformed id. kNotFound: "container does not exist".
Result<UniqueFd> OpenDirectory(const std::string& root, const std::string& id);

// Gives the sandbox's sockets and log names in the directory of one more container of it, so that the sandbox is
// reached there whatever happens to the other directory. kNotFound: the other directory, or what is in it, has gone.
Result<> LinkSandbox(int from, int to);

// Removes ROOT/ID and what is below it. Never enters a mount point (kFailedPrecondition). Success when there is no
// ROOT/ID; kNotFound: there is no ROOT.
Result<> RemoveDirectory(const std::string& root, const std::string& id);

}  // namespace kata::sandbox
