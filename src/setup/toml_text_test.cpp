// SPDX-License-Identifier: Apache-2.0
#include "setup/toml_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kata::setup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

const std::vector<std::string> kRuntimes = {"plugins", "io.containerd.grpc.v1.cri", "containerd", "runtimes", "kata"};

std::vector<Setting> Wanted() {
  return {{{"plugins", "io.containerd.grpc.v1.cri", "containerd", "default_runtime_name"}, "kata", true},
          {kRuntimes, Json{{"runtime_type", "io.containerd.kata.v2"}, {"options", {{"ConfigPath", "/c \"x\".toml"}}}}}};
}

std::string Put(const std::string& text, const std::vector<Setting>& settings = Wanted()) {
  const auto missing = Missing(*ParseToml(text), settings);
  const auto changed = missing ? PutToml(text, *missing, {}) : tl::unexpected(missing.error());
  EXPECT_TRUE(changed) << text << changed.error().message();
  return changed.value_or("");
}

constexpr const char* kTexts[] = {
    "",
    "\n",
    "# only a comment",
    "version = 2\n",
    "version = 2",
    "version = 2\r\n[grpc]\r\naddress = \"/a\" # where\r\n",
    "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n  default_runtime_name = \"runc\" # mine\n  x = "
    "1\n",
    "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\n  default_runtime_name = \"runc\"",
    "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]",
    "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n[debug]\nlevel = \"\"\"\nmany\nlines\"\"\"\n",
    "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\nruntime_type = \"r\"\n[times]\nat = "
    "1979-05-27\n",
};

TEST(TomlText, WhatIsPutInIsThereAndIsTakenOutByteForByte) {
  for (const std::string text : kTexts) {
    const std::string changed = Put(text);
    EXPECT_NE(changed, text);
    const auto parsed = ParseToml(changed);
    ASSERT_TRUE(parsed) << changed;
    EXPECT_EQ(*parsed, With(*ParseToml(text), Wanted())) << changed;
    const auto taken = TakeToml(changed);
    ASSERT_TRUE(taken) << changed;
    EXPECT_TRUE(taken->found);
    EXPECT_EQ(taken->text, text);
    const auto again = TakeToml(text);
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->found);
    EXPECT_EQ(again->text, text);
  }
}

TEST(TomlText, LinesThatSomebodyAddsMeanwhileStay) {
  for (const std::string text : kTexts) {
    const std::string changed = "# above\n" + Put(text) + "# below\n";
    const auto taken = TakeToml(changed);
    ASSERT_TRUE(taken);
    // Where the text had no newline at its end, the one before the block has become a line's.
    const bool ended = text.empty() || text.ends_with('\n');
    EXPECT_EQ(taken->text, "# above\n" + text + (ended ? "" : "\n") + "# below\n");
  }
}

TEST(TomlText, BlocksWithoutTheirOtherLineAreRefused) {
  const std::string changed = Put("a = 1\n");
  const std::string end = "# kata-runtime setup: end\n";
  EXPECT_THAT(TakeToml(changed.substr(0, changed.size() - end.size())).error().message(), HasSubstr("without its end"));
  EXPECT_THAT(TakeToml("a = 1\n" + end).error().message(), HasSubstr("line 2"));
  EXPECT_THAT(TakeToml(changed.substr(0, changed.size() - end.size()) + changed).error().message(),
              HasSubstr("in another"));
}

TEST(TomlText, TheMarkersRememberWhatWasMade) {
  const auto changed = PutToml("", Wanted(), {"/etc/a b/c.conf", "/etc/a b"});
  ASSERT_TRUE(changed);
  EXPECT_THAT(TakeToml(*changed)->made, ElementsAre("/etc/a b/c.conf", "/etc/a b"));
}

TEST(TomlText, FormsThatAllowNoChangeAreRefused) {
  for (const char* const text :
       {"plugins = { }\n", "[plugins]\n\"io.containerd.grpc.v1.cri\" = { containerd = { x = 1 } }\n"}) {
    const auto changed = PutToml(text, Wanted(), {});
    ASSERT_FALSE(changed) << *changed;
    EXPECT_EQ(changed.error().code(), Code::kFailedPrecondition);
    EXPECT_EQ(changed.error().message().find('\n'), std::string::npos);
  }
}

TEST(TomlText, WhatDoesNotParseIsRefusedWithItsLine) {
  for (const char* const text : {"a = 1\nb = \n", "a = 1\na = 2\n", "a = 1\n[x\n"}) {
    EXPECT_THAT(ParseToml(text).error().message(), HasSubstr("line 2 is no TOML")) << text;
  }
  EXPECT_FALSE(ParseToml("a = \"\xff\"\n"));
}

TEST(TomlText, OtherValuesOfTheSameNameAreRefused) {
  const std::string text =
      "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\nruntime_type = \"other\"\n";
  const auto missing = Missing(*ParseToml(text), Wanted());
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message(), HasSubstr("runtimes.kata is there already with other values"));
  EXPECT_FALSE(Missing(*ParseToml("plugins = 3\n"), Wanted()));
  EXPECT_THAT(*Missing(*ParseToml(Put("")), Wanted()), ElementsAre());
}

}  // namespace
}  // namespace kata::setup
