// SPDX-License-Identifier: Apache-2.0
// The mappings of a spec as base/user_namespace.h has them.
#pragma once

#include <google/protobuf/repeated_field.h>

#include "base/user_namespace.h"
#include "protocol/oci.pb.h"

namespace kata::agent {

inline IdMap ToIdMap(const google::protobuf::RepeatedPtrField<grpc::LinuxIDMapping>& mappings) {
  IdMap map;
  for (const grpc::LinuxIDMapping& one : mappings) map.push_back({one.containerid(), one.hostid(), one.size()});
  return map;
}

}  // namespace kata::agent
