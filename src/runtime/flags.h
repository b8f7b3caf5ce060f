// SPDX-License-Identifier: Apache-2.0
// Parses flags in the syntax of Go, which runc's callers use: one dash or two, a value after a space or "=", switches
// with an optional value (-t=false), no combined short flags, and "--" as the end of the flags. CLI11 is used only to
// declare the options and to convert their values.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace kata::runtime {

// Sets the app's options from words, and returns the words that are no flags. command_follows: the first of these ends
// the flags. The error says what is wrong and quotes the word.
tl::expected<std::vector<std::string>, std::string> ReadFlags(CLI::App& app, const std::vector<std::string>& words,
                                                              bool command_follows);

}  // namespace kata::runtime
