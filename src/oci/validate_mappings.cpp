// SPDX-License-Identifier: Apache-2.0
#include "oci/validate_mappings.h"

#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "oci/contains.h"

namespace kata::oci {
namespace {

using Mappings = google::protobuf::RepeatedPtrField<grpc::LinuxIDMapping>;

constexpr int kMostMappings = 340;  // of one map (user_namespaces(7))

bool Overlap(uint64_t first, uint64_t second, uint64_t first_size, uint64_t second_size) {
  return first < second + second_size && second < first + first_size;
}

// What the kernel would answer with EINVAL, and not say why.
Result<> CheckMappings(const Mappings& mappings, const std::string& field) {
  if (mappings.size() > kMostMappings) {
    return Fail(Code::kInvalidArgument, "{}: {} mappings, and the kernel takes {}", field, mappings.size(),
                kMostMappings);
  }
  for (int i = 0; i < mappings.size(); ++i) {
    const grpc::LinuxIDMapping& one = mappings[i];
    if (one.size() == 0) return Fail(Code::kInvalidArgument, "{}[{}].size: must not be 0", field, i);
    constexpr uint64_t kEnd = std::numeric_limits<uint32_t>::max();  // no id: it stands for none
    if (uint64_t{one.containerid()} + one.size() > kEnd || uint64_t{one.hostid()} + one.size() > kEnd) {
      return Fail(Code::kInvalidArgument, "{}[{}].size: {} ids reach beyond the last one", field, i, one.size());
    }
    for (int j = 0; j < i; ++j) {
      const grpc::LinuxIDMapping& other = mappings[j];
      if (Overlap(one.containerid(), other.containerid(), one.size(), other.size()) ||
          Overlap(one.hostid(), other.hostid(), one.size(), other.size())) {
        return Fail(Code::kInvalidArgument, "{}[{}]: overlaps {}[{}]", field, i, field, j);
      }
    }
  }
  return {};
}

const grpc::LinuxNamespace* UserNamespace(const grpc::Spec& spec) {
  for (const grpc::LinuxNamespace& space : spec.linux().namespaces()) {
    if (space.type() == "user") return &space;
  }
  return nullptr;
}

}  // namespace

Result<> ValidateMappings(const grpc::Spec& spec, bool of_pod) {
  const grpc::Linux& section = spec.linux();
  const grpc::LinuxNamespace* user = UserNamespace(spec);
  for (const auto& [field, mappings] : {std::pair{"linux.uidMappings", &section.uidmappings()},
                                        std::pair{"linux.gidMappings", &section.gidmappings()}}) {
    if (user == nullptr && !mappings->empty()) {
      return Fail(Code::kInvalidArgument, "{}: needs a user namespace in linux.namespaces", field);
    }
    TRY(CheckMappings(*mappings, field));
  }
  const bool makes = user != nullptr && user->path().empty();
  if (makes && !of_pod && (section.uidmappings().empty() || section.gidmappings().empty())) {
    return Fail(Code::kInvalidArgument, "linux.uidMappings, linux.gidMappings: required by the user namespace");
  }
  return {};
}

Result<> ValidateMappedMount(const grpc::Spec& spec, int index) {
  const grpc::Mount& mount = spec.mounts(index);
  const std::string field = fmt::format("mounts[{}]", index);
  bool mapped = !mount.uidmappings().empty() || !mount.gidmappings().empty();
  const bool own = mapped;
  for (const std::string& option : mount.options()) {
    const std::string_view name = std::string_view(option).substr(0, option.find('='));
    if (name != "idmap" && name != "ridmap") continue;
    mapped = true;
    if (name.size() == option.size()) continue;
    return Fail(Code::kUnimplemented, "{}.options: {}: mappings are taken from uidMappings and gidMappings", field,
                option);
  }
  if (!mapped) return {};
  if (mount.type() != "bind" && !Contains(mount.options(), "bind") && !Contains(mount.options(), "rbind")) {
    return Fail(Code::kInvalidArgument, "{}: ids can only be mapped in a bind mount", field);
  }
  if (!own) {
    if (!spec.linux().uidmappings().empty() && !spec.linux().gidmappings().empty()) return {};
    return Fail(Code::kInvalidArgument,
                "{}.options: idmap needs mappings, of the mount or of the container's user namespace", field);
  }
  if (mount.uidmappings().empty() || mount.gidmappings().empty()) {
    return Fail(Code::kInvalidArgument, "{}: needs both uidMappings and gidMappings", field);
  }
  TRY(CheckMappings(mount.uidmappings(), field + ".uidMappings"));
  return CheckMappings(mount.gidmappings(), field + ".gidMappings");
}

}  // namespace kata::oci
