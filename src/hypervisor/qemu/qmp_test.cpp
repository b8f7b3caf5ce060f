// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu/qmp.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstring>

#include "hypervisor/qemu/hotplug.h"

namespace kata::hypervisor::qemu {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr char kGreeting[] = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";

// The test plays QEMU: it writes first, then reads what the client has sent.
class QmpTest : public ::testing::Test {
 protected:
  QmpTest() {
    int pair[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    qemu_.Reset(pair[1]);
    qmp_ = Qmp::Create(context_.get_executor(), UniqueFd(pair[0]));
  }
  ~QmpTest() override {
    qmp_->Close();
    context_.restart();
    context_.run();
  }

  void Say(const std::string& text) {
    ASSERT_EQ(send(qemu_.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  std::string Sent() {
    std::string text(4096, '\0');
    const ssize_t count = recv(qemu_.get(), text.data(), text.size(), MSG_DONTWAIT);
    text.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return text;
  }
  template <typename T>
  T Run(asio::awaitable<T> work) {
    std::optional<T> result;
    asio::co_spawn(context_, std::move(work), [&result](std::exception_ptr, T value) { result = std::move(value); });
    context_.restart();
    while (!result && context_.run_one() > 0) {
    }
    return *std::move(result);
  }

  asio::io_context context_;
  UniqueFd qemu_;
  std::shared_ptr<Qmp> qmp_;
};

TEST_F(QmpTest, Negotiates) {
  std::optional<Result<>> result;
  asio::co_spawn(context_, qmp_->Negotiate(milliseconds(10000)),
                 [&result](std::exception_ptr, Result<> value) { result = std::move(value); });
  context_.poll();
  EXPECT_EQ(Sent(), "");
  Say(kGreeting);
  std::string sent;
  while (sent.empty() && !result && context_.run_one() > 0) sent = Sent();
  EXPECT_EQ(sent, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
  Say("{\"return\": {}, \"id\": 1}\r\n");
  while (!result && context_.run_one() > 0) {
  }
  ASSERT_TRUE(result);
  EXPECT_TRUE(*result) << result->error().message();
}

TEST_F(QmpTest, AnswersGoToTheirCallsAndEventsAreKept) {
  Say("{\"event\": \"RESUME\", \"timestamp\": {}}\r\n{\"return\": [1, {\"a\": \"b\"}], \"id\": 1}\r\n");
  EXPECT_EQ(Run(qmp_->Execute("query", "{\"x\":1}", milliseconds(10000))).value(), "[1,{\"a\":\"b\"}]");
  EXPECT_THAT(Sent(), HasSubstr("\"arguments\":{\"x\":1}"));
  Say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u001b[31m such\"}, \"id\": 2}\r\n"
      "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n"
      "{\"event\": \"GUEST_PANICKED\"}\r\n");
  const auto refused = Run(qmp_->Execute("device_add", "", milliseconds(10000)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "QMP device_add: no \\x1b[31m such");
  EXPECT_EQ(qmp_->shutdown_reason(), "guest-reset");
  EXPECT_TRUE(qmp_->guest_panicked());
}

TEST_F(QmpTest, SilenceEndsAtTheDeadline) {
  EXPECT_EQ(Run(qmp_->Negotiate(milliseconds(20))).error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(Run(qmp_->Execute("stop", "", milliseconds(20))).error().code(), Code::kDeadlineExceeded);
  // The late reply is dropped, and the next call gets its own reply.
  Say("{\"return\": \"late\", \"id\": 1}\n{\"return\": \"mine\", \"id\": 2}\n");
  EXPECT_EQ(Run(qmp_->Execute("cont", "", milliseconds(10000))).value(), "\"mine\"");
}

TEST_F(QmpTest, AnEndedConnectionIsUnavailable) {
  qemu_.Reset();
  EXPECT_EQ(Run(qmp_->Negotiate(milliseconds(10000))).error().code(), Code::kUnavailable);
  EXPECT_EQ(Run(qmp_->Execute("stop", "", milliseconds(10000))).error().code(), Code::kUnavailable);
}

TEST_F(QmpTest, PassesADescriptor) {
  Say(R"({"return": {}, "id": 1})"
      "\n");
  int pair[2];
  ASSERT_EQ(pipe2(pair, O_CLOEXEC), 0);
  const UniqueFd reader(pair[0]);
  UniqueFd writer(pair[1]);
  ASSERT_TRUE(Run(qmp_->ExecuteWithFd("getfd", R"({"fdname":"x"})", writer.get(), milliseconds(10000))));
  writer.Reset();
  std::string text(4096, '\0');
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  text.resize(static_cast<size_t>(recvmsg(qemu_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)));
  EXPECT_EQ(text, "{\"arguments\":{\"fdname\":\"x\"},\"execute\":\"getfd\",\"id\":1}\n");
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  ASSERT_NE(rights, nullptr);
  int number = -1;
  memcpy(&number, CMSG_DATA(rights), sizeof number);
  const UniqueFd passed(number);
  ASSERT_EQ(write(passed.get(), "y", 1), 1);
  EXPECT_EQ(read(reader.get(), text.data(), 1), 1);
}

TEST_F(QmpTest, WaitsUntilTheGuestHasLetADeviceGo) {
  // The event may arrive before the reply; events of other devices are ignored.
  Say(R"({"event": "DEVICE_DELETED", "data": {"device": "other"}})"
      "\n"
      R"({"event": "DEVICE_DELETED", "data": {"device": "nic"}})"
      "\n"
      R"({"return": {}, "id": 1})"
      "\n");
  EXPECT_TRUE(Run(qmp_->DeleteDevice("nic", milliseconds(10000))));
  Say(R"({"return": {}, "id": 2})"
      "\n"
      R"({"event": "DEVICE_DELETED", "data": {"device": "other"}})"
      "\n");
  EXPECT_EQ(Run(qmp_->DeleteDevice("nic", milliseconds(20))).error().code(), Code::kDeadlineExceeded);
  Say(R"({"error": {"class": "GenericError", "desc": "Device 'nic' not found"}, "id": 3})"
      "\n");
  EXPECT_THAT(Run(qmp_->DeleteDevice("nic", milliseconds(10000))).error().message(), HasSubstr("not found"));
}

TEST_F(QmpTest, PlugsIntoFreePlaces) {
  auto hotplug = std::make_shared<Hotplug>(qmp_, 2);
  hotplug->Occupy(0, "first");
  Say(R"({"return": {}, "id": 1})"
      "\n");
  EXPECT_EQ(Run(hotplug->Plug(R"({"driver":"virtio-net-pci","id":"a"})")).value(), "1d/03");
  EXPECT_EQ(Sent(),
            "{\"arguments\":{\"addr\":\"03\",\"bus\":\"bridge0\",\"driver\":\"virtio-net-pci\",\"id\":\"a\"},"
            "\"execute\":\"device_add\","
            "\"id\":1}\n");
  const auto full = Run(hotplug->Plug(R"({"driver":"x","id":"b"})"));
  EXPECT_EQ(full.error().code(), Code::kResourceExhausted);
  EXPECT_THAT(full.error().message(), HasSubstr("are taken"));
  Say(R"({"return": {}, "id": 2})"
      "\n"
      R"({"event": "DEVICE_DELETED", "data": {"device": "first"}})"
      "\n");
  EXPECT_TRUE(Run(hotplug->Unplug("first")));
  // After QEMU refuses the device, the place is free.
  Say(R"({"error": {"class": "GenericError", "desc": "no such driver"}, "id": 3})"
      "\n");
  EXPECT_THAT(Run(hotplug->Plug(R"({"driver":"x","id":"b"})")).error().message(), HasSubstr("no such driver"));
  Say(R"({"return": {}, "id": 4})"
      "\n");
  EXPECT_EQ(Run(hotplug->Plug(R"({"driver":"y","id":"b"})")).value(), "1d/02");
  EXPECT_EQ(Run(hotplug->Unplug("nobody")).error().code(), Code::kFailedPrecondition);
  const auto none = std::make_shared<Hotplug>(qmp_, 0);
  EXPECT_EQ(Run(none->Plug(R"({"driver":"y","id":"b"})")).error().code(), Code::kUnimplemented);
}

class HostileQmpTest : public QmpTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(HostileQmpTest, EndsTheConnection) {
  Say(GetParam());
  const auto result = Run(qmp_->Execute("stop", "", milliseconds(10000)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kUnavailable);
}

INSTANTIATE_TEST_SUITE_P(Messages, HostileQmpTest,
                         ::testing::Values("garbage\n", "[]\n", "{\"id\": 1}\n", "{\"return\": {}, \"id\": \"1\"}\n",
                                           "{\"error\": 3, \"id\": 1}\n", std::string("\0\xff\n", 3),
                                           std::string(100000, '[') + "\n"));

TEST_F(QmpTest, AMessageWithoutEndIsCutOff) {
  // More than a socket holds, so the loop has to read in between.
  const std::string chunk(64 << 10, 'x');
  asio::co_spawn(context_, qmp_->Execute("stop", "", milliseconds(60000)),
                 [this](std::exception_ptr, Result<std::string> result) {
                   EXPECT_EQ(result.error().code(), Code::kUnavailable);
                   EXPECT_THAT(result.error().message(), HasSubstr("too long"));
                   qemu_.Reset();
                 });
  size_t sent = 0;
  while (qemu_) {
    const ssize_t count = send(qemu_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) sent += static_cast<size_t>(count);
    context_.restart();
    context_.poll();
    ASSERT_LT(sent, 8U << 20U);
  }
}

}  // namespace
}  // namespace kata::hypervisor::qemu
