// SPDX-License-Identifier: Apache-2.0
#include "oci/guest_spec.h"

namespace kata::oci {

grpc::Spec GuestSpec(const grpc::Spec& spec) {
  grpc::Spec guest = spec;
  if (guest.has_hooks()) {
    grpc::Hooks kept;
    kept.mutable_startcontainer()->Swap(guest.mutable_hooks()->mutable_startcontainer());
    guest.clear_hooks();
    if (kept.startcontainer_size() > 0) *guest.mutable_hooks() = std::move(kept);
  }
  guest.mutable_process()->clear_apparmorprofile();
  guest.mutable_process()->clear_selinuxlabel();
  if (!guest.has_linux()) return guest;

  grpc::Linux& section = *guest.mutable_linux();
  section.clear_mountlabel();
  auto& namespaces = *section.mutable_namespaces();
  for (int i = namespaces.size() - 1; i >= 0; --i) {
    namespaces[i].clear_path();
    if (namespaces[i].type() == "network") namespaces.DeleteSubrange(i, 1);
  }
  if (section.has_resources()) {
    grpc::LinuxResources& resources = *section.mutable_resources();
    resources.clear_network();
    if (resources.has_cpu()) {
      resources.mutable_cpu()->clear_cpus();
      resources.mutable_cpu()->clear_mems();
    }
  }
  return guest;
}

PodSpec GuestSpecOfPod(const grpc::Spec& spec) {
  PodSpec pod;
  for (const grpc::LinuxNamespace& space : spec.linux().namespaces()) {
    pod.shares_pid |= space.type() == "pid" && !space.path().empty();
  }
  pod.guest = GuestSpec(spec);
  if (!spec.has_linux()) return pod;
  for (grpc::LinuxNamespace& space : *pod.guest.mutable_linux()->mutable_namespaces()) {
    // Any path means "do not create a new namespace"; the agent knows the pod's namespaces.
    if (space.type() == "ipc" || space.type() == "uts" || space.type() == "user")
      space.set_path("/proc/1/ns/" + space.type());
  }
  return pod;
}

}  // namespace kata::oci
