// SPDX-License-Identifier: Apache-2.0
// A bundle: the directory with config.json and the root file system that a container is made from.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

struct Bundle {
  std::string path;    // absolute, links resolved
  grpc::Spec spec;     // parsed and validated; root.path as it was written
  std::string rootfs;  // absolute, links resolved, an existing directory
  std::string oci_version;
  std::map<std::string, std::string> annotations;
  std::vector<std::string> warnings;
};

// Reads and checks the bundle at path; relative paths are relative to the working directory, a relative root.path to
// the bundle. kNotFound: no such directory, config.json or rootfs; kInvalidArgument and others as ParseSpec and
// Validate.
Result<Bundle> LoadBundle(const std::string& path);

// Only the annotations of the bundle's spec, which is parsed but not checked further.
Result<std::map<std::string, std::string>> LoadAnnotations(const std::string& path);

}  // namespace kata::oci
