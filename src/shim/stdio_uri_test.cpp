// SPDX-License-Identifier: Apache-2.0
#include "shim/stdio_uri.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sandbox/testing/run.h"

namespace kata::shim {
namespace {

TEST(StdioUri, AreTakenApart) {
  EXPECT_EQ(ParseStdioUri("")->kind, StdioUri::Kind::kNone);
  auto plain = ParseStdioUri("/run/a?b%20");
  EXPECT_EQ(plain->kind, StdioUri::Kind::kFifo);
  EXPECT_EQ(plain->path, "/run/a?b%20");
  EXPECT_EQ(ParseStdioUri("fifo:///run/x")->path, "/run/x");
  EXPECT_EQ(ParseStdioUri("file:///run/a%20b")->path, "/run/a b");
  auto binary = ParseStdioUri("binary:///bin/logger?key=a%26b&flag&=x");
  EXPECT_EQ(binary->kind, StdioUri::Kind::kBinary);
  EXPECT_EQ(binary->path, "/bin/logger");
  using Values = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(binary->values, (Values{{"key", "a&b"}, {"flag", ""}, {"", "x"}}));
}

TEST(StdioUri, WhatIsNoneIsAnError) {
  for (const char* text : {"relative", "tcp://1.2.3.4:5", "fifo://relative", "file:/x", "standin:12"}) {
    auto parsed = ParseStdioUri(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Code::kInvalidArgument);
  }
}

class UriStdioTest : public sandbox::testing::LoopTest {
 protected:
  Result<sandbox::AttachedStdio> Attach(const std::string& in, const std::string& out, const std::string& err) {
    UriStdioSource source(io_.get_executor(), "default", sandbox::MountNamespaces(), loggers_);
    sandbox::StdioRequest request{.container = "c1", .in = in, .out = out, .err = err};
    return Await(source.Attach(std::move(request)));
  }
  sandbox::testing::TempDir dir_;
  std::shared_ptr<Loggers> loggers_ = std::make_shared<Loggers>(io_.get_executor());
};

TEST_F(UriStdioTest, AFifoThatNobodyReadsIsNoHindrance) {
  const std::string fifo = dir_.path() + "/out";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_TRUE(Attach("", fifo, fifo));
  EXPECT_TRUE(Attach(fifo, "", "")) << "nor one that nobody writes";
}

TEST_F(UriStdioTest, AFileIsAppendedTo) {
  const std::string file = dir_.Write("log", "before\n");
  ASSERT_TRUE(Attach("", "file://" + file, "file://" + file));
  EXPECT_EQ(*ReadFile(file), "before\n");
}

TEST_F(UriStdioTest, MistakesNameTheStream) {
  struct {
    const char* in;
    const char* out;
    const char* err;
    const char* message;
  } const cases[] = {{"file:///x", "", "", "stdin: file:///x is no FIFO"},
                     {"/no/such", "", "", "stdin: "},
                     {"", "/no/such", "", "stdout: "},
                     {"", "", "bad", "stderr: "},
                     {"", "binary:///bin/true", "", "stderr: "},
                     {"", "binary:///no/such", "binary:///no/such", "cannot start the logger /no/such"}};
  for (const auto& each : cases) {
    auto attached = Attach(each.in, each.out, each.err);
    ASSERT_FALSE(attached) << each.message;
    EXPECT_EQ(attached.error().message().find(each.message), 0U) << attached.error().message();
  }
}

}  // namespace
}  // namespace kata::shim
