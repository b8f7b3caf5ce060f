// SPDX-License-Identifier: Apache-2.0
#include "runtime/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace kata::runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Words = std::vector<std::string>;

// The expectations are the results of runc 1.1 for the same words.
struct Flags : testing::Test {
  Flags() {
    app.option_defaults()->take_last();
    app.add_flag("-t,--tty", tty);
    app.add_flag("-d,--detach", detach);
    app.add_option("--cwd", cwd);
    app.add_option("-u,--user", user);
    app.add_option("-e,--env", env);
    app.add_option("--quota", quota);
  }
  Words Read(const Words& words, bool command_follows = false) {
    auto read = ReadFlags(app, words, command_follows);
    if (read) return *read;
    ADD_FAILURE() << read.error();
    return {};
  }
  std::string Error(const Words& words, bool command_follows = false) {
    auto read = ReadFlags(app, words, command_follows);
    return read ? "was understood" : read.error();
  }

  CLI::App app;
  bool tty = false;
  bool detach = false;
  std::string cwd;
  std::string user;
  Words env;
  std::optional<int64_t> quota;
};

TEST_F(Flags, OneDashOrTwo) {
  EXPECT_THAT(Read({"-cwd", "/a", "--user=1", "c1"}), ElementsAre("c1"));
  EXPECT_EQ(cwd, "/a");
  EXPECT_EQ(user, "1");
  EXPECT_THAT(Read({"-cwd=/b=c", "--u", "2", "-tty", "--d"}), IsEmpty());
  EXPECT_EQ(cwd, "/b=c");
  EXPECT_EQ(user, "2");
  EXPECT_TRUE(tty);
  EXPECT_TRUE(detach);
}

TEST_F(Flags, SwitchesMayHaveAValue) {
  Read({"-t=true", "--detach=1"});
  EXPECT_TRUE(tty);
  EXPECT_TRUE(detach);
  EXPECT_THAT(Read({"--tty=false", "-d=F", "c1"}), ElementsAre("c1"));
  EXPECT_FALSE(tty);
  EXPECT_FALSE(detach);
  // A switch's value is accepted only after "=".
  EXPECT_THAT(Read({"-t", "false"}), ElementsAre("false"));
  EXPECT_TRUE(tty);
}

TEST_F(Flags, TwoDashesEndThem) {
  EXPECT_THAT(Read({"--", "-t", "--", "c1"}), ElementsAre("-t", "--", "c1"));
  EXPECT_THAT(Read({"c1", "--", "-t"}), ElementsAre("c1", "-t"));
  EXPECT_THAT(Read({"--", "c1", "--", "-t"}, true), ElementsAre("c1", "--", "-t"));
  EXPECT_FALSE(tty);
  Read({"--cwd", "--", "-t"});
  EXPECT_EQ(cwd, "--");
  EXPECT_TRUE(tty);
}

TEST_F(Flags, StandAnywhereWhereNoCommandFollows) {
  EXPECT_THAT(Read({"c1", "-t", "9"}), ElementsAre("c1", "9"));
  EXPECT_TRUE(tty);
  EXPECT_THAT(Read({"-t=false", "c1", "--", "-d", "-t"}, true), ElementsAre("c1", "--", "-d", "-t"));
  EXPECT_FALSE(tty);
  EXPECT_FALSE(detach);
}

TEST_F(Flags, ValuesMayLookLikeFlags) {
  Read({"--cwd", "-t", "-e", "A=-d", "--quota", "-1", "-e=B=", "-e", "[C=1,2]", "-u", ""});
  EXPECT_EQ(cwd, "-t");
  EXPECT_EQ(user, "");
  EXPECT_THAT(env, ElementsAre("A=-d", "B=", "[C=1,2]"));
  EXPECT_EQ(quota, -1);
  EXPECT_FALSE(tty);
}

TEST_F(Flags, DashAndNegativeNumbersAreArguments) {
  EXPECT_THAT(Read({"-", "-9"}), ElementsAre("-", "-9"));
  EXPECT_EQ(Error({"-9", "c1"}), "flag provided but not defined: -9");
}

TEST_F(Flags, ErrorsNameWhatWasWritten) {
  EXPECT_EQ(Error({"-frob=3"}), "flag provided but not defined: -frob");
  EXPECT_EQ(Error({"c1", "--frob", "x"}), "flag provided but not defined: --frob");
  EXPECT_EQ(Error({"-td"}), "flag provided but not defined: -td");
  EXPECT_EQ(Error({"-u0"}), "flag provided but not defined: -u0");
  EXPECT_EQ(Error({"---tty"}), "flag provided but not defined: ---tty");
  EXPECT_EQ(Error({"-=x"}), "flag provided but not defined: -");
  EXPECT_EQ(Error({"-cwd"}), "flag needs an argument: -cwd");
  EXPECT_EQ(Error({"-quota", "abc"}), "invalid value \"abc\" for flag -quota");
  EXPECT_EQ(Error({"-t=frob"}), "invalid value \"frob\" for flag -t");
  EXPECT_EQ(Error({"--tty="}), "invalid value \"\" for flag --tty");
}

}  // namespace
}  // namespace kata::runtime
