// SPDX-License-Identifier: Apache-2.0
// Clients that ask a name server of the guest's loopback, on this host's; the test is the host that answers.
#include "agent/forward_names.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/process.h"
#include "base/files.h"
#include "protocol/name_frames.h"

namespace kata::agent {
namespace {

using contract::NameFrame;

struct Query {
  NameFrame frame;
  std::string message;
};

class ForwardNamesTest : public testing::Test {
 protected:
  ForwardNamesTest() {
    // A port that is free by both protocols, most likely: the kernel chooses among many.
    const UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(0x7f00000b);
    socklen_t size = sizeof address_;
    EXPECT_EQ(bind(probe.get(), Where(), size), 0);
    EXPECT_EQ(getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address_), &size), 0);
  }
  void SetUp() override {
    auto pipes = MakePipes(false, 0, 0, 0);
    ASSERT_TRUE(pipes);
    auto started = StartForwardNames(address_, std::move(pipes->child));
    ASSERT_TRUE(started) << started.error().message();
    process_ = std::move(*started);
    in_ = std::move(pipes->stdin_write);
    out_ = std::move(pipes->stdout_read);
  }
  void TearDown() override {
    in_.Reset();
    int status = -1;
    EXPECT_EQ(waitpid(process_.pid, &status, 0), process_.pid);
    EXPECT_EQ(status, 0);
  }

  const sockaddr* Where() const { return reinterpret_cast<const sockaddr*>(&address_); }
  UniqueFd Client(int type) const {
    UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(fd.get(), Where(), sizeof address_), 0);
    return fd;
  }
  static void Send(const UniqueFd& fd, std::string_view text) {
    EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  static std::string Receive(const UniqueFd& fd, size_t size) {
    std::string text(size, '\0');
    const ssize_t count = recv(fd.get(), text.data(), size, MSG_WAITALL);
    text.resize(count < 0 ? 0 : static_cast<size_t>(count));
    return text;
  }
  std::string Read(size_t size) const {
    std::string text(size, '\0');
    for (size_t at = 0; at < size;) {
      const ssize_t count = read(out_.get(), text.data() + at, size - at);
      if (count <= 0) return "";
      at += static_cast<size_t>(count);
    }
    return text;
  }
  Query Next() const {
    const std::string head = Read(contract::kNameFrameHead);
    Query query;
    if (head.empty()) return query;
    query.frame = contract::UnpackName(head);
    query.message = Read(query.frame.size);
    return query;
  }
  void Answer(NameFrame frame, std::string_view message) const {
    frame.size = static_cast<uint16_t>(message.size());
    ASSERT_TRUE(WriteAll(in_.get(), contract::PackName(frame) + std::string(message)));
  }

  sockaddr_in address_{};
  StartedProcess process_;
  UniqueFd in_, out_;
};

TEST_F(ForwardNamesTest, EachClientGetsItsOwnAnswer) {
  const UniqueFd one = Client(SOCK_DGRAM);
  const UniqueFd two = Client(SOCK_DGRAM);
  Send(one, "first");
  const Query first = Next();
  Send(two, "second");
  const Query second = Next();
  EXPECT_EQ(first.message, "first");
  EXPECT_EQ(second.message, "second");
  EXPECT_FALSE(first.frame.tcp);
  EXPECT_NE(first.frame.query, second.frame.query);
  Answer(second.frame, "to the second");
  Answer(first.frame, "to the first");
  EXPECT_EQ(Receive(two, 13), "to the second");
  EXPECT_EQ(Receive(one, 12), "to the first");
}

TEST_F(ForwardNamesTest, ByTcpInPieces) {
  const UniqueFd client = Client(SOCK_STREAM);
  for (const char piece : std::string("\0\5names", 7)) Send(client, {&piece, 1});
  const Query query = Next();
  EXPECT_EQ(query.message, "names");
  EXPECT_TRUE(query.frame.tcp);
  const std::string much(60000, 'x');
  Answer(query.frame, much);
  EXPECT_EQ(Receive(client, 60002), std::string("\xea\x60", 2) + much);
  // The same connection again, and one that gets no answer.
  Send(client, std::string("\0\3two", 5));
  Answer(Next().frame, "");
  EXPECT_EQ(Receive(client, 1), "") << "closed";
}

TEST_F(ForwardNamesTest, AnswersThatNobodyWaitsFor) {
  Answer({.query = 0}, "nobody");
  Answer({.query = 7, .tcp = false}, "nobody");
  Answer({.query = 7, .tcp = true}, "nobody");
  const UniqueFd gone = Client(SOCK_STREAM);
  Send(gone, std::string("\0\4gone", 6));
  const Query lost = Next();
  const UniqueFd client = Client(SOCK_DGRAM);
  Send(client, "here");
  const Query query = Next();
  Answer({.query = query.frame.query + 128}, "another's");
  Answer(query.frame, "yes");
  EXPECT_EQ(Receive(client, 3), "yes");
}

TEST_F(ForwardNamesTest, MoreConnectionsThanItHasRoomFor) {
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 40; ++i) idle.push_back(Client(SOCK_STREAM));
  const UniqueFd client = Client(SOCK_STREAM);
  Send(client, std::string("\0\4last", 6));
  const Query query = Next();
  EXPECT_EQ(query.message, "last");
  Answer(query.frame, "ok");
  EXPECT_EQ(Receive(client, 4), std::string("\0\2ok", 4));
  EXPECT_EQ(Receive(idle.front(), 1), "") << "the oldest made room";
}

TEST_F(ForwardNamesTest, SomebodyListensAlready) {
  auto pipes = MakePipes(false, 0, 0, 0);
  ASSERT_TRUE(pipes);
  const auto again = StartForwardNames(address_, std::move(pipes->child));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kAlreadyExists);
}

}  // namespace
}  // namespace kata::agent
