// SPDX-License-Identifier: Apache-2.0
#include "setup/engines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "setup/engine_check.h"
#include "setup/json_text.h"
#include "setup/toml_text.h"

namespace kata::setup {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Wishes Installed(std::optional<EngineVersion> version = EngineVersion{1000, 0}) {
  return {.runtime = "/usr/bin/kata-runtime", .shim = "/usr/bin/containerd-shim-kata-v2", .version = version};
}

// A file for packagers, without the comments at its beginning.
std::string Packaged(const std::string& name) {
  std::string text = ReadFile(std::string(KATA_PACKAGING "/engines/") + name).value_or("");
  EXPECT_NE(text, "") << name;
  while (text.starts_with('#')) text.erase(0, text.find('\n') + 1);
  return text;
}

std::string Written(Engine engine, std::optional<EngineVersion> version = EngineVersion{1000, 0}) {
  const auto settings = SettingsOf(engine, Installed(version), nlohmann::json::object());
  EXPECT_TRUE(settings);
  return engine == Engine::kDocker ? *PutJson("", *settings) : TomlOf(*settings);
}

TEST(Engines, PackagersGetWhatSetupWrites) {
  EXPECT_EQ(Packaged("docker-daemon.json"), Written(Engine::kDocker));
  EXPECT_EQ(Packaged("podman-50-kata.conf"), Written(Engine::kPodman));
  EXPECT_EQ(Packaged("crio-50-kata.conf"), Written(Engine::kCrio));
  EXPECT_EQ(Packaged("containerd-version-2.toml"), Written(Engine::kContainerd, EngineVersion{1, 7}));
  EXPECT_EQ(Packaged("containerd-version-3.toml"), Written(Engine::kContainerd, EngineVersion{2, 1}));
}

TEST(Engines, VersionsAreFoundInWhatProgramsSay) {
  const std::pair<const char*, EngineVersion> cases[] = {
      {"Docker version 20.10.24+dfsg1, build 297e128", {20, 10}},
      {"podman version 4.3.1", {4, 3}},
      {"containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", {1, 6}},
      {"containerd github.com/containerd/containerd/v2 v2.1.9 ", {2, 1}},
      {"crio version 1.28.0", {1, 28}},
  };
  for (const auto& [line, version] : cases) EXPECT_EQ(VersionIn(line), version) << line;
  for (const char* const line : {"", "7", "a.b", "v2 1. .3"}) EXPECT_EQ(VersionIn(line), std::nullopt) << line;
}

TEST(Engines, DockerHasTheShimFrom23On) {
  for (const auto& [version, count] : {std::pair(std::optional(EngineVersion{20, 10}), 1U),
                                       {std::optional(EngineVersion{23, 0}), 2U},
                                       {std::optional<EngineVersion>(), 1U}}) {
    const auto settings = SettingsOf(Engine::kDocker, Installed(version), nlohmann::json::object());
    EXPECT_EQ(settings->size(), count);
    EXPECT_EQ(NotesOn(Engine::kDocker, Installed(version), nlohmann::json::object()).empty(), count == 2);
  }
}

TEST(Engines, ContainerdsNamesFollowTheVersionOfItsFile) {
  const auto name = [](const char* text) {
    const auto settings = SettingsOf(Engine::kContainerd, Installed(), *ParseToml(text));
    return settings ? settings->back().path[1] : settings.error().message();
  };
  EXPECT_EQ(name("version = 2\n"), "io.containerd.grpc.v1.cri");
  EXPECT_EQ(name("version = 3\n"), "io.containerd.cri.v1.runtime");
  EXPECT_THAT(name("root = \"/x\"\n"), HasSubstr("it is of version 1"));
  EXPECT_THAT(name("version = 9\n"), HasSubstr("it is of version 9"));
}

TEST(Engines, AConfigurationFileIsNamedWhereTheEngineCan) {
  Wishes wishes = Installed();
  wishes.config = "/etc/k.toml";
  const nlohmann::json none = nlohmann::json::object();
  EXPECT_THAT(TomlOf(*SettingsOf(Engine::kContainerd, wishes, none)),
              HasSubstr("options]\nConfigPath = \"/etc/k.toml\"\n"));
  EXPECT_THAT(TomlOf(*SettingsOf(Engine::kCrio, wishes, none)), HasSubstr("runtime_config_path = \"/etc/k.toml\"\n"));
  EXPECT_THAT(*PutJson("", *SettingsOf(Engine::kDocker, wishes, none)), HasSubstr("\"ConfigPath\": \"/etc/k.toml\""));
  EXPECT_FALSE(SettingsOf(Engine::kPodman, wishes, none));
}

TEST(Engines, FilesOfRootAndOfUsers) {
  EXPECT_EQ(DefaultFile(Engine::kPodman, true, "/h/.config", std::nullopt),
            "/etc/containers/containers.conf.d/50-kata.conf");
  EXPECT_EQ(DefaultFile(Engine::kPodman, false, "/h/.config", EngineVersion{4, 3}),
            "/h/.config/containers/containers.conf.d/50-kata.conf");
  EXPECT_EQ(DefaultFile(Engine::kPodman, true, "", EngineVersion{3, 2}), "/etc/containers/containers.conf");
}

TEST(Engines, NotesTellWhatTheFileDoesNotShow) {
  Wishes wishes = Installed();
  wishes.shim = "/opt/kata/bin/containerd-shim-kata-v2";
  const nlohmann::json docker = {{"disabled_plugins", {"cri"}}};
  EXPECT_THAT(NotesOn(Engine::kContainerd, wishes, docker), Contains(HasSubstr("ln -s /opt/kata/bin/")));
  EXPECT_THAT(NotesOn(Engine::kContainerd, wishes, docker), Contains(HasSubstr("disabled_plugins")));
  EXPECT_THAT(NotesOn(Engine::kContainerd, Installed(), nlohmann::json::object()), IsEmpty());
  EXPECT_THAT(NotesOn(Engine::kCrio, wishes, nlohmann::json::object()), IsEmpty());
}

TEST(EngineCheck, OldEnginesAreToldWithWhatTheyLack) {
  EXPECT_TRUE(CheckEngine(Engine::kDocker, "Docker version 28.5.2, build x").ok);
  const auto old = CheckEngine(Engine::kDocker, "Docker version 20.10.24+dfsg1, build 297e128");
  EXPECT_FALSE(old.ok || old.required);
  EXPECT_THAT(old.advice, HasSubstr("before 23"));
  EXPECT_THAT(CheckEngine(Engine::kContainerd, "containerd c 1.5.9").advice, HasSubstr("before 1.6"));
  EXPECT_THAT(CheckEngine(Engine::kContainerd, "containerd c 1.7.0").advice, HasSubstr("before 2.0"));
  EXPECT_TRUE(CheckEngine(Engine::kContainerd, "containerd c/v2 v2.1.9").ok);
  EXPECT_TRUE(CheckEngine(Engine::kCrio, "no version").ok);
}

}  // namespace
}  // namespace kata::setup
