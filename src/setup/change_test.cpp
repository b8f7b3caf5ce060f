// SPDX-License-Identifier: Apache-2.0
#include "setup/change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"

namespace kata::setup {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class ChangeTest : public ::testing::Test {
 protected:
  ChangeTest() {
    std::string name = ::testing::TempDir() + "setup-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~ChangeTest() override { fs::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const { std::ofstream(Path(name)) << text; }
  std::string Read(const std::string& name) const { return ReadFile(Path(name)).value_or("(none)"); }
  // Everything in the directory, with the texts.
  std::vector<std::string> All() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
      const std::string name = entry.path().lexically_relative(directory_);
      all.push_back(entry.is_regular_file() ? name + ": " + Read(name) : name);
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  Result<> DoApply(Engine engine, const std::string& name) const {
    const Plan plan = TRY(PlanToApply(engine, wishes_, Path(name), make_directories_));
    return plan.ChangesNothing() ? Fail(Code::kAborted, "nothing to change") : Apply(engine, plan);
  }
  Result<bool> DoUndo(Engine engine, const std::string& name) const {
    return Undo(TRY(PlanToUndo(engine, wishes_, Path(name))));
  }
  void ExpectRefused(Engine engine, const std::string& name, const std::string& words) const {
    const auto before = All();
    const auto done = DoApply(engine, name);
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message(), HasSubstr(words));
    EXPECT_EQ(done.error().message().find('\n'), std::string::npos);
    EXPECT_EQ(All(), before);
  }

  std::string directory_;
  Wishes wishes_{.runtime = "/usr/bin/kata-runtime",
                 .shim = "/usr/bin/containerd-shim-kata-v2",
                 .make_default = true,
                 .version = EngineVersion{28, 5}};
  bool make_directories_ = true;
};

struct Existing {
  Engine engine;
  const char* name;
  const char* text;
};
const Existing kExisting[] = {
    {Engine::kDocker, "daemon.json", "{\n  \"default-runtime\": \"runc\" }"},
    {Engine::kContainerd, "config.toml",
     "# mine\nversion = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd]\n x = 1"},
    {Engine::kPodman, "containers.conf", "[engine]\nruntime = \"crun\"\n[engine.runtimes]\n"},
    {Engine::kCrio, "crio.conf", "[crio.runtime]\n"},
};

TEST_F(ChangeTest, AnExistingFileIsChangedOnceAndComesBack) {
  for (const auto& [engine, name, text] : kExisting) {
    Write(name, text);
    ASSERT_EQ(chmod(Path(name).c_str(), 0640), 0);
    ASSERT_EQ(chown(Path(name).c_str(), 12, 34), 0);
    const auto before = All();
    const auto done = DoApply(engine, name);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_NE(Read(name), text);
    EXPECT_EQ(Read(std::string(name) + ".before-kata"), text);
    for (const std::string& file : {std::string(name), std::string(name) + ".before-kata"}) {
      struct stat status = {};
      ASSERT_EQ(stat(Path(file).c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 07777U, 0640U);
      EXPECT_EQ(status.st_uid, 12U);
      EXPECT_EQ(status.st_gid, 34U);
    }
    EXPECT_EQ(DoApply(engine, name).error().message(), "nothing to change");
    EXPECT_EQ(DoUndo(engine, name), false);
    EXPECT_EQ(All(), before);
    EXPECT_TRUE(PlanToUndo(engine, wishes_, Path(name))->ChangesNothing());
    fs::remove(Path(name));
  }
}

TEST_F(ChangeTest, FilesAndDirectoriesThatItMadeGo) {
  for (const auto& [engine, name, text] : kExisting) {
    ASSERT_TRUE(fs::create_directory(Path("here")));
    const std::string path = std::string("here/not/yet.d/") + name;
    const auto done = DoApply(engine, path);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(DoApply(engine, path).error().message(), "nothing to change");
    EXPECT_EQ(DoUndo(engine, path), false);
    EXPECT_THAT(All(), ElementsAre("here"));
    // What others have put there stays.
    ASSERT_TRUE(DoApply(engine, path));
    Write("here/not/other", "");
    EXPECT_EQ(DoUndo(engine, path), false);
    EXPECT_THAT(All(), ElementsAre("here", "here/not", "here/not/other: "));
    fs::remove_all(Path("here"));
  }
}

TEST_F(ChangeTest, WhatSomebodyChangesMeanwhileStays) {
  Write("config.toml", "version = 3\n");
  ASSERT_TRUE(DoApply(Engine::kContainerd, "config.toml"));
  Write("config.toml", "# new\n" + Read("config.toml"));
  EXPECT_EQ(DoUndo(Engine::kContainerd, "config.toml"), true);
  EXPECT_THAT(All(),
              UnorderedElementsAre("config.toml: # new\nversion = 3\n", "config.toml.before-kata: version = 3\n"));
  ExpectRefused(Engine::kContainerd, "config.toml", "config.toml.before-kata is the backup of another state");
}

TEST_F(ChangeTest, AFileThatItMadeStaysWithWhatOthersPutIn) {
  ASSERT_TRUE(DoApply(Engine::kDocker, "daemon.json"));
  std::string text = Read("daemon.json");
  Write("daemon.json", text.insert(1, "\"debug\": true,"));
  EXPECT_EQ(DoUndo(Engine::kDocker, "daemon.json"), false);
  EXPECT_THAT(All(), ElementsAre(HasSubstr("daemon.json: {\"debug\": true")));
}

TEST_F(ChangeTest, OtherWishesTakeThePlaceOfTheFormer) {
  for (const auto& [engine, name, text] : kExisting) {
    Write(name, text);
    const auto before = All();
    wishes_.make_default = false;
    ASSERT_TRUE(DoApply(engine, name));
    wishes_.make_default = true;
    wishes_.runtime = "/opt/kata/bin/kata-runtime";
    wishes_.shim = "/opt/kata/bin/containerd-shim-kata-v2";
    if (engine != Engine::kPodman) wishes_.config = "/etc/k.toml";
    const auto done = DoApply(engine, name);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_THAT(Read(name), HasSubstr(engine == Engine::kContainerd ? "/etc/k.toml" : "/opt/kata/bin/"));
    wishes_.config = "";
    EXPECT_EQ(DoUndo(engine, name), false);
    EXPECT_EQ(All(), before);
    fs::remove(Path(name));
  }
}

TEST_F(ChangeTest, SettingsThatAreThereAlreadyAreNobodysChange) {
  const std::string text = "[engine]\nruntime = \"kata\"\nruntimes.kata = [\"/usr/bin/kata-runtime\"]\n";
  Write("containers.conf", text);
  EXPECT_EQ(DoApply(Engine::kPodman, "containers.conf").error().message(), "nothing to change");
  EXPECT_TRUE(PlanToUndo(Engine::kPodman, wishes_, Path("containers.conf"))->ChangesNothing());
}

TEST_F(ChangeTest, OddFilesAreRefusedAndStay) {
  Write("real.toml", "version = 2\n");
  fs::create_symlink("real.toml", Path("link.toml"));
  ExpectRefused(Engine::kContainerd, "link.toml", "is a symbolic link");
  fs::create_hard_link(Path("real.toml"), Path("other.toml"));
  ExpectRefused(Engine::kContainerd, "other.toml", "hard links");
  ExpectRefused(Engine::kContainerd, "", "is no regular file");
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  ExpectRefused(Engine::kDocker, "fifo", "is no regular file");
  Write("bad.toml", "version = \n");
  ExpectRefused(Engine::kContainerd, "bad.toml", "bad.toml: line 1 is no TOML");
  Write("bad.json", "{\"a\": }");
  ExpectRefused(Engine::kDocker, "bad.json", "bad.json: it is no JSON");
  Write("other.json", "{\"runtimes\": {\"kata\": {\"path\": \"/opt/other\"}}}");
  ExpectRefused(Engine::kDocker, "other.json", "runtimes.kata is there already with other values");
  Write("read-only.json", "{}");
  ASSERT_EQ(chmod(Path("read-only.json").c_str(), 0444), 0);
  ExpectRefused(Engine::kDocker, "read-only.json", "is read-only: chmod u+w");
  Write("large.json", std::string(2U << 20U, ' '));
  ExpectRefused(Engine::kDocker, "large.json", "large.json");
  ASSERT_TRUE(fs::create_directory(Path("crio.conf.d")));
  Write("crio.conf.d/50-kata.conf", "[crio]\n");
  ExpectRefused(Engine::kCrio, "crio.conf.d/50-kata.conf", "not by this program");
  make_directories_ = false;
  ExpectRefused(Engine::kDocker, "no/such/daemon.json", "/no/such is missing");
}

TEST_F(ChangeTest, AFailureLeavesNothing) {
  Write("config.toml", "version = 3\n");
  const auto before = All();
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  signal(SIGXFSZ, SIG_IGN);
  for (const auto& [engine, name] : {std::pair(Engine::kContainerd, "config.toml"),
                                     {Engine::kDocker, "new/dir/daemon.json"},
                                     {Engine::kCrio, "x.d/50"}}) {
    // The backup and the list are small enough to be written.
    for (const rlim_t size : {rlim_t{1}, rlim_t{90}}) {
      const rlimit small = {size, limit.rlim_max};
      ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
      const auto done = DoApply(engine, name);
      ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
      ASSERT_FALSE(done) << name << size;
      EXPECT_THAT(done.error().message(), HasSubstr("File too large"));
      EXPECT_EQ(All(), before);
    }
  }
  signal(SIGXFSZ, SIG_DFL);
}

TEST_F(ChangeTest, AFileThatSomebodyChangesJustNowStays) {
  Write("daemon.json", "{}");
  const auto plan = PlanToApply(Engine::kDocker, wishes_, Path("daemon.json"), false);
  ASSERT_TRUE(plan);
  Write("daemon.json", "{ }");
  EXPECT_EQ(Apply(Engine::kDocker, *plan).error().code(), Code::kAborted);
  EXPECT_EQ(Read("daemon.json"), "{ }");
}

}  // namespace
}  // namespace kata::setup
