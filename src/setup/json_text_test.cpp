// SPDX-License-Identifier: Apache-2.0
#include "setup/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kata::setup {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

std::vector<Setting> Runtimes() {
  return {{{"runtimes", "kata"}, Json{{"path", "/usr/bin/kata-runtime"}, {"runtimeArgs", {"--config", "/c"}}}},
          {{"runtimes", "kata-v2"}, Json{{"runtimeType", "io.containerd.kata.v2"}}},
          {{"default-runtime"}, "kata", true}};
}

std::string PutInto(const std::string& text) {
  const auto missing = Missing(*ParseJsonObject(text), Runtimes());
  const auto changed = missing ? PutJson(text, *missing) : tl::unexpected(missing.error());
  EXPECT_TRUE(changed) << text << changed.error().message();
  return changed.value_or("");
}

constexpr const char* kJsonTexts[] = {
    "",
    " \n",
    "{}",
    "{\n}\n",
    "  { }  \n",
    "{\"debug\": true}",
    "{\n  \"debug\" : true\n}\n",
    "{\n\t\"runtimes\": {\n\t\t\"crun\": {\"path\": \"/usr/bin/crun\"}\n\t},\n\t\"default-runtime\": \"crun\"\n}\n",
    "{\r\n    \"runtimes\": {},\r\n    \"list\": [1, {\"a\": \"}]\\\\\\\"\"}, -2.5e3]\r\n}",
    "{\"runtimes\":{\"kata-v2\":{\"runtimeType\":\"io.containerd.kata.v2\"}},\"default-runtime\":\"kata\"}\n",
    "{\"runt\\u0069mes\": {\"x\": {\"path\": \"/x\"}}, \"a\": null}",
};

TEST(JsonText, WhatIsPutInIsThereAndIsTakenOutByteForByte) {
  for (const std::string text : kJsonTexts) {
    const std::string changed = PutInto(text);
    EXPECT_EQ(*ParseJsonObject(changed), With(*ParseJsonObject(text), Runtimes())) << changed;
    const auto taken = TakeJson(changed, text, Runtimes());
    ASSERT_TRUE(taken) << changed << taken.error().message();
    EXPECT_EQ(*taken, text);
  }
}

TEST(JsonText, TheFormOfTheFileIsKept) {
  EXPECT_EQ(PutInto("{\n    \"debug\": true\n}\n"), R"({
    "debug": true,
    "runtimes": {
        "kata": {
            "path": "/usr/bin/kata-runtime",
            "runtimeArgs": [
                "--config",
                "/c"
            ]
        },
        "kata-v2": {
            "runtimeType": "io.containerd.kata.v2"
        }
    },
    "default-runtime": "kata"
}
)");
}

// Members that somebody adds later, before, between and behind ours, stay with their white space.
TEST(JsonText, WhatSomebodyAddsMeanwhileStays) {
  for (const std::string text : kJsonTexts) {
    std::string changed = PutInto(text);
    const size_t brace = changed.find('{');
    changed.insert(brace + 1, "\"first\": {\"x\" : [ ]},");
    changed.insert(changed.rfind('}'), ",\n \"last\": \"default-runtime\" ");
    const size_t runtimes = changed.find('{', changed.find("mes\"", brace));
    changed.insert(runtimes + 1, "\"mine\":{ \"path\":\"/mine\" }, ");
    auto expected = *ParseJsonObject(text);
    expected["first"] = {{"x", Json::array()}};
    expected["last"] = "default-runtime";
    expected["runtimes"]["mine"] = {{"path", "/mine"}};
    const auto taken = TakeJson(changed, text, Runtimes());
    ASSERT_TRUE(taken) << changed << taken.error().message();
    EXPECT_EQ(*ParseJsonObject(*taken), expected) << *taken;
    for (const char* const piece :
         {"\"first\": {\"x\" : [ ]}", " \"last\": \"default-runtime\" ", "\"mine\":{ \"path\":\"/mine\" }"}) {
      EXPECT_THAT(*taken, HasSubstr(piece));
    }
  }
}

TEST(JsonText, ALaterChoiceOfTheDefaultStays) {
  std::string changed = PutInto("{\"default-runtime\": \"runc\"}");
  changed.replace(changed.find("\"default-runtime\": \"kata\""), 25, "\"default-runtime\": \"crun\"");
  EXPECT_EQ(*TakeJson(changed, "{\"default-runtime\": \"runc\"}", Runtimes()), "{\"default-runtime\": \"crun\"}");
}

TEST(JsonText, TheSameProgramElsewhereIsStillOurs) {
  std::string changed = PutInto("{}");
  changed.replace(changed.find("/usr/bin/"), 9, "/opt/kata/bin/");
  EXPECT_EQ(*TakeJson(changed, "{}", Runtimes()), "{}");
}

TEST(JsonText, AChangedSettingIsNotTakenOut) {
  std::string changed = PutInto("{}");
  changed.replace(changed.find("--config"), 8, "--debug");
  EXPECT_THAT(TakeJson(changed, "{}", Runtimes()).error().message(), HasSubstr("runtimes.kata is not what was put in"));
}

TEST(JsonText, OddFilesAreRefused) {
  for (const char* const text :
       {"[]", "3", "{", "{\"a\":1}}", "{\"a\":1,}", "// c\n{}", "\xEF\xBB\xBF{}", "{\"a\":\"\xff\"}"}) {
    EXPECT_FALSE(ParseJsonObject(text)) << text;
  }
  EXPECT_FALSE(Missing(*ParseJsonObject("{\"runtimes\": []}"), Runtimes()));
  EXPECT_FALSE(Missing(*ParseJsonObject("{\"runtimes\": {\"kata\": {\"path\": \"/other\"}}}"), Runtimes()));
  // Docker, too, takes the last of two members of one name.
  const auto twice = PutJson("{\"runtimes\": {}, \"runtimes\": {\"x\": {}}}", Runtimes());
  ASSERT_FALSE(twice) << *twice;
  EXPECT_THAT(twice.error().message(), HasSubstr("stands twice"));
}

}  // namespace
}  // namespace kata::setup
