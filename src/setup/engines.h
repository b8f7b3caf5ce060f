// SPDX-License-Identifier: Apache-2.0
// The engines that start containers with this runtime: their programs and files, and what those must say for it.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "setup/setting.h"

namespace kata::setup {

enum class Engine { kDocker, kPodman, kContainerd, kCrio };

inline constexpr Engine kEngines[] = {Engine::kDocker, Engine::kPodman, Engine::kContainerd, Engine::kCrio};

// Its name on the command line: docker, podman, containerd, crio.
std::string_view NameOf(Engine engine);
std::optional<Engine> EngineOf(std::string_view name);
// The program that reads the file: dockerd, podman, containerd, crio.
std::string_view ProgramOf(Engine engine);

struct EngineVersion {
  int major = 0;
  int minor = 0;
  auto operator<=>(const EngineVersion&) const = default;
};
// The first number with a dot in what the program says of its version; nullopt: there is none.
std::optional<EngineVersion> VersionIn(std::string_view line);

// What the settings of an engine depend on.
struct Wishes {
  std::string runtime;                   // the path of kata-runtime
  std::string shim;                      // the path of containerd-shim-kata-v2
  std::string config;                    // the configuration file that sandboxes are to use; "": the usual places
  bool make_default = false;             // the engine uses this runtime when none is named
  std::optional<EngineVersion> version;  // of the engine, if it is known
};

// Where the engine's own configuration is, or a drop-in where it reads those: that of the host for root, of Podman
// without root the user's. configuration_home: $XDG_CONFIG_HOME or $HOME/.config.
std::string DefaultFile(Engine engine, bool root, const std::string& configuration_home,
                        const std::optional<EngineVersion>& version);

// What a file that says this must say. kFailedPrecondition: the engine, or this file, cannot say it.
Result<std::vector<Setting>> SettingsOf(Engine engine, const Wishes& wishes, const nlohmann::json& document);

// What a person should know of these settings beside that they were made, one line each.
std::vector<std::string> NotesOn(Engine engine, const Wishes& wishes, const nlohmann::json& document);

// The command after which the engine has read its file, or what to do in its place.
std::string_view ReloadOf(Engine engine);
// How a container is started then.
std::string_view UseOf(Engine engine);

}  // namespace kata::setup
