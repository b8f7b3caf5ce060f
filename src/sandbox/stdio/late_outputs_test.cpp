// SPDX-License-Identifier: Apache-2.0
#include "sandbox/stdio/late_outputs.h"

#include <gtest/gtest.h>

#include <vector>

#include "sandbox/testing/fake_agent.h"
#include "sandbox/testing/run.h"

namespace kata::sandbox {
namespace {

class LateOutputsTest : public testing::LoopTest {
 protected:
  LateOutputsTest() : fake_(io_.get_executor()) {
    agent_ = std::make_shared<AgentClient>(
        rpc::Client::Create(io_.get_executor(), fake_.Connect()), [] { return Patience(std::chrono::seconds(30)); },
        [](std::string) {});
  }
  // The stdio of an ended process whose outputs others hold.
  std::shared_ptr<Stdio> Held(const std::string& exec) {
    auto stdio = *Stdio::Create(io_.get_executor(), {}, false);
    auto& process = fake_.process("c", exec);
    process.ended = process.held = true;
    stdio->Start(agent_, {.container = "c", .exec = exec});
    return stdio;
  }

  testing::FakeAgent fake_;
  std::shared_ptr<AgentClient> agent_;
  LateOutputs late_;
};

TEST_F(LateOutputsTest, TheEndIsWaitedForAsLongAsItIsSaid) {
  late_.Add(Held("e1"));
  Await(late_.AwaitEnd(std::chrono::milliseconds(10)));
  bool ended = false;
  asio::co_spawn(io_, late_.AwaitEnd(std::chrono::hours(1)), [&](std::exception_ptr) { ended = true; });
  for (int turn = 0; turn < 20; ++turn) io_.poll();
  EXPECT_FALSE(ended);
  fake_.process("c", "e1").held = false;
  fake_.Change();
  RunUntil([&] { return ended; });
  Await(LateOutputs().AwaitEnd(std::chrono::hours(1)));
}

TEST_F(LateOutputsTest, TheirNumberIsBounded) {
  std::vector<std::shared_ptr<Stdio>> all;
  for (int i = 0; i < 129; ++i) {
    all.push_back(Held(std::to_string(i)));
    late_.Add(all.back());
  }
  RunUntil([&] { return all.front()->ended().happened(); });
  EXPECT_FALSE(all[1]->ended().happened());
  RunUntil([&] { return fake_.process("c", "0").out_closed_by_host; });
  // An output that ends by itself makes room for another.
  fake_.process("c", "5").held = false;
  fake_.Change();
  RunUntil([&] { return all[5]->ended().happened(); });
  all.push_back(Held("129"));
  late_.Add(all.back());
  for (int turn = 0; turn < 20; ++turn) io_.poll();
  EXPECT_FALSE(all[1]->ended().happened());
  late_.Stop();
  RunUntil([&] { return all[1]->ended().happened() && all[129]->ended().happened(); });
}

}  // namespace
}  // namespace kata::sandbox
