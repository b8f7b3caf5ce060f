// SPDX-License-Identifier: Apache-2.0
#include "agent/process_list.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/child.h"
#include "base/files.h"
#include "protocol/guest_contract.h"

namespace kata::agent {
namespace {

// The names of a container with one user.
const UserNames& Names() {
  static const UserNames* const names = [] {
    char directory[] = "/tmp/kata-names-XXXXXX";
    EXPECT_NE(mkdtemp(directory), nullptr);
    const std::string root = directory;
    std::filesystem::create_directory(root + "/etc");
    std::ofstream(root + "/etc/passwd") << "web:x:1234:5:::\nsecond:x:1234:5:::\n";
    auto* made = new UserNames(Open(root, O_PATH | O_DIRECTORY)->get());
    std::filesystem::remove_all(root);
    return made;
  }();
  return *names;
}

TEST(ProcessListTest, ListsWhatRunsAndLeavesOutTheRest) {
  Command command;
  command.argv = {"/bin/sleep", "1000"};
  command.credentials = Command::Credentials{1234, 1234, {}};
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  const std::string list = ListProcesses({child->pid(), 1 << 30}, Names());
  EXPECT_TRUE(
      list.starts_with(fmt::format(R"([{{"pid":{},"ppid":{},"uid":1234,"c":0,"stime":")", child->pid(), getpid())))
      << list;
  EXPECT_NE(list.find(R"("time":"00:00:00","cmd":"/bin/sleep 1000","gid":1234,"ruid":1234,"rgid":1234,)"), list.npos)
      << list;
  EXPECT_NE(list.find(fmt::format(R"( {} {} )", getpid(), getpgrp())), list.npos) << "the fields of stat: " << list;
  EXPECT_TRUE(list.ends_with(R"("comm":"sleep","user":"web","group":"","ruser":"web","rgroup":""}])")) << list;
}

TEST(ProcessListTest, NothingIsAnEmptyArray) { EXPECT_EQ(ListProcesses({1 << 30}, Names()), "[]"); }

TEST(ProcessListTest, CommandsAreJsonWhateverTheyHold) {
  Command command;
  command.argv = {"/bin/sh", "-c", "read x # \"quoted\\ \n\x01 \xc3\xa4 \xff\xc3"};
  int fds[2];
  ASSERT_EQ(pipe(fds), 0);
  command.stdin_fd = fds[0];
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  const std::string list = ListProcesses({child->pid()}, Names());
  EXPECT_NE(list.find(R"(read x # \"quoted\\ \u000a\u0001 )"
                      "\xc3\xa4"
                      R"( \ufffd\ufffd")"),
            std::string::npos)
      << list;
  close(fds[0]);
  close(fds[1]);
}

TEST(ProcessListTest, LongCommandsAreCut) {
  Command command;
  command.argv = {"/bin/sleep", "1000"};
  for (int i = 0; i < 8; ++i) command.argv.push_back(std::string(1000, '0'));
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  const std::string list = ListProcesses({child->pid()}, Names());
  EXPECT_GT(list.size(), 4000U);
  EXPECT_LT(list.size(), 5000U);
}

TEST(ProcessListTest, NobodyIsLeftOutForTheLengthOfCommands) {
  Command command;
  command.argv = {"/bin/sleep", "1000"};
  // Each byte of it takes six of the list.
  for (int i = 0; i < 8; ++i) command.argv.push_back(std::string(1000, '\x01'));
  auto child = Spawn(command);
  ASSERT_TRUE(child);
  const std::vector<pid_t> pids(contract::kMaxListedProcesses + 1, child->pid());
  const std::string list = ListProcesses(pids, Names());
  size_t rows = 0;
  for (size_t at = list.find(R"({"pid":)"); at != list.npos; at = list.find(R"({"pid":)", at + 1)) ++rows;
  EXPECT_EQ(rows, contract::kMaxListedProcesses);
  EXPECT_LT(list.size(), contract::kMaxListBytes);
}

}  // namespace
}  // namespace kata::agent
