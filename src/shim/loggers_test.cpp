// SPDX-License-Identifier: Apache-2.0
#include "shim/loggers.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/process_table.h"
#include "sandbox/testing/run.h"

namespace kata::shim {
namespace {

class LoggersTest : public sandbox::testing::LoopTest {
 protected:
  // A shell that reads its standard input as a logger reads its pipe.
  Child Logger(const std::string& script) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    output_ = UniqueFd(ends[1]);
    const UniqueFd input(ends[0]);
    Command command;
    command.argv = {"/bin/sh", "-c", script};
    command.stdin_fd = input.get();
    command.die_with_parent = false;
    return *Spawn(command);
  }
  sandbox::testing::TempDir dir_;
  UniqueFd output_;
  std::shared_ptr<Loggers> loggers_ = std::make_shared<Loggers>(io_.get_executor());
};

TEST_F(LoggersTest, MayWriteTheirLastLinesAfterTheEndOfTheOutput) {
  const std::string log = dir_.path() + "/log";
  Child logger = Logger("cat > " + log + "; sleep 0.3; echo last >> " + log);
  const pid_t pid = logger.pid();
  loggers_->Add("c1", "", std::move(logger));
  ASSERT_TRUE(WriteAll(output_.get(), "line\n"));
  output_.Reset();
  Await(loggers_->Finish("c1", ""));
  EXPECT_EQ(*ReadFile(log), "line\nlast\n");
  EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), -1) << "it has been reaped";
}

TEST_F(LoggersTest, AreReapedWithoutBeingAskedFor) {
  Child logger = Logger("exit 3");
  const pid_t pid = logger.pid();
  loggers_->Add("c1", "e1", std::move(logger));
  RunUntil([&] { return kill(pid, 0) != 0; });
}

TEST_F(LoggersTest, OfOtherProcessesAreNotWaitedFor) {
  Child logger = Logger("cat");
  const pid_t pid = logger.pid();
  loggers_->Add("c1", "e1", std::move(logger));
  Await(loggers_->Finish("c1", ""));
  Await(loggers_->Finish("c1", "e2"));
  EXPECT_EQ(kill(pid, 0), 0);
  output_.Reset();
  Await(loggers_->FinishAll());
  EXPECT_NE(kill(pid, 0), 0);
}

}  // namespace
}  // namespace kata::shim
