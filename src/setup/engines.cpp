// SPDX-License-Identifier: Apache-2.0
#include "setup/engines.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace kata::setup {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kType = "io.containerd.kata.v2";
constexpr EngineVersion kDockerWithTypes{23, 0};
constexpr EngineVersion kPodmanWithDropIns{3, 3};

struct Facts {
  Engine engine;
  std::string_view name;
  std::string_view program;
  std::string_view reload;
  std::string_view use;
};
constexpr std::array kFacts = {
    Facts{Engine::kDocker, "docker", "dockerd", "systemctl reload docker", "docker run --runtime kata ..."},
    Facts{Engine::kPodman, "podman", "podman", "nothing, Podman reads its files at every start",
          "podman --runtime kata run ..."},
    Facts{Engine::kContainerd, "containerd", "containerd", "systemctl restart containerd",
          "a RuntimeClass of Kubernetes with the handler kata, or crictl runp --runtime kata ..."},
    Facts{Engine::kCrio, "crio", "crio", "systemctl restart crio",
          "a RuntimeClass of Kubernetes with the handler kata, or kata-oci for a VM for each container"},
};

const Facts& FactsOf(Engine engine) { return kFacts[static_cast<size_t>(engine)]; }

bool HasTypes(const Wishes& wishes) { return wishes.version && *wishes.version >= kDockerWithTypes; }

std::vector<Setting> OfDocker(const Wishes& wishes) {
  Json by_path = {{"path", wishes.runtime}};
  Json by_type = {{"runtimeType", kType}};
  if (!wishes.config.empty()) {
    by_path["runtimeArgs"] = {"--config", wishes.config};
    by_type["options"] = {{"ConfigPath", wishes.config}};
  }
  std::vector<Setting> settings = {{{"runtimes", "kata"}, by_path}};
  if (HasTypes(wishes)) settings.push_back({{"runtimes", "kata-v2"}, by_type});
  if (wishes.make_default) settings.push_back({{"default-runtime"}, "kata", /*replaces=*/true});
  return settings;
}

std::vector<Setting> OfPodman(const Wishes& wishes) {
  std::vector<Setting> settings;
  if (wishes.make_default) settings.push_back({{"engine", "runtime"}, "kata", /*replaces=*/true});
  settings.push_back({{"engine", "runtimes", "kata"}, Json::array({wishes.runtime})});
  return settings;
}

// The version of a containerd's file: 1 if it names none.
int64_t FileVersion(const nlohmann::json& document) {
  const nlohmann::json* version = Find(document, {"version"});
  return version != nullptr && version->is_number_integer() ? version->get<int64_t>() : 1;
}

Result<std::vector<Setting>> OfContainerd(const Wishes& wishes, const nlohmann::json& document) {
  std::vector<Setting> settings;
  int64_t version = FileVersion(document);
  if (document.empty()) {  // a new file, which each version reads that is not older than its own
    version = wishes.version && wishes.version->major >= 2 ? 3 : 2;
    settings.push_back({{"version"}, version});
  }
  if (version < 2 || version > 4) {
    return Fail(Code::kFailedPrecondition,
                "it is of version {}, and those that are known are 2 to 4: make one of these of it, for example by "
                "\"containerd config migrate\"",
                version);
  }
  const std::vector<std::string> cri = {
      "plugins", version == 2 ? "io.containerd.grpc.v1.cri" : "io.containerd.cri.v1.runtime", "containerd"};
  const auto at = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> path = cri;
    path.insert(path.end(), more);
    return path;
  };
  if (wishes.make_default) settings.push_back({at({"default_runtime_name"}), "kata", /*replaces=*/true});
  Json handler = {{"runtime_type", kType},
                  {"privileged_without_host_devices", true},
                  {"pod_annotations", Json::array({"io.katacontainers.*"})}};
  if (!wishes.config.empty()) handler["options"] = {{"ConfigPath", wishes.config}};
  settings.push_back({at({"runtimes", "kata"}), handler});
  return settings;
}

std::vector<Setting> OfCrio(const Wishes& wishes) {
  Json pod = {{"runtime_path", wishes.shim},
              {"runtime_type", "vm"},
              {"runtime_root", "/run/kata-containers"},
              {"privileged_without_host_devices", true}};
  if (!wishes.config.empty()) pod["runtime_config_path"] = wishes.config;
  const Json container = {{"runtime_path", wishes.runtime}, {"runtime_type", "oci"}, {"runtime_root", "/run/kata"}};
  std::vector<Setting> settings;
  if (wishes.make_default) settings.push_back({{"crio", "runtime", "default_runtime"}, "kata", /*replaces=*/true});
  settings.push_back({{"crio", "runtime", "runtimes", "kata"}, pod});
  settings.push_back({{"crio", "runtime", "runtimes", "kata-oci"}, container});
  return settings;
}

// Whether a service finds the program by its name alone.
bool IsInUsualPath(const std::string& program) {
  const std::string directory = program.substr(0, program.rfind('/'));
  constexpr std::array kUsual = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};
  return std::find(kUsual.begin(), kUsual.end(), directory) != kUsual.end();
}

}  // namespace

std::string_view NameOf(Engine engine) { return FactsOf(engine).name; }
std::string_view ProgramOf(Engine engine) { return FactsOf(engine).program; }
std::string_view ReloadOf(Engine engine) { return FactsOf(engine).reload; }
std::string_view UseOf(Engine engine) { return FactsOf(engine).use; }

std::optional<Engine> EngineOf(std::string_view name) {
  for (const Facts& facts : kFacts) {
    if (facts.name == name) return facts.engine;
  }
  return std::nullopt;
}

std::optional<EngineVersion> VersionIn(std::string_view line) {
  const char* const end = line.data() + line.size();
  for (const char* at = line.data(); at != end;) {
    EngineVersion version;
    const auto major = std::from_chars(at, end, version.major);
    if (major.ec != std::errc()) {
      ++at;
    } else if (major.ptr != end && *major.ptr == '.' &&
               std::from_chars(major.ptr + 1, end, version.minor).ec == std::errc()) {
      return version;
    } else {
      at = major.ptr;
    }
  }
  return std::nullopt;
}

std::string DefaultFile(Engine engine, bool root, const std::string& configuration_home,
                        const std::optional<EngineVersion>& version) {
  switch (engine) {
    case Engine::kDocker:
      return "/etc/docker/daemon.json";
    case Engine::kContainerd:
      return "/etc/containerd/config.toml";
    case Engine::kCrio:
      return "/etc/crio/crio.conf.d/50-kata.conf";
    case Engine::kPodman:
      break;
  }
  const std::string own = (root ? "/etc" : configuration_home) + "/containers/containers.conf";
  return version && *version < kPodmanWithDropIns ? own : own + ".d/50-kata.conf";
}

Result<std::vector<Setting>> SettingsOf(Engine engine, const Wishes& wishes, const nlohmann::json& document) {
  switch (engine) {
    case Engine::kDocker:
      return OfDocker(wishes);
    case Engine::kContainerd:
      return OfContainerd(wishes, document);
    case Engine::kCrio:
      return OfCrio(wishes);
    case Engine::kPodman:
      break;
  }
  if (wishes.config.empty()) return OfPodman(wishes);
  return Fail(Code::kFailedPrecondition,
              "Podman's configuration cannot name a configuration file of kata-runtime: use one of the usual places");
}

std::vector<std::string> NotesOn(Engine engine, const Wishes& wishes, const nlohmann::json& document) {
  std::vector<std::string> notes;
  if (engine == Engine::kDocker && !HasTypes(wishes)) {
    notes.push_back(wishes.version ? "kata-v2, the runtime by containerd's shim, is left out: it needs Docker 23"
                                   : "kata-v2, the runtime by containerd's shim, is left out: dockerd is not found, "
                                     "and whether it is 23 or newer is not known");
  }
  if (engine == Engine::kCrio && !wishes.config.empty()) {
    notes.push_back(fmt::format("kata-oci does not read {}: CRI-O passes no arguments to it", wishes.config));
  }
  const bool by_name = engine == Engine::kContainerd || (engine == Engine::kDocker && HasTypes(wishes));
  if (by_name && !IsInUsualPath(wishes.shim)) {
    notes.push_back(fmt::format("containerd looks for the shim in its PATH: ln -s {} /usr/local/bin/", wishes.shim));
  }
  const nlohmann::json* disabled = Find(document, {"disabled_plugins"});
  if (engine == Engine::kContainerd && disabled != nullptr && disabled->is_array()) {
    for (const nlohmann::json& plugin : *disabled) {
      if (plugin != "cri" && plugin != "io.containerd.grpc.v1.cri" && plugin != "io.containerd.cri.v1.runtime")
        continue;
      notes.emplace_back("disabled_plugins of this file has the CRI, without which Kubernetes cannot use containerd");
    }
  }
  return notes;
}

}  // namespace kata::setup
