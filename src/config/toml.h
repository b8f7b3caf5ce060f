// SPDX-License-Identifier: Apache-2.0
// The TOML parser, toml++, with the settings that every source must give it alike.
#pragma once

#define TOML_EXCEPTIONS 0
// toml++'s assertions abort on some damaged files; without assertions it reports these files as errors.
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>
