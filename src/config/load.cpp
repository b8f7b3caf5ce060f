// SPDX-License-Identifier: Apache-2.0
// Finds and reads the configuration files, and sets defaults that depend on the executable's path.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/files.h"
#include "config/config.h"
#include "config/text.h"

namespace kata::config {
namespace {

constexpr size_t kMaxFileBytes = 1U << 20U;

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::string absolute = path.empty() ? "" : std::filesystem::absolute(path, error).string();
  return error ? path : absolute;
}

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

void FirstThatExists(std::string& value, std::initializer_list<std::string> candidates) {
  for (const std::string& candidate : candidates) {
    if (!Exists(candidate)) continue;
    // Resolved with realpath(3), so that messages do not show "bin/..".
    const std::unique_ptr<char, decltype(&free)> resolved(::realpath(candidate.c_str(), nullptr), &free);
    if (resolved) value = resolved.get();
    return;
  }
}

// Sets defaults for a build directory, or an installation that is not under /usr.
void FollowExecutable(Config& config, const std::string& executable) {
  const std::string bin = DirectoryOf(executable);
  const std::string libexec = bin + "/../libexec/kata-containers";
  FirstThatExists(config.runtime.standin_path, {bin + "/kata-standin", libexec + "/kata-standin"});
  FirstThatExists(config.hypervisor.virtio_fs_daemon, {bin + "/kata-fsd", libexec + "/kata-fsd"});
  const std::string share = bin + "/../share/kata-containers";
  FirstThatExists(config.hypervisor.kernel, {bin + "/../guest/vmlinux", share + "/vmlinux.container"});
  FirstThatExists(config.hypervisor.initrd,
                  {bin + "/../guest/kata-containers-initrd.img", share + "/kata-containers-initrd.img"});
}

// The configuration file to read; "" if there is none. kNotFound: the file that the user named does not exist.
Result<std::string> ChooseFile(const LoadOptions& options) {
  const auto named = [](const std::string& path, std::string_view by) -> Result<std::string> {
    if (::access(path.c_str(), R_OK) == 0) return path;
    return FailErrno("configuration file {} ({})", path, by);
  };
  if (!options.explicit_path.empty()) return named(options.explicit_path, "--config");
  if (!options.env_path.empty()) return named(options.env_path, "KATA_CONF_FILE");
  for (const std::string& path : SearchPaths(options)) {
    if (Exists(path)) return path;
  }
  return std::string();
}

// The files config.d/*.toml in the directory of the file, sorted by name. If the file is a symbolic link, the directory
// is that of its target, as in Kata.
Result<std::vector<std::string>> DropIns(const std::string& file) {
  const std::unique_ptr<char, decltype(&free)> resolved(::realpath(file.c_str(), nullptr), &free);
  const std::string directory = DirectoryOf(resolved ? resolved.get() : file) + "/config.d";
  const Result<UniqueFd> opened = Open(directory, O_RDONLY | O_DIRECTORY);
  if (!opened && opened.error().sys() == ENOENT) return std::vector<std::string>();
  if (!opened) return tl::unexpected<Error>(opened.error());
  std::vector<std::string> files;
  for (const std::string& name : TRY(ListDir(opened->get()))) {
    if (name.ends_with(".toml") && !name.starts_with('.')) files.push_back(fmt::format("{}/{}", directory, name));
  }
  return files;
}

}  // namespace

std::vector<std::string> SearchPaths(const LoadOptions& options) {
  std::vector<std::string> paths = options.search_paths;
  if (options.executable.empty()) return paths;
  const std::string prefix = DirectoryOf(DirectoryOf(options.executable));
  std::string own = prefix + "/share/defaults/kata-containers/configuration.toml";
  if (std::find(paths.begin(), paths.end(), own) == paths.end()) paths.push_back(std::move(own));
  return paths;
}

LoadOptions OptionsOfProcess(const std::string& config_path) {
  const char* file = ::getenv("KATA_CONF_FILE");
  LoadOptions options;
  options.explicit_path = Absolute(config_path);
  options.env_path = Absolute(file != nullptr ? file : "");
  std::error_code error;
  options.executable = std::filesystem::read_symlink("/proc/self/exe", error).string();
  return options;
}

Result<Loaded> Load(const LoadOptions& options) {
  Loaded loaded;
  if (!options.executable.empty()) FollowExecutable(loaded.config, options.executable);
  const std::string file = TRY(ChooseFile(options));
  if (!file.empty()) {
    loaded.files = TRY(DropIns(file));
    loaded.files.insert(loaded.files.begin(), file);
  }
  TextReader reader(loaded.config);
  for (const std::string& path : loaded.files) {
    const std::string text = TRY(Context(ReadRegularFile(path, kMaxFileBytes), "configuration file {}", path));
    TRY(reader.Read(text, path));
  }
  loaded.warnings = TRY(reader.Finish());
  return loaded;
}

Result<std::vector<std::string>> ApplyText(Config& config, const std::string& text, const std::string& name) {
  Config changed = config;
  TextReader reader(changed);
  TRY(reader.Read(text, name));
  std::vector<std::string> warnings = TRY(reader.Finish());
  config = std::move(changed);
  return warnings;
}

}  // namespace kata::config
