// SPDX-License-Identifier: Apache-2.0
#include "oci/bundle.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <climits>
#include <cstdlib>
#include <memory>

#include "base/files.h"
#include "oci/parse.h"
#include "oci/validate.h"

namespace kata::oci {
namespace {

// realpath(3).
Result<std::string> Resolve(const std::string& path, std::string_view what) {
  const std::unique_ptr<char, decltype(&free)> resolved(::realpath(path.c_str(), nullptr), &free);
  if (!resolved) return FailErrno("{} {}", what, path);
  return std::string(resolved.get());
}

Result<std::string> ResolveDirectory(const std::string& path, std::string_view what) {
  std::string resolved = TRY(Resolve(path, what));
  struct stat status = {};
  if (::stat(resolved.c_str(), &status) != 0) return FailErrno("{} {}", what, resolved);
  if (!S_ISDIR(status.st_mode)) return FailWith(ENOTDIR, "{} {}", what, resolved);
  return resolved;
}

Result<std::string> ReadConfig(const std::string& bundle) {
  const std::string path = bundle + "/config.json";
  auto text = ReadRegularFile(path, kMaxSpecBytes);
  if (!text && text.error().sys() == ENOENT) {
    return Fail(Code::kNotFound, "JSON specification file config.json not found in the bundle {}", bundle);
  }
  return text;
}

}  // namespace

Result<Bundle> LoadBundle(const std::string& path) {
  Bundle bundle;
  bundle.path = TRY(ResolveDirectory(path.empty() ? "." : path, "bundle"));
  const std::string json = TRY(ReadConfig(bundle.path));
  bundle.spec = TRY(ParseSpec(json, &bundle.warnings));
  TRY(Context(Validate(bundle.spec, &bundle.warnings), "config.json"));
  const std::string& root = bundle.spec.root().path();
  bundle.rootfs =
      TRY(ResolveDirectory(root.starts_with('/') ? root : bundle.path + "/" + root, "config.json: root.path: rootfs"));
  bundle.oci_version = bundle.spec.version();
  for (const auto& [name, value] : bundle.spec.annotations()) bundle.annotations.emplace(name, value);
  return bundle;
}

Result<std::map<std::string, std::string>> LoadAnnotations(const std::string& path) {
  const grpc::Spec spec = TRY(ParseSpec(TRY(ReadConfig(path))));
  return std::map<std::string, std::string>(spec.annotations().begin(), spec.annotations().end());
}

}  // namespace kata::oci
