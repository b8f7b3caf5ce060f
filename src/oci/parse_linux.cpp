// SPDX-License-Identifier: Apache-2.0
// Reads "linux" of a config.json.
#include "oci/sections.h"

namespace kata::oci {
namespace {

// The mode of a device without a fileMode in the spec.
constexpr uint32_t kDefaultDeviceMode = 0666;

void ReadDevice(const JsonObject& json, grpc::LinuxDevice& device) {
  device.set_path(json.String("path", Need::kRequired));
  device.set_type(json.String("type", Need::kRequired));
  const Need need = device.type() == "p" ? Need::kOptional : Need::kRequired;  // a FIFO has no numbers
  device.set_major(json.Signed("major", need, 0, std::numeric_limits<uint32_t>::max()));
  device.set_minor(json.Signed("minor", need, 0, std::numeric_limits<uint32_t>::max()));
  device.set_filemode(json.Has("fileMode") ? json.Unsigned32("fileMode") : kDefaultDeviceMode);
  device.set_uid(json.Unsigned32("uid"));
  device.set_gid(json.Unsigned32("gid"));
}

}  // namespace

void ReadIdMapping(const JsonObject& json, grpc::LinuxIDMapping& mapping) {
  mapping.set_hostid(json.Unsigned32("hostID", Need::kRequired));
  mapping.set_containerid(json.Unsigned32("containerID", Need::kRequired));
  mapping.set_size(json.Unsigned32("size", Need::kRequired));
}

void ReadLinux(const JsonObject& json, grpc::Linux& section) {
  json.Each("uidMappings", [&](const JsonObject& mapping) { ReadIdMapping(mapping, *section.add_uidmappings()); });
  json.Each("gidMappings", [&](const JsonObject& mapping) { ReadIdMapping(mapping, *section.add_gidmappings()); });
  json.EachPair("sysctl", [&](const std::string& name, std::string value) {
    (*section.mutable_sysctl())[name] = std::move(value);
  });
  json.Child("resources", [&](const JsonObject& resources) { ReadResources(resources, *section.mutable_resources()); });
  section.set_cgroupspath(json.String("cgroupsPath"));
  json.Each("namespaces", [&](const JsonObject& entry) {
    grpc::LinuxNamespace& added = *section.add_namespaces();
    added.set_type(entry.String("type", Need::kRequired));
    added.set_path(entry.String("path"));
  });
  json.Each("devices", [&](const JsonObject& device) { ReadDevice(device, *section.add_devices()); });
  json.Child("seccomp", [&](const JsonObject& seccomp) { ReadSeccomp(seccomp, *section.mutable_seccomp()); });
  section.set_rootfspropagation(json.String("rootfsPropagation"));
  json.EachString("maskedPaths", [&](std::string path) { section.add_maskedpaths(std::move(path)); });
  json.EachString("readonlyPaths", [&](std::string path) { section.add_readonlypaths(std::move(path)); });
  section.set_mountlabel(json.String("mountLabel"));
  json.Child("personality", [&](const JsonObject& personality) {
    section.mutable_personality()->set_domain(personality.String("domain", Need::kRequired));
    personality.EachString("flags",
                           [&](std::string flag) { section.mutable_personality()->add_flags(std::move(flag)); });
  });
  json.Refuse("intelRdt", "not supported: a guest cannot divide the host's caches");
  json.Refuse("timeOffsets", "not supported: time namespaces do not reach the guest");
  json.Refuse("memoryPolicy", "not supported: a guest does not see the host's memory nodes");
  json.Refuse("netDevices", "not supported: a virtual machine cannot take over a network device of the host");
}

}  // namespace kata::oci
