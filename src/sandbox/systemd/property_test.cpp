// SPDX-License-Identifier: Apache-2.0
#include "sandbox/systemd/property.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kata::sandbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kPrefix[] = "org.systemd.property.";

Property Parsed(const std::string& name, const std::string& text) {
  auto properties = PropertiesOf({{kPrefix + name, text}});
  if (!properties || properties->size() != 1) {
    ADD_FAILURE() << name << "=" << text << ": " << (properties ? "none" : properties.error().message());
    return {};
  }
  return properties->front();
}

template <typename Value>
void Expect(const char* text, const char* type, Value value) {
  const Property property = Parsed("Name", text);
  EXPECT_EQ(property.type, type) << text;
  EXPECT_EQ(property.value, Property::Value(value)) << text;
}

TEST(Properties, OnlyThoseOfSystemd) {
  const auto none = PropertiesOf({{"org.systemd", "1"}, {"io.katacontainers.x", "y"}});
  ASSERT_TRUE(none);
  EXPECT_THAT(*none, IsEmpty());
}

TEST(Properties, Values) {
  Expect("37", "i", uint64_t{37});
  Expect(" -5 ", "i", int64_t{-5});
  Expect("uint64 10000000", "t", uint64_t{10000000});
  Expect("@t 18446744073709551615", "t", UINT64_MAX);
  Expect("byte 255", "y", uint64_t{255});
  Expect("int16 -32768", "n", int64_t{-32768});
  Expect("uint16 65535", "q", uint64_t{65535});
  Expect("uint32 4294967295", "u", uint64_t{4294967295});
  Expect("int64 -1", "x", int64_t{-1});
  Expect("1.5", "d", 1.5);
  Expect("double 2", "d", 2.0);
  Expect("true", "b", true);
  Expect("false", "b", false);
  Expect("'inactive-or-failed'", "s", std::string("inactive-or-failed"));
  Expect(R"("it's \"so\"")", "s", std::string("it's \"so\""));
  Expect("['a.service', \"b\"]", "as", std::vector<std::string>{"a.service", "b"});
  Expect("@as []", "as", std::vector<std::string>{});
}

TEST(Properties, SecondsAreMicroseconds) {
  const Property whole = Parsed("TimeoutStopSec", "7");
  EXPECT_EQ(whole.name, "TimeoutStopUSec");
  EXPECT_EQ(whole.type, "t");
  EXPECT_EQ(whole.value, Property::Value(uint64_t{7000000}));
  EXPECT_EQ(Parsed("RuntimeMaxSec", "0.5").value, Property::Value(uint64_t{500000}));
  EXPECT_EQ(Parsed("XSec", "7").name, "XSec") << "no lower case before it";
}

TEST(Properties, Malformed) {
  for (const char* text : {"",
                           " ",
                           "x",
                           "'",
                           "'a",
                           "a'",
                           "'a' b",
                           "1 2",
                           "uint64",
                           "uint64 -1",
                           "uint64 x",
                           "byte 256",
                           "int16 32768",
                           "2147483648",
                           "-2147483649",
                           "uint64 18446744073709551616",
                           "string 'a'",
                           "@s 1",
                           "@b 1",
                           "[",
                           "['a'",
                           "['a' 'b']",
                           "[1, 2]",
                           "['a',]",
                           "'\\n'",
                           "'\\",
                           "(1, 2)",
                           "{}",
                           "<1>",
                           "1.5.2",
                           "0x10",
                           "true false",
                           "@t true",
                           "nan"}) {
    const auto wrong = PropertiesOf({{std::string(kPrefix) + "Name", text}});
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(wrong.error().message(), HasSubstr("value parse error"));
  }
  for (const char* seconds : {"-1", "'1'", "true", "1e300", "uint64 18446744073709551615"}) {
    EXPECT_FALSE(PropertiesOf({{std::string(kPrefix) + "TimeoutStopSec", seconds}})) << seconds;
  }
  for (const char* name : {"", "ab", "A1c", "Kill Signal", "Ab\xc3\xa9", "A.b"}) {
    const auto wrong = PropertiesOf({{std::string(kPrefix) + name, "1"}});
    ASSERT_FALSE(wrong) << name;
    EXPECT_THAT(wrong.error().message(), HasSubstr("name incorrect"));
  }
}

TEST(Properties, NoneThatReachesFurther) {
  for (const char* name : {"FailureAction", "SuccessAction", "JobTimeoutAction", "OnFailure", "OnSuccess", "PIDs",
                           "Slice", "Controller", "Delegate"}) {
    const auto wrong = PropertiesOf({{std::string(kPrefix) + name, "'x'"}});
    ASSERT_FALSE(wrong) << name;
    EXPECT_THAT(wrong.error().message(), HasSubstr("concerns more than the container"));
  }
}

}  // namespace
}  // namespace kata::sandbox
