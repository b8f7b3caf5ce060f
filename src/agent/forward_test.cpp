// SPDX-License-Identifier: Apache-2.0
// Port forwarding to real servers on this host's loopback.
#include "agent/forward.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/process.h"
#include "base/files.h"

namespace kata::agent {
namespace {

class ForwardTest : public testing::Test {
 protected:
  ForwardTest() : listener_(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin6_family = AF_INET6;
    address_.sin6_addr = in6addr_loopback;
    socklen_t size = sizeof address_;
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address_), size), 0);
    EXPECT_EQ(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address_), &size), 0);
  }
  void Start() {
    auto pipes = MakePipes(false, 0, 0, 0);
    ASSERT_TRUE(pipes);
    auto started = StartForward(ntohs(address_.sin6_port), std::move(pipes->child));
    ASSERT_TRUE(started) << started.error().message();
    process_ = std::move(*started);
    in_ = std::move(pipes->stdin_write);
    out_ = std::move(pipes->stdout_read);
  }
  UniqueFd Accept() const { return UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  int Status() const {
    int status = -1;
    EXPECT_EQ(waitpid(process_.pid, &status, 0), process_.pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  UniqueFd listener_;
  sockaddr_in6 address_{};
  StartedProcess process_;
  UniqueFd in_, out_;
};

TEST_F(ForwardTest, BothWaysUntilTheServerCloses) {
  ASSERT_EQ(listen(listener_.get(), 1), 0);
  Start();
  UniqueFd server = Accept();
  ASSERT_TRUE(server);
  ASSERT_TRUE(WriteAll(in_.get(), "question"));
  in_.Reset();
  EXPECT_EQ(*ReadAll(server.get(), 100), "question") << "and the end of it";
  ASSERT_TRUE(WriteAll(server.get(), "answer"));
  server.Reset();
  EXPECT_EQ(*ReadAll(out_.get(), 100), "answer");
  EXPECT_EQ(Status(), 0);
}

TEST_F(ForwardTest, AClientThatDoesNotReadBlocksNothingElse) {
  ASSERT_EQ(listen(listener_.get(), 1), 0);
  Start();
  UniqueFd server = Accept();
  ASSERT_TRUE(server);
  // Fills all buffers on the way.
  const std::string much(65536, 'x');
  while (send(server.get(), much.data(), much.size(), MSG_DONTWAIT) > 0) continue;
  ASSERT_TRUE(WriteAll(in_.get(), "still heard"));
  std::string heard(11, '\0');
  EXPECT_EQ(recv(server.get(), heard.data(), heard.size(), MSG_WAITALL), 11);
  EXPECT_EQ(heard, "still heard");
  out_.Reset();
  in_.Reset();
  server.Reset();
  (void)Status();
}

TEST_F(ForwardTest, NobodyListens) {
  Start();
  EXPECT_EQ(ReadAll(out_.get(), 100)->size(), 0U);
  EXPECT_EQ(Status(), 1);
}

}  // namespace
}  // namespace kata::agent
