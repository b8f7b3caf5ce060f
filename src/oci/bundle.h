// SPDX-License-Identifier: Apache-2.0
// A bundle (OCI runtime-spec, "Filesystem Bundle"): the directory with config.json and a container's root file system.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/oci.pb.h"

namespace kata::oci {

struct Bundle {
  std::string path;    // absolute, links resolved
  grpc::Spec spec;     // parsed and validated; root.path is as in config.json
  std::string rootfs;  // absolute, links resolved, an existing directory
  std::string oci_version;
  std::map<std::string, std::string> annotations;
  std::vector<std::string> warnings;
};

// Reads and checks the bundle at path. A relative path is relative to the working directory ("" means "."), a relative
// root.path to the bundle. kNotFound: the directory, config.json or the rootfs does not exist; otherwise the errors of
// ParseSpec and Validate.
Result<Bundle> LoadBundle(const std::string& path);

// Reads only the annotations of the bundle's spec, which is parsed but not validated.
Result<std::map<std::string, std::string>> LoadAnnotations(const std::string& path);

}  // namespace kata::oci
