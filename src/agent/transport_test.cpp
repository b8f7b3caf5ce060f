// SPDX-License-Identifier: Apache-2.0
#include "agent/transport.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <boost/asio/detached.hpp>

#include "agent/event_loop_test.h"
#include "agent/storage/guest_dir.h"
#include "base/files.h"
#include "protocol/health.pb.h"
#include "rpc/client.h"
#include "rpc/unix_socket.h"

namespace kata::agent {
namespace {

class TransportTest : public EventLoopTest {
 protected:
  TransportTest() {
    char name[] = "/tmp/kata-agent-test-XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    table_.Method<grpc::CheckRequest, grpc::VersionCheckResponse>(
        "grpc.Health", "Version", [](grpc::CheckRequest) -> asio::awaitable<Result<grpc::VersionCheckResponse>> {
          grpc::VersionCheckResponse reply;
          reply.set_agent_version("here");
          co_return reply;
        });
  }
  ~TransportTest() override { (void)RemoveTree(directory_); }
  Result<grpc::VersionCheckResponse> AskVersion(rpc::Client& client) {
    grpc::CheckRequest request;
    return Run(client.Call<grpc::VersionCheckResponse>("grpc.Health", "Version", request));
  }
  std::string directory_;
  rpc::MethodTable table_;
};

TEST(AddressTest, Parses) {
  EXPECT_EQ(ParseAddress("vsock://-1:1024")->kind, Address::Kind::kVsock);
  EXPECT_EQ(ParseAddress("vsock://-1:2000")->port, 2000U);
  EXPECT_EQ(ParseAddress("unix:///run/x.sock")->path, "/run/x.sock");
  for (const char* bad : {"", "vsock://", "vsock://-1:", "vsock://3:1024", "vsock://-1:x", "vsock://-1:99999999999",
                          "unix://", "unix:///", "unix://relative", "tcp://127.0.0.1:1"}) {
    EXPECT_EQ(ParseAddress(bad).error().code(), Code::kInvalidArgument) << bad;
  }
}

TEST_F(TransportTest, FindsThePortByItsName) {
  EXPECT_FALSE(FindSerialPort(directory_ + "/none", contract::kAgentPortName));
  const UniqueFd directory = *Open(directory_, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(MakeDirsInRoot(directory.get(), "vport0p1", 0755));
  ASSERT_TRUE(MakeDirsInRoot(directory.get(), "vport0p2", 0755));
  EXPECT_FALSE(FindSerialPort(directory_, contract::kAgentPortName));
  ASSERT_TRUE(WriteFileAtomic(Open(directory_ + "/vport0p1", O_RDONLY)->get(), "name", "org.qemu.guest\n", 0644));
  ASSERT_TRUE(WriteFileAtomic(Open(directory_ + "/vport0p2", O_RDONLY)->get(), "name", "agent.channel.0\n", 0644));
  EXPECT_EQ(FindSerialPort(directory_, contract::kAgentPortName), "/dev/vport0p2");
}

// Every user of the host can connect to the port of every guest, and so can every container of the guest, by its CID.
TEST(VsockPeerTest, OnlyTheHostFromAPrivilegedPortMayCommand) {
  constexpr uint32_t kHost = 2;
  EXPECT_TRUE(MayCommand(kHost, 1));
  EXPECT_TRUE(MayCommand(kHost, 1023));
  EXPECT_FALSE(MayCommand(kHost, 1024));
  EXPECT_FALSE(MayCommand(kHost, 0xffffffff));
  for (const uint32_t other : {0U, 1U, 3U, 4711U, 0xffffffffU}) EXPECT_FALSE(MayCommand(other, 1)) << other;
}

TEST_F(TransportTest, APeerThatMayNotCommandGetsNothing) {
  bool may = false;
  const UniqueFd directory = *Open(directory_, O_PATH | O_DIRECTORY);
  asio::co_spawn(executor(),
                 ServeControl(
                     executor(), *rpc::ListenUnix(directory.get(), "agent.sock"), [&may](int) { return may; }, table_),
                 asio::detached);
  auto stranger = rpc::Client::Create(executor(), *rpc::ConnectUnix(directory.get(), "agent.sock"));
  EXPECT_EQ(AskVersion(*stranger).error().code(), Code::kUnavailable);
  may = true;
  auto host = rpc::Client::Create(executor(), *rpc::ConnectUnix(directory.get(), "agent.sock"));
  ASSERT_TRUE(AskVersion(*host));
  // A second connection is closed, and the first goes on.
  auto second = rpc::Client::Create(executor(), *rpc::ConnectUnix(directory.get(), "agent.sock"));
  EXPECT_EQ(AskVersion(*second).error().code(), Code::kUnavailable);
  ASSERT_TRUE(AskVersion(*host));
  // Once the first connection has ended, another is accepted at once.
  host->Close();
  auto next = rpc::Client::Create(executor(), *rpc::ConnectUnix(directory.get(), "agent.sock"));
  ASSERT_TRUE(AskVersion(*next));
  next->Close();
  RunReady();
}

TEST_F(TransportTest, ServesAUnixSocket) {
  asio::co_spawn(executor(), ServeAddress(executor(), *ParseAddress("unix://" + directory_ + "/agent.sock"), table_),
                 asio::detached);
  RunUntil([&] { return access((directory_ + "/agent.sock").c_str(), F_OK) == 0; });
  const UniqueFd directory = *Open(directory_, O_PATH | O_DIRECTORY);
  auto socket = rpc::ConnectUnix(directory.get(), "agent.sock");
  ASSERT_TRUE(socket);
  auto client = rpc::Client::Create(executor(), *std::move(socket));
  const auto reply = AskVersion(*client);
  ASSERT_TRUE(reply) << reply.error().message();
  EXPECT_EQ(reply->agent_version(), "here");
  client->Close();
  RunReady();
}

}  // namespace
}  // namespace kata::agent
