// SPDX-License-Identifier: Apache-2.0
#include "runtime/benchmark_bundle.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/files.h"
#include "base/json.h"
#include "oci/default_spec.h"

namespace kata::runtime {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSpec = size_t{64} << 10;

// What has programs and their libraries. Where /usr has all of them, the others are links into it.
constexpr const char* kTrees[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"};

Result<> Check(const std::error_code& error, const fs::path& path) {
  if (error) return FailWith(error.value(), "{}", path.string());
  return {};
}

}  // namespace

Result<BenchmarkRootfs> MakeBenchmarkRootfs(const std::string& directory, const std::string& given) {
  std::error_code error;
  for (const char* program : {"/bin/true", "/bin/echo", "/bin/sleep"}) {
    // In a given tree a link may lead to a path that only a container can follow.
    if (fs::exists(fs::symlink_status(given + program, error)) || fs::exists(given + program, error)) continue;
    return Fail(Code::kNotFound,
                "there is no {}{}; name a root file system that has true, echo and sleep with --rootfs", given,
                program);
  }
  if (!given.empty()) return BenchmarkRootfs{TRY(PathOfFd(TRY(Open(given, O_PATH | O_DIRECTORY)).get())), {}};

  const fs::path root = fs::path(directory) / "rootfs";
  for (const char* name : {"", "proc", "dev", "sys", "tmp", "etc"}) {
    fs::create_directory(root / name, error);
    TRY(Check(error, root / name));
  }
  BenchmarkRootfs rootfs{root.string(), {}};
  for (const char* tree : kTrees) {
    const fs::path source = fs::path("/") / tree;
    const fs::file_status status = fs::symlink_status(source, error);
    if (fs::is_symlink(status)) {
      fs::copy_symlink(source, root / tree, error);
      TRY(Check(error, root / tree));
    } else if (fs::is_directory(status)) {
      fs::create_directory(root / tree, error);
      TRY(Check(error, root / tree));
      rootfs.binds.push_back({source.string()});
    }
  }
  return rootfs;
}

Result<std::string> MakeBenchmarkBundle(const std::string& directory, const std::string& name,
                                        const BenchmarkRootfs& rootfs, const std::vector<std::string>& command) {
  nlohmann::json spec = TRY(ParseJson(oci::DefaultSpecJson(), kMaxSpec));
  spec["process"]["args"] = command;
  spec["process"]["terminal"] = false;
  spec["root"] = {{"path", rootfs.path}, {"readonly", false}};
  for (const BenchmarkRootfs::Bind& bind : rootfs.binds) {
    spec["mounts"].push_back({{"destination", bind.source},
                              {"source", bind.source},
                              {"type", "bind"},
                              {"options", {"rbind", "ro", "nosuid", "nodev"}}});
  }
  std::string bundle = directory + "/" + name;
  if (mkdir(bundle.c_str(), 0700) != 0) return FailErrno("cannot make {}", bundle);
  const UniqueFd file = TRY(Open(bundle + "/config.json", O_WRONLY | O_CREAT | O_EXCL, 0600));
  TRY(Context(WriteAll(file.get(), spec.dump(2)), "{}/config.json", bundle));
  return bundle;
}

}  // namespace kata::runtime
