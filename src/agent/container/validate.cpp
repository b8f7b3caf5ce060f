// SPDX-License-Identifier: Apache-2.0
#include "agent/container/validate.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace kata::agent {

namespace {

constexpr size_t kMaxId = 255;

Result<> ValidateNamespaces(const grpc::Linux& linux) {
  constexpr std::array<std::string_view, 8> kTypes = {"pid", "network", "mount",  "ipc",
                                                      "uts", "user",    "cgroup", "time"};
  std::set<std::string_view> seen;
  for (int i = 0; i < linux.namespaces_size(); ++i) {
    const std::string& type = linux.namespaces(i).type();
    if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
      return Fail(Code::kInvalidArgument, "linux.namespaces[{}].type: \"{}\" is no namespace", i, type);
    }
    if (!seen.insert(type).second) {
      return Fail(Code::kInvalidArgument, "linux.namespaces[{}].type: there is a second \"{}\"", i, type);
    }
  }
  if (!seen.contains("mount")) {
    return Fail(Code::kInvalidArgument, "linux.namespaces: a container needs a mount namespace of its own");
  }
  const bool mapped = linux.uidmappings_size() != 0 || linux.gidmappings_size() != 0;
  if (mapped && !seen.contains("user")) {
    return Fail(Code::kInvalidArgument, "linux.uidMappings, linux.gidMappings: there is no user namespace to map in");
  }
  return {};
}

}  // namespace

Result<> ValidateProcess(const grpc::Process& process) {
  if (process.args().empty()) return Fail(Code::kInvalidArgument, "process.args is empty");
  if (process.cwd().empty() || process.cwd().front() != '/') {
    return Fail(Code::kInvalidArgument, "process.cwd: \"{}\" is no absolute path", process.cwd());
  }
  const auto has_nul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  if (std::any_of(process.args().begin(), process.args().end(), has_nul) ||
      std::any_of(process.env().begin(), process.env().end(), has_nul) || has_nul(process.cwd())) {
    return Fail(Code::kInvalidArgument, "process: a NUL byte in args, env or cwd");
  }
  return {};
}

Result<> ValidateSpec(const std::string& id, const grpc::Spec& spec) {
  if (id.empty() || id.size() > kMaxId || id.find('/') != std::string::npos || id == "." || id == "..") {
    return Fail(Code::kInvalidArgument, "\"{}\" is no id of a container", id);
  }
  if (!spec.has_process()) return Fail(Code::kInvalidArgument, "process is missing");
  TRY(ValidateProcess(spec.process()));
  if (spec.root().path().empty() || spec.root().path().front() != '/') {
    return Fail(Code::kInvalidArgument, "root.path: \"{}\" is no absolute path", spec.root().path());
  }
  if (!spec.linux().intelrdt().l3cacheschema().empty()) {
    return Fail(Code::kUnimplemented, "linux.intelRdt: the guest's processors have no such feature");
  }
  return ValidateNamespaces(spec.linux());
}

}  // namespace kata::agent
