// SPDX-License-Identifier: Apache-2.0
#include "oci/pod.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "oci/validate.h"

namespace kata::oci {
namespace {

// The annotations of one pod manager.
struct Manager {
  const char* type;        // the name of the annotation with the container's type
  const char* sandbox;     // its value for a sandbox
  const char* container;   // its value for a container
  const char* sandbox_id;  // the name of the annotation with the sandbox's id
};
// In the order in which Kata Containers looks for them.
constexpr Manager kManagers[] = {
    {"io.kubernetes.cri-o.ContainerType", "sandbox", "container", "io.kubernetes.cri-o.SandboxID"},
    {"io.kubernetes.cri.container-type", "sandbox", "container", "io.kubernetes.cri.sandbox-id"},
    {"io.kubernetes.docker.type", "podsandbox", "container", "io.kubernetes.sandbox.id"}};

// The number in an annotation; 0 if the annotation is missing or empty.
Result<int64_t> Number(const std::map<std::string, std::string>& annotations, const char* key) {
  const auto found = annotations.find(key);
  if (found == annotations.end() || found->second.empty()) return 0;
  int64_t value = 0;
  const char* end = found->second.data() + found->second.size();
  const auto parsed = std::from_chars(found->second.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return Fail(Code::kInvalidArgument, "annotations[\"{}\"]: \"{}\" is no number", key, found->second);
  }
  return value;
}

}  // namespace

Result<PodRole> PodRoleOf(const std::map<std::string, std::string>& annotations) {
  for (const Manager& manager : kManagers) {
    const auto type = annotations.find(manager.type);
    if (type == annotations.end()) continue;
    if (type->second == manager.sandbox) return PodRole{.type = ContainerType::kSandbox};
    if (type->second != manager.container) {
      return Fail(Code::kInvalidArgument, "annotations[\"{}\"]: \"{}\" is no type of container", manager.type,
                  type->second);
    }
    const auto id = annotations.find(manager.sandbox_id);
    if (id == annotations.end()) {
      return Fail(Code::kInvalidArgument, "annotations[\"{}\"] is missing: the container's pod is not known",
                  manager.sandbox_id);
    }
    TRY(Context(ValidateId(id->second), "annotations[\"{}\"]", manager.sandbox_id));
    return PodRole{.type = ContainerType::kContainer, .sandbox = id->second};
  }
  return PodRole{};
}

bool IsOfPod(const grpc::Spec& spec) {
  return spec.annotations().contains("io.katacontainers.pkg.oci.container_type") ||
         std::any_of(std::begin(kManagers), std::end(kManagers),
                     [&](const Manager& manager) { return spec.annotations().contains(manager.type); });
}

pid_t PidInPath(const grpc::LinuxNamespace& space) {
  constexpr std::string_view kBefore = "/proc/";
  const std::string after = "/ns/" + (space.type() == "network" ? "net" : space.type());
  std::string_view path = space.path();
  if (!path.starts_with(kBefore) || !path.ends_with(after)) return 0;
  path.remove_prefix(kBefore.size());
  path.remove_suffix(std::min(after.size(), path.size()));
  pid_t pid = 0;
  const auto parsed = std::from_chars(path.data(), path.data() + path.size(), pid);
  return parsed.ec == std::errc() && parsed.ptr == path.data() + path.size() && pid > 0 ? pid : 0;
}

Error CannotJoin(int index, const grpc::LinuxNamespace& space) {
  return {Code::kUnimplemented,
          fmt::format("linux.namespaces[{}].path: {} is not the {} namespace of a container that runs in a virtual "
                      "machine of this runtime's, and no other can be joined; leave the path out",
                      index, space.path(), space.type())};
}

Result<grpc::LinuxResources> PodResources(const std::map<std::string, std::string>& annotations) {
  grpc::LinuxResources resources;
  const int64_t quota = TRY(Number(annotations, "io.kubernetes.cri.sandbox-cpu-quota"));
  const int64_t period = TRY(Number(annotations, "io.kubernetes.cri.sandbox-cpu-period"));
  const int64_t memory = TRY(Number(annotations, "io.kubernetes.cri.sandbox-memory"));
  if (quota > 0 && period > 0) {
    resources.mutable_cpu()->set_quota(quota);
    resources.mutable_cpu()->set_period(static_cast<uint64_t>(period));
  }
  if (memory > 0) resources.mutable_memory()->set_limit(memory);
  return resources;
}

Result<> RefuseHostNamespaces(const grpc::Spec& sandbox) {
  const auto& namespaces = sandbox.linux().namespaces();
  for (const auto& [type, field] : {std::pair("pid", "hostPID"), std::pair("ipc", "hostIPC")}) {
    const bool own = std::any_of(namespaces.begin(), namespaces.end(),
                                 [type = type](const grpc::LinuxNamespace& space) { return space.type() == type; });
    if (own) continue;
    return Fail(Code::kInvalidArgument,
                "the pod wants the host's {} namespace, which a VM cannot share: give it one of its own ({}: false)",
                type, field);
  }
  return {};
}

void AddPodDefaults(const grpc::Spec& pod, grpc::Spec& container) {
  for (const grpc::Mount& mount : pod.mounts()) {
    const bool own = std::any_of(container.mounts().begin(), container.mounts().end(),
                                 [&](const grpc::Mount& other) { return other.destination() == mount.destination(); });
    if (own) continue;
    grpc::Mount& added = *container.add_mounts();
    added = mount;
    added.add_options(container.root().readonly() ? "ro" : "rw");
    // Files of the host's root, which are to be those of the container's.
    *added.mutable_uidmappings() = container.linux().uidmappings();
    *added.mutable_gidmappings() = container.linux().gidmappings();
  }
  for (const auto& [name, value] : pod.linux().sysctl()) {
    container.mutable_linux()->mutable_sysctl()->insert({name, value});
  }
}

void SetNetworkNamespace(grpc::Spec& spec, const std::string& path) {
  for (grpc::LinuxNamespace& space : *spec.mutable_linux()->mutable_namespaces()) {
    if (space.type() != "network") continue;
    space.set_path(path);
    return;
  }
  grpc::LinuxNamespace& space = *spec.mutable_linux()->add_namespaces();
  space.set_type("network");
  space.set_path(path);
}

}  // namespace kata::oci
