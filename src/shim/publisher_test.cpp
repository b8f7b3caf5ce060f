// SPDX-License-Identifier: Apache-2.0
#include "shim/publisher.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "rpc/server.h"
#include "rpc/unix_socket.h"
#include "sandbox/testing/run.h"

namespace kata::shim {
namespace {

using ForwardRequest = containerd::services::events::ttrpc::v1::ForwardRequest;

// The containerd side, which can stop and restart.
class PublisherTest : public sandbox::testing::LoopTest {
 protected:
  PublisherTest() {
    table_.Method<ForwardRequest, wkt::Empty>("containerd.services.events.ttrpc.v1.Events", "Forward",
                                              [this](ForwardRequest request) { return Take(std::move(request)); });
    publisher_ = std::make_shared<Publisher>(io_.get_executor(), "unix://" + dir_.path() + "/events", "default",
                                             sandbox::MountNamespaces());
  }
  asio::awaitable<Result<wkt::Empty>> Take(ForwardRequest request) {
    taken_.push_back(request.envelope().topic());
    namespaces_.push_back(request.envelope().namespace_());
    if (request.envelope().topic() == refused_) co_return Fail(Code::kInvalidArgument, "refused");
    co_return wkt::Empty();
  }
  void Listen() {
    auto listener = rpc::ListenUnix(dir_.fd(), "events");
    ASSERT_TRUE(listener);
    asio::co_spawn(io_, rpc::ServeUnix(*std::move(listener), table_), [](std::exception_ptr) {});
  }
  void Publish(const std::string& topic) { publisher_->Publish({.topic = topic, .type = "t", .payload = "p"}); }

  sandbox::testing::TempDir dir_;
  rpc::MethodTable table_;
  std::vector<std::string> taken_;
  std::vector<std::string> namespaces_;
  std::string refused_;
  std::shared_ptr<Publisher> publisher_;
};

TEST_F(PublisherTest, EventsComeInOrderAlsoToOneThatStartsLater) {
  Publish("/a");
  Publish("/b");
  Await(publisher_->Flush(std::chrono::milliseconds(1)));
  EXPECT_TRUE(taken_.empty());
  Listen();
  Publish("/c");
  Await(publisher_->Flush(sandbox::testing::kHang));
  EXPECT_EQ(taken_, (std::vector<std::string>{"/a", "/b", "/c"}));
  EXPECT_EQ(namespaces_, std::vector<std::string>(3, "default"));
}

TEST_F(PublisherTest, WhatIsRefusedDoesNotHoldUpTheRest) {
  Listen();
  refused_ = "/a";
  Publish("/a");
  Publish("/b");
  Await(publisher_->Flush(sandbox::testing::kHang));
  EXPECT_EQ(taken_, (std::vector<std::string>{"/a", "/b"}));
}

TEST_F(PublisherTest, TheOldestAreDroppedWhenTooManyWait) {
  Publish("/first");
  for (size_t i = 0; i < Publisher::kMaxWaiting; ++i) Publish("/more");
  Listen();
  Await(publisher_->Flush(sandbox::testing::kHang));
  EXPECT_EQ(taken_.size(), Publisher::kMaxWaiting);
  EXPECT_EQ(taken_.front(), "/more");
}

TEST_F(PublisherTest, TheEndOfAProcessIsNeverDroppedForOthers) {
  Publish("/tasks/exit");
  Publish("/tasks/start");
  for (size_t i = 0; i < Publisher::kMaxWaiting; ++i) Publish("/tasks/oom");
  for (int i = 0; i < 100; ++i) Publish("/tasks/exit");
  Listen();
  Await(publisher_->Flush(sandbox::testing::kHang));
  EXPECT_EQ(taken_.size(), Publisher::kMaxWaiting);
  EXPECT_EQ(std::count(taken_.begin(), taken_.end(), "/tasks/exit"), 101);
  // OOM events of the guest do not displace other events.
  EXPECT_EQ(taken_[0], "/tasks/exit");
  EXPECT_EQ(taken_[1], "/tasks/start");
}

TEST_F(PublisherTest, EndsAloneMayBeMore) {
  for (size_t i = 0; i < Publisher::kMaxWaiting + 10; ++i) Publish("/tasks/exit");
  Publish("/tasks/oom");
  Listen();
  Await(publisher_->Flush(sandbox::testing::kHang));
  EXPECT_EQ(taken_, std::vector<std::string>(Publisher::kMaxWaiting + 10, "/tasks/exit"));
}

}  // namespace
}  // namespace kata::shim
