// SPDX-License-Identifier: Apache-2.0
// The methods for one process: execs, stdio, terminals, signals, lists.
#include <gmock/gmock.h>

#include "agent/service_fixture.h"
#include "base/files.h"

namespace kata::agent {
namespace {

using wkt::Empty;

TEST_F(ServiceTest, ExecTakesStdinAndIsForgotten) {
  const std::string id = Id("exec");
  Begin(id, "exec sleep 1000");
  ASSERT_TRUE(Exec(id, "e1", "cat; exit 5"));
  EXPECT_EQ(Exec(id, "e1", "true").error().code(), Code::kAlreadyExists);
  auto write = On<grpc::WriteStreamRequest>(id, "e1");
  write.set_data(std::string("binary \0 data", 13));
  auto written = Call<grpc::WriteStreamResponse>("WriteStdin", write);
  ASSERT_TRUE(written);
  EXPECT_EQ(written->len(), 13U);
  ASSERT_TRUE(Call<Empty>("CloseStdin", On<grpc::CloseStdinRequest>(id, "e1")));
  EXPECT_EQ(Call<grpc::WriteStreamResponse>("WriteStdin", write).error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(Read(id, "e1"), write.data());
  EXPECT_EQ(Read(id, "e1", "ReadStderr"), "");
  EXPECT_EQ(Wait(id, "e1"), 5);
  auto again = Call<grpc::WaitProcessResponse>("WaitProcess", On<grpc::WaitProcessRequest>(id, "e1"));
  EXPECT_EQ(again.error().code(), Code::kNotFound) << "nothing of it is left";
  ASSERT_TRUE(Exec(id, "e1", "true")) << "and its id is free";
}

TEST_F(ServiceTest, ABackgroundProcessHasTheStreamsOfItsExec) {
  const std::string id = Id("late");
  Begin(id, "exec sleep 1000");
  // The background process writes only after the exit of the exec has been reported.
  ASSERT_TRUE(Exec(id, "e1", "(exec 2>&-; until test -e /go; do sleep 0.1; done; echo late) & exit 4"));
  EXPECT_EQ(Wait(id, "e1"), 4);
  auto read = On<grpc::ReadStreamRequest>(id, "e1");
  read.set_len(UINT32_MAX);
  read.set_past_exit(true);
  auto reply = Call<grpc::ReadStreamResponse>("ReadStdout", read);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->held());
  ASSERT_TRUE(Exec(id, "e2", "touch /go"));
  reply = Call<grpc::ReadStreamResponse>("ReadStdout", read);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->data(), "late\n");
  reply = Call<grpc::ReadStreamResponse>("ReadStdout", read);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->data(), "");
  EXPECT_FALSE(reply->held());
  EXPECT_EQ(Read(id, "e1", "ReadStderr"), "");
  auto again = Call<grpc::WaitProcessResponse>("WaitProcess", On<grpc::WaitProcessRequest>(id, "e1"));
  EXPECT_EQ(again.error().code(), Code::kNotFound) << "nothing of it is left";
}

TEST_F(ServiceTest, AStdinThatTheProcessHasClosed) {
  const std::string id = Id("in");
  Begin(id, "exec sleep 1000");
  ASSERT_TRUE(Exec(id, "e1", "exec <&-; exec sleep 1000"));
  EXPECT_TRUE(Call<Empty>("AwaitStdinClosed", On<grpc::AwaitStdinClosedRequest>(id, "e1")));
  ASSERT_TRUE(Signal(id, "e1", SIGKILL));
  EXPECT_EQ(Wait(id, "e1"), 137);
}

TEST_F(ServiceTest, TwoHundredExecsWithoutStdin) {
  const std::string id = Id("many");
  Begin(id, "exec sleep 1000");
  for (int i = 0; i < 200; ++i) {
    const std::string exec = fmt::format("e{}", i);
    ASSERT_TRUE(Exec(id, exec, "true"));
    std::optional<Result<Empty>> closed;
    std::optional<Result<grpc::WaitProcessResponse>> status;
    // As if stdin were /dev/null: the host closes it at once, whatever the process does meanwhile.
    StartCall("CloseStdin", On<grpc::CloseStdinRequest>(id, exec), closed);
    StartCall("WaitProcess", On<grpc::WaitProcessRequest>(id, exec), status);
    EXPECT_EQ(Read(id, exec), "");
    EXPECT_EQ(Read(id, exec, "ReadStderr"), "");
    while (!status) Await(Tick());
    ASSERT_TRUE(*status);
    EXPECT_EQ((*status)->status(), 0);
  }
}

TEST_F(ServiceTest, ATerminalIsOneStream) {
  const std::string id = Id("tty");
  auto request = Create(id, "stty size; read line; stty size; echo got $line");
  request.mutable_oci()->mutable_process()->set_terminal(true);
  request.mutable_oci()->mutable_process()->mutable_consolesize()->set_height(33);
  request.mutable_oci()->mutable_process()->mutable_consolesize()->set_width(77);
  auto created = Call<Empty>("CreateContainer", request);
  ASSERT_TRUE(created) << created.error().message();
  grpc::StartContainerRequest start;
  start.set_container_id(id);
  ASSERT_TRUE(Call<Empty>("StartContainer", start));
  auto read = On<grpc::ReadStreamRequest>(id, id);
  read.set_len(4096);
  auto first = Call<grpc::ReadStreamResponse>("ReadStdout", read);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->data(), "33 77\r\n");
  auto resize = On<grpc::TtyWinResizeRequest>(id, id);
  resize.set_row(50);
  resize.set_column(132);
  ASSERT_TRUE(Call<Empty>("TtyWinResize", resize));
  auto write = On<grpc::WriteStreamRequest>(id, id);
  write.set_data("hello\n");
  ASSERT_TRUE(Call<grpc::WriteStreamResponse>("WriteStdin", write));
  EXPECT_EQ(Read(id, id), "hello\r\n50 132\r\ngot hello\r\n");
  EXPECT_EQ(Read(id, id, "ReadStderr"), "");
  EXPECT_EQ(Wait(id, id), 0);
}

TEST_F(ServiceTest, SignalsGoToOneOrToAll) {
  const std::string id = Id("signals");
  Begin(id, "trap 'exit 3' TERM; while :; do sleep 1; done");
  ASSERT_TRUE(Exec(id, "e1", "exec sleep 1000"));
  ASSERT_TRUE(Exec(id, "e2", "exec sleep 1000"));
  ASSERT_TRUE(Signal(id, "e1", SIGUSR1));
  EXPECT_EQ(Wait(id, "e1"), 128 + SIGUSR1);
  ASSERT_TRUE(Signal(id, "", SIGKILL));
  EXPECT_EQ(Wait(id, "e2"), 137);
  EXPECT_EQ(Wait(id, id), 137);
  EXPECT_EQ(Signal(id, id, SIGKILL).error().code(), Code::kNotFound);
  EXPECT_EQ(Signal(id, id, 65).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Signal(id, id, UINT32_MAX).error().code(), Code::kInvalidArgument);
}

TEST_F(ServiceTest, ProcessesAreListed) {
  const std::string id = Id("ps");
  Begin(id, "exec sleep 1000");
  grpc::GetDiagnosticDataRequest request;
  request.set_container_id(id);
  request.set_log_type("processes");
  std::string list;
  do {
    // Waits until the shell has executed its command.
    auto reply = Call<grpc::GetDiagnosticDataResponse>("GetDiagnosticData", request);
    ASSERT_TRUE(reply) << reply.error().message();
    list = reply->data();
  } while (list.find("\"cmd\":\"sleep 1000\"") == std::string::npos);
  EXPECT_THAT(list,
              testing::MatchesRegex("\\[\\{\"pid\":[0-9]+,.*\"cmd\":\"sleep 1000\",.*\"comm\":\"sleep\",.*\\}\\]"));
  request.set_log_type("termination");
  EXPECT_EQ(Call<grpc::GetDiagnosticDataResponse>("GetDiagnosticData", request).error().code(), Code::kUnimplemented);
}

TEST_F(ServiceTest, StringUsersAreLookedUpInTheContainer) {
  const UniqueFd etc = *Open(root_ + "/etc", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(WriteFileAtomic(etc.get(), "passwd", "web:x:1001:1002::/:\n", 0644));
  const std::string id = Id("user");
  auto request = Create(id, "id -u; id -g; exec sleep 1000");
  request.mutable_string_user()->set_uid("web");
  ASSERT_TRUE(Call<Empty>("CreateContainer", request));
  grpc::StartContainerRequest start;
  start.set_container_id(id);
  ASSERT_TRUE(Call<Empty>("StartContainer", start));
  auto read = On<grpc::ReadStreamRequest>(id, id);
  read.set_len(4096);
  std::string text;
  while (text.size() < 10) text += Call<grpc::ReadStreamResponse>("ReadStdout", read)->data();
  EXPECT_EQ(text, "1001\n1002\n");
  auto exec = On<grpc::ExecProcessRequest>(id, "e");
  *exec.mutable_process() = Script("true");
  exec.mutable_string_user()->set_uid("nobody-here");
  EXPECT_EQ(Call<Empty>("ExecProcess", exec).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace kata::agent
