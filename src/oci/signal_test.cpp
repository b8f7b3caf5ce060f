// SPDX-License-Identifier: Apache-2.0
#include "oci/signal.h"

#include <gtest/gtest.h>

#include <csignal>

namespace kata::oci {
namespace {

TEST(ParseSignal, TakesNamesAndNumbers) {
  for (const char* text : {"TERM", "SIGTERM", "sigterm", "term", "15"})
    EXPECT_EQ(ParseSignal(text).value_or(0), SIGTERM);
  EXPECT_EQ(ParseSignal("KILL").value_or(0), SIGKILL);
  EXPECT_EQ(ParseSignal("IOT").value_or(0), SIGABRT);
  EXPECT_EQ(ParseSignal("SIGRTMIN").value_or(0), 34);
  EXPECT_EQ(ParseSignal("SIGRTMIN+1").value_or(0), 35);
  EXPECT_EQ(ParseSignal("RTMAX-14").value_or(0), 50);
  EXPECT_EQ(ParseSignal("64").value_or(0), 64);
}

TEST(ParseSignal, RefusesTheRest) {
  for (const char* text : {"", "SIG", "FOO", "0", "65", "-1", "99999999999", "15x", " 15", "RTMIN+31", "RTMAX+1",
                           "RTMIN-1", "RTMIN+", "RTMIN+-1", "RTMIN1"}) {
    EXPECT_FALSE(ParseSignal(text)) << text;
  }
  EXPECT_EQ(ParseSignal("FOO").error().message(), "unknown signal \"FOO\"");
}

TEST(SignalName, IsTheInverse) {
  EXPECT_EQ(SignalName(SIGABRT), "SIGABRT");
  for (int number = 1; number <= 64; ++number) {
    EXPECT_EQ(ParseSignal(SignalName(number)).value_or(0), number);
  }
}

}  // namespace
}  // namespace kata::oci
