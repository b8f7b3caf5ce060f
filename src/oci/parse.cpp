// SPDX-License-Identifier: Apache-2.0
#include "oci/parse.h"

#include <nlohmann/json.hpp>

#include "oci/json_reader.h"
#include "oci/sections.h"

namespace kata::oci {
namespace {

void ReadMount(const JsonObject& json, grpc::Mount& mount) {
  mount.set_destination(json.String("destination", Need::kRequired));
  mount.set_source(json.String("source"));
  mount.set_type(json.String("type"));
  json.EachString("options", [&](std::string option) { mount.add_options(std::move(option)); });
  json.Each("uidMappings", [&](const JsonObject& mapping) { ReadIdMapping(mapping, *mount.add_uidmappings()); });
  json.Each("gidMappings", [&](const JsonObject& mapping) { ReadIdMapping(mapping, *mount.add_gidmappings()); });
}

void ReadHook(const JsonObject& json, grpc::Hook& hook) {
  hook.set_path(json.String("path", Need::kRequired));
  json.EachString("args", [&](std::string arg) { hook.add_args(std::move(arg)); });
  json.EachString("env", [&](std::string variable) { hook.add_env(std::move(variable)); });
  hook.set_inheritsenv(!json.Has("env"));
  hook.set_timeout(json.Signed("timeout", Need::kOptional, 1));
}

void ReadHooks(const JsonObject& json, grpc::Hooks& hooks) {
  const auto read = [&](const char* key, auto* list) {
    json.Each(key, [&](const JsonObject& hook) { ReadHook(hook, *list->Add()); });
  };
  read("prestart", hooks.mutable_prestart());
  read("createRuntime", hooks.mutable_createruntime());
  read("createContainer", hooks.mutable_createcontainer());
  read("startContainer", hooks.mutable_startcontainer());
  read("poststart", hooks.mutable_poststart());
  read("poststop", hooks.mutable_poststop());
}

void ReadSpec(const JsonObject& json, grpc::Spec& spec) {
  spec.set_version(json.String("ociVersion", Need::kRequired));
  json.Child(
      "root",
      [&](const JsonObject& root) {
        spec.mutable_root()->set_path(root.String("path", Need::kRequired));
        spec.mutable_root()->set_readonly(root.Bool("readonly"));
      },
      Need::kRequired);
  json.Child("process", [&](const JsonObject& process) { ReadProcess(process, *spec.mutable_process()); });
  spec.set_hostname(json.String("hostname"));
  spec.set_domainname(json.String("domainname"));
  json.Each("mounts", [&](const JsonObject& mount) { ReadMount(mount, *spec.add_mounts()); });
  json.Child("hooks", [&](const JsonObject& hooks) { ReadHooks(hooks, *spec.mutable_hooks()); });
  json.EachPair("annotations", [&](const std::string& name, std::string value) {
    if (name.empty()) return json.Fail("annotations", "a name is empty");
    (*spec.mutable_annotations())[name] = std::move(value);
  });
  json.Child("linux", [&](const JsonObject& section) { ReadLinux(section, *spec.mutable_linux()); });
  json.Refuse("vm", "the hypervisor, its kernel and image are chosen in the configuration file, not in a bundle");
  json.WarnIf("solaris", "ignored: this is Linux");
  json.WarnIf("windows", "ignored: this is Linux");
  json.WarnIf("zos", "ignored: this is Linux");
}

// Parses json and calls read to fill a message from it.
template <typename Message, typename Read>
Result<Message> ParseAs(std::string_view json, std::vector<std::string>* warnings, std::string_view name, Read read) {
  const nlohmann::json document = TRY(ParseJson(json, kMaxSpecBytes, name));
  Diagnosis diagnosis;
  Message message;
  read(JsonObject(document, "", diagnosis), message);
  if (diagnosis.error) {
    diagnosis.error->AddContext(name);
    return tl::unexpected<Error>(*std::move(diagnosis.error));
  }
  if (warnings != nullptr) {
    for (const std::string& warning : diagnosis.warnings) warnings->push_back(fmt::format("{}: {}", name, warning));
  }
  return message;
}

}  // namespace

Result<grpc::Spec> ParseSpec(std::string_view json, std::vector<std::string>* warnings, std::string_view name) {
  return ParseAs<grpc::Spec>(json, warnings, name, ReadSpec);
}

Result<grpc::Process> ParseProcess(std::string_view json, std::vector<std::string>* warnings, std::string_view name) {
  return ParseAs<grpc::Process>(json, warnings, name, ReadProcess);
}

Result<grpc::LinuxResources> ParseResources(std::string_view json, std::vector<std::string>* warnings,
                                            std::string_view name) {
  return ParseAs<grpc::LinuxResources>(json, warnings, name, ReadResources);
}

}  // namespace kata::oci
