// SPDX-License-Identifier: Apache-2.0
#include "setup/change.h"

#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "setup/json_text.h"
#include "setup/toml_text.h"

namespace kata::setup {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

bool IsBlank(const std::string& text) { return text.find_first_not_of(kBlank) == std::string::npos; }

bool IsJson(Engine engine) { return engine == Engine::kDocker; }

Result<nlohmann::json> Parse(Engine engine, const std::string& text) {
  return IsJson(engine) ? ParseJsonObject(text) : ParseToml(text);
}

// The text of a file beside the configuration; nullopt: it is not there.
Result<std::optional<std::string>> TextOf(const std::string& path) {
  const ConfigFile file = TRY(ReadConfig(path));
  return file.exists ? std::optional(file.text) : std::nullopt;
}

// Every setting that this program may have put into Docker's file, with the configuration that it names there.
Result<std::vector<Setting>> PossibleSettings(Wishes wishes, const nlohmann::json& document) {
  wishes.make_default = true;
  wishes.version = EngineVersion{.major = 1000, .minor = 0};
  wishes.config.clear();
  const nlohmann::json* arguments = Find(document, {"runtimes", "kata", "runtimeArgs"});
  if (arguments != nullptr && arguments->is_array() && arguments->size() == 2 && (*arguments)[1].is_string()) {
    wishes.config = (*arguments)[1].get<std::string>();
  }
  return SettingsOf(Engine::kDocker, wishes, document);
}

// The file without what was put in. A JSON file does not tell what that is; the files beside it do.
Result<TakenToml> Take(Engine engine, const Wishes& wishes, const ConfigFile& file) {
  if (!IsJson(engine)) return TakeToml(file.text);
  const auto backup = TRY(TextOf(BackupOf(file.path)));
  const auto list = TRY(TextOf(MadeListOf(file.path)));
  if (!backup && !list) return TakenToml{.text = file.text};
  TakenToml taken{.found = true};
  const std::vector<Setting> settings = TRY(PossibleSettings(wishes, TRY(ParseJsonObject(file.text))));
  taken.text = TRY(TakeJson(file.text, backup.value_or(""), settings));
  for (size_t begin = 0; list && begin < list->size();) {
    const size_t end = std::min(list->find('\n', begin), list->size());
    taken.made.push_back(list->substr(begin, end - begin));
    begin = end + 1;
  }
  return taken;
}

// CRI-O reads every file of such a directory, so no backup can be beside one.
bool IsDropIn(const std::string& path) { return path.substr(0, path.rfind('/')).ends_with(".d"); }

bool Contains(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// root may write everywhere but where nobody may.
Result<> RequireWritable(const ConfigFile& file) {
  if (!file.exists) return {};
  if ((file.status.st_mode & 0222U) == 0) {
    return Fail(Code::kPermissionDenied, "{} is read-only: chmod u+w {} first", file.path, file.path);
  }
  if (access(file.path.c_str(), W_OK) != 0) return FailErrno("{} cannot be changed", file.path);
  return {};
}

Result<Plan> PlanFor(Engine engine, const Wishes& wishes, const ConfigFile& file,
                     std::vector<std::string> directories) {
  const nlohmann::json document = TRY(Parse(engine, file.text));
  TakenToml taken = TRY(Take(engine, wishes, file));
  const nlohmann::json own = TRY(Parse(engine, taken.text));
  const std::vector<Setting> settings = TRY(SettingsOf(engine, wishes, own));
  Plan plan{.file = file, .text = file.text, .own = taken.text, .made = std::move(taken.made)};
  plan.notes = NotesOn(engine, wishes, document);
  const auto lacking = Missing(document, settings);
  if (file.exists && lacking && lacking->empty()) return plan;
  const std::vector<Setting> missing = TRY(Missing(own, settings));
  if (IsDropIn(file.path) && !IsBlank(taken.text)) {
    return Fail(Code::kAlreadyExists,
                "it is there already, and not by this program: remove it, or name another by --file");
  }
  if (!file.exists) {
    plan.made = {file.path};
    plan.made.insert(plan.made.end(), directories.begin(), directories.end());
  } else if (IsDropIn(file.path) && plan.made.empty()) {
    plan.made = {file.path};
  }
  plan.text = TRY(IsJson(engine) ? PutJson(taken.text, missing) : PutToml(taken.text, missing, plan.made));
  return plan;
}

// Directories, what undoing needs, the file.
Result<> Write(Engine engine, const Plan& plan) {
  TRY(MakeDirectories({plan.made.begin() + (plan.made.empty() ? 0 : 1), plan.made.end()}));
  if (plan.made.empty()) {
    ConfigFile own = plan.file;
    own.text = plan.own;
    TRY(BackUp(own));
  } else if (IsJson(engine)) {
    std::string list;
    for (const std::string& path : plan.made) list += path + "\n";
    TRY(ReplaceConfig(TRY(ReadConfig(MadeListOf(plan.file.path))), list));
  }
  return ReplaceConfig(plan.file, plan.text);
}

}  // namespace

Result<Plan> PlanToApply(Engine engine, const Wishes& wishes, const std::string& path, bool may_make_directories) {
  const ConfigFile file = TRY(ReadConfig(path));
  const std::vector<std::string> directories = file.exists ? std::vector<std::string>() : MissingDirectories(path);
  if (!directories.empty() && !may_make_directories) {
    return Fail(Code::kNotFound, "the directory {} is missing: make it first", directories.back());
  }
  return Context(PlanFor(engine, wishes, file, directories), "{}", path);
}

Result<> Apply(Engine engine, const Plan& plan) {
  TRY(RequireWritable(plan.file));
  const std::string backup = BackupOf(plan.file.path);
  const std::string list = MadeListOf(plan.file.path);
  const bool had_backup = access(backup.c_str(), F_OK) == 0;
  const bool had_list = access(list.c_str(), F_OK) == 0;
  auto done = Write(engine, plan);
  if (done) return done;
  if (!had_backup) (void)unlink(backup.c_str());
  if (!had_list) (void)unlink(list.c_str());
  for (size_t i = plan.made.size(); i > 1; --i) (void)rmdir(plan.made[i - 1].c_str());
  return done;
}

Result<Plan> PlanToUndo(Engine engine, const Wishes& wishes, const std::string& path) {
  const ConfigFile file = TRY(ReadConfig(path));
  Plan plan{.file = file, .text = file.text, .own = file.text};
  if (!file.exists) return plan;
  TakenToml taken = TRY(Context(Take(engine, wishes, file), "{}", path));
  if (!taken.found) return plan;
  plan.text = plan.own = taken.text;
  plan.made = std::move(taken.made);
  const auto rest = Parse(engine, taken.text);
  // Comments that somebody has put into a TOML file stay.
  const bool empty = IsJson(engine) ? rest && rest->empty() : IsBlank(taken.text);
  plan.removes = empty && Contains(plan.made, path);
  return plan;
}

Result<bool> Undo(const Plan& plan) {
  TRY(RequireWritable(plan.file));
  if (plan.removes) {
    TRY(RemoveConfig(plan.file.path, plan.made));
    return false;
  }
  if (!plan.ChangesNothing()) TRY(ReplaceConfig(plan.file, plan.text));
  if (!plan.made.empty()) (void)unlink(MadeListOf(plan.file.path).c_str());
  const std::string backup = BackupOf(plan.file.path);
  const auto kept = TRY(TextOf(backup));
  if (!kept) return false;
  if (*kept != plan.text) return true;
  if (unlink(backup.c_str()) != 0) return FailErrno("cannot remove {}", backup);
  return false;
}

}  // namespace kata::setup
