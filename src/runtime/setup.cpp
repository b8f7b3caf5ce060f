// SPDX-License-Identifier: Apache-2.0
// `setup`: shows what an engine's configuration needs for this runtime, puts it in, or takes it out.
#include <filesystem>

#include "config/config.h"
#include "runtime/output.h"
#include "runtime/verbs.h"
#include "setup/change.h"
#include "setup/diff.h"
#include "setup/engine_check.h"

namespace kata::runtime {
namespace {

Result<std::string> AbsolutePath(const std::string& path) {
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  if (error || absolute.ends_with('/')) return Fail(Code::kInvalidArgument, "\"{}\" is no path of a file", path);
  return absolute;
}

std::string ConfigurationHome() {
  for (const auto& [name, below] : {std::pair("XDG_CONFIG_HOME", ""), std::pair("HOME", "/.config")}) {
    const char* const value = getenv(name);
    if (value != nullptr && value[0] == '/') return std::string(value) + below;
  }
  return "";
}

Result<setup::Wishes> WishesOf(const Globals& globals, setup::Engine engine, bool make_default) {
  const std::string executable = config::OptionsOfProcess("").executable;
  if (access(executable.c_str(), X_OK) != 0) {
    return FailErrno("cannot tell where kata-runtime is installed: {}", executable);
  }
  setup::Wishes wishes{.runtime = executable,
                       .shim = executable.substr(0, executable.rfind('/')) + "/containerd-shim-kata-v2",
                       .make_default = make_default};
  if (!globals.config_path.empty()) {
    wishes.config = TRY(AbsolutePath(globals.config_path));
    if (access(wishes.config.c_str(), R_OK) != 0) return FailErrno("--config {}", wishes.config);
  }
  const auto line = setup::AskEngine(engine, /*timeout_factor=*/1);
  if (line) wishes.version = setup::VersionIn(*line);
  return wishes;
}

std::string Afterwards(setup::Engine engine) { return fmt::format("Afterwards: {}\n", setup::ReloadOf(engine)); }

std::string NoteLines(const setup::Plan& plan) {
  std::string text;
  for (const std::string& note : plan.notes) text += fmt::format("Note: {}\n", note);
  return text;
}

Result<int> TakeBack(setup::Engine engine, const setup::Wishes& wishes, const std::string& path) {
  const setup::Plan plan = TRY(setup::PlanToUndo(engine, wishes, path));
  if (plan.ChangesNothing()) return Print(fmt::format("Nothing to undo: {} has nothing of it.\n", path));
  const bool kept = TRY(setup::Undo(plan));
  std::string text = fmt::format("{} {}.\n", plan.removes ? "Removed" : "Took it out of", path);
  if (kept) text += fmt::format("Note: {} is kept, since other lines differ from it\n", setup::BackupOf(path));
  return Print(text + Afterwards(engine));
}

}  // namespace

Result<int> Setup(const Globals& globals, const SetupOptions& options) {
  const std::optional<setup::Engine> engine = setup::EngineOf(options.engine);
  if (!engine) {
    return Fail(Code::kInvalidArgument, "no engine is called \"{}\": docker, podman, containerd and crio are known",
                options.engine);
  }
  const setup::Wishes wishes = TRY(WishesOf(globals, *engine, options.make_default));
  const bool named = !options.file.empty();
  std::string path = setup::DefaultFile(*engine, geteuid() == 0, ConfigurationHome(), wishes.version);
  if (named) path = TRY(AbsolutePath(options.file));
  if (!path.starts_with('/') || path.starts_with("/containers/")) {
    return Fail(Code::kFailedPrecondition, "neither XDG_CONFIG_HOME nor HOME is set: name the file by --file");
  }
  if (options.undo) return TakeBack(*engine, wishes, path);

  setup::Plan plan = TRY(setup::PlanToApply(*engine, wishes, path, /*may_make_directories=*/!named));
  if (*engine != setup::Engine::kPodman && access(wishes.shim.c_str(), X_OK) != 0) {
    plan.notes.push_back(fmt::format("there is no {}: install it beside kata-runtime", wishes.shim));
  }
  if (plan.ChangesNothing()) {
    return Print(fmt::format("Nothing to change: {} has all of it.\n{}", path, NoteLines(plan)));
  }
  std::string text;
  if (options.apply) {
    TRY(setup::Apply(*engine, plan));
    text = plan.made.empty() ? fmt::format("Changed {}; {} has the former text.\n", path, setup::BackupOf(path))
                             : fmt::format("Wrote {}.\n", path);
  } else {
    text = setup::UnifiedDiff(plan.file.exists ? path : "/dev/null", plan.file.text, path, plan.text) +
           "Nothing has been changed: --apply does it.\n";
  }
  text += NoteLines(plan) + Afterwards(*engine) + fmt::format("Then: {}\n", setup::UseOf(*engine));
  return Print(text);
}

}  // namespace kata::runtime
