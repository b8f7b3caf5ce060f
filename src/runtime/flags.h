// SPDX-License-Identifier: Apache-2.0
// Flags as runc's callers write them, which are Go's: one dash or two, a value after a space or "=", switches that may
// have a value (-t=false), no short flags in one word, and "--" where the flags end. CLI11 declares and converts them.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace kata::runtime {

// Sets the app's options by what stands in words, and returns the other words. command_follows: the first of those ends
// the flags. Error: what is wrong with which word, as it was written.
tl::expected<std::vector<std::string>, std::string> ReadFlags(CLI::App& app, const std::vector<std::string>& words,
                                                              bool command_follows);

}  // namespace kata::runtime
