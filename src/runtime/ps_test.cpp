// SPDX-License-Identifier: Apache-2.0
// How `ps` parses the guest's rows and the options of ps(1).
#include <gmock/gmock.h>
#include <stdlib.h>

#include "runtime/ps_options.h"

namespace kata::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Started 3720 s before it was listed, at 2026-01-02T03:04:05Z, with 75 s of CPU time.
constexpr char kRow[] =
    R"({"pid":12,"ppid":1,"uid":1001,"gid":5,"ruid":0,"rgid":424242,"c":2,"stime":"x","tty":"pts/0","time":"x",)"
    R"("cmd":"sleep 9","comm":"sleep","user":"web","group":"","ruser":"","rgroup":"","now":1767323045,"up":5000,)"
    R"("memory":1073741824,"stat":"S 1 12 12 34816 12 4194560 100 0 0 0 7000 500 0 0 20 0 2 0 128000 8388608 2560 )"
    R"(18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0"})";

std::vector<GuestProcess> Processes() {
  setenv("TZ", "UTC", 1);
  return {*ParseGuestProcess(kRow)};
}

std::string Show(const std::vector<std::string>& words) {
  const auto view = ParsePsOptions(words);
  EXPECT_TRUE(view) << view.error().message();
  return view ? ShowProcesses(*view, Processes()) : "";
}

std::string Refusal(const std::vector<std::string>& words) {
  const auto view = ParsePsOptions(words);
  return view ? "accepted" : view.error().message();
}

TEST(Ps, WithoutOptionsIsFull) {
  const std::string full =
      "UID          PID    PPID  C STIME TTY          TIME CMD\n"
      "web           12       1  2 02:02 pts/0    00:01:15 sleep 9\n";
  EXPECT_EQ(Show({}), full);
  for (const char* words : {"-ef", "-f", "-Af"}) EXPECT_EQ(Show({words}), full) << words;
  EXPECT_EQ(Show({"-e", "-f"}), full);
}

TEST(Ps, TheUsualFormats) {
  EXPECT_EQ(Show({"-e"}), "    PID TTY          TIME CMD\n     12 pts/0    00:01:15 sleep\n");
  EXPECT_THAT(Show({"-e", "-x"}), testing::StartsWith("    PID TTY      STAT   TIME COMMAND\n"));
  EXPECT_EQ(Show({"aux"}),
            "USER         PID %CPU %MEM    VSZ   RSS TTY      STAT  START   TIME COMMAND\n"
            "web           12  2.0  0.9   8192 10240 pts/0    Ssl+  02:02   1:15 sleep 9\n");
  EXPECT_EQ(Show({"-aux"}), Show({"aux"}));
  EXPECT_EQ(Show({"-el"}),
            "F S   UID     PID    PPID  C PRI  NI ADDR    SZ WCHAN  TTY          TIME CMD\n"
            "4 S  1001      12       1  2  80   0 -     2048 -      pts/0    00:01:15 sleep\n");
  EXPECT_EQ(Show({"-ejf"}),
            "UID          PID    PPID    PGID     SID  C STIME TTY          TIME CMD\n"
            "web           12       1      12      12  2 02:02 pts/0    00:01:15 sleep 9\n");
  EXPECT_EQ(Show({"ax"}), "    PID TTY      STAT   TIME COMMAND\n     12 pts/0    Ssl+   1:15 sleep 9\n");
  EXPECT_THAT(Show({"-eF"}), HasSubstr("   SZ   RSS PSR STIME"));
}

TEST(Ps, ColumnsOfOnesOwn) {
  const std::string pids = "    PID COMMAND\n     12 sleep\n";
  EXPECT_EQ(Show({"-o", "pid,comm"}), pids);
  EXPECT_EQ(Show({"-eo", "pid,comm"}), pids);
  EXPECT_EQ(Show({"-opid,comm"}), pids);
  EXPECT_EQ(Show({"-o", "pid", "-o", "comm"}), pids);
  EXPECT_EQ(Show({"axo", "pid comm"}), pids);
  EXPECT_EQ(Show({"--format=pid,comm"}), pids);
  EXPECT_EQ(Show({"-o", "pid=,comm="}), "     12 sleep\n");
  EXPECT_EQ(Show({"-o", "pid=ID,comm"}), "     ID COMMAND\n     12 sleep\n");
  EXPECT_EQ(Show({"-o", "comm:8,pid", "--no-headers"}), "sleep         12\n");
  EXPECT_EQ(Show({"h", "-o", "args"}), "sleep 9\n");
  EXPECT_EQ(Show({"-o", "user=,uid=,ruser=,rgroup=,rgid=,etime=,stat=,vsz=,rss="}),
            "web       1001 root     424242   424242    01:02:00 Ssl+   8192 10240\n");
}

// The host's name if the container has none, and the number if neither has one.
TEST(Ps, Names) {
  const GuestProcess process = Processes()[0];
  EXPECT_EQ(process.user, "web");
  EXPECT_EQ(process.real_user, "root");
  EXPECT_EQ(process.real_user_group, "424242");
}

TEST(Ps, ChoosesAndSorts) {
  EXPECT_EQ(Show({"-p", "13", "-o", "pid="}), "");
  EXPECT_EQ(Show({"-fp", "13,12", "--no-headers"}), "web           12       1  2 02:02 pts/0    00:01:15 sleep 9\n");
  const auto view = ParsePsOptions({"-o", "pid=", "--sort", "-rss,+pid"});
  ASSERT_TRUE(view) << view.error().message();
  std::vector<GuestProcess> several(3);
  for (int64_t i = 0; i < 3; ++i) several[static_cast<size_t>(i)].pid = 3 - i;
  several[1].resident = 90000;
  EXPECT_EQ(ShowProcesses(*view, several), "      2\n      1\n      3\n");
}

TEST(Ps, WhatIsUnknownIsAnError) {
  EXPECT_EQ(Refusal({"-o", "pid,frob"}), "ps: unknown user-defined format specifier \"frob\"");
  EXPECT_EQ(Refusal({"-eT"}), "ps: the option \"-T\" is unknown, or not supported for processes in a virtual machine");
  EXPECT_THAT(Refusal({"auxf"}), HasSubstr("the option \"f\""));
  EXPECT_THAT(Refusal({"--forest"}), HasSubstr("the option \"--forest\""));
  EXPECT_THAT(Refusal({"-u", "root"}), HasSubstr("the option \"-u\""));
  EXPECT_THAT(Refusal({"-"}), HasSubstr("the option \"-\""));
  EXPECT_THAT(Refusal({"-p", "x"}), HasSubstr("\"x\" is no process id"));
  EXPECT_EQ(Refusal({"-o"}), "ps: the option \"-o\" needs a value");
  EXPECT_EQ(Refusal({"-ef", "-o", "pid"}), "ps: conflicting format options");
  EXPECT_EQ(Refusal({"aux", "-f"}), "ps: conflicting format options");
  EXPECT_EQ(Refusal({"-o", "pid:0"}), "ps: \"pid:0\" has a width that is none");
}

TEST(Ps, RowsOfAHostileGuest) {
  EXPECT_FALSE(ParseGuestProcess("[1]"));
  EXPECT_FALSE(ParseGuestProcess("{"));
  const auto empty = ParseGuestProcess("{}");
  ASSERT_TRUE(empty);
  EXPECT_EQ(ShowProcesses(*ParsePsOptions({"-o", "pid=,stat=,etime="}), {*empty}), "      0 ?s+        00:00\n");
  const auto odd = ParseGuestProcess(
      R"({"pid":-1,"uid":99999999999,"user":"a\u001b[2Jb","stat":"R 9223372036854775807 x -5","now":9223372036854775807,)"
      R"("up":9223372036854775807,"memory":-1})");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->user, "a?[2Jb");
  EXPECT_EQ(odd->uid, 0U);
  EXPECT_THAT(PsTable(ParsePsOptions({"aux"})->columns, {*odd}), HasSubstr("a?[2Jb"));
  EXPECT_THAT(PsTable(ParsePsOptions({"-o", "lstart,start,etime,pri,c,%mem"})->columns, {*odd}), HasSubstr("STARTED"));
}

}  // namespace
}  // namespace kata::runtime
