// SPDX-License-Identifier: Apache-2.0
// The names that both sides of the Task service agree on, and the client's connections.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "rpc/client.h"

namespace kata::sandbox {

inline constexpr char kTaskService[] = "containerd.task.v2.Task";
// The same methods and messages, under the name that containerd 2 tries first.
inline constexpr char kTaskServiceV3[] = "containerd.task.v3.Task";

// Any.type_url of ExecProcessRequest.spec (the JSON of an OCI process) and UpdateTaskRequest.resources (of
// LinuxResources).
inline constexpr char kProcessType[] = "types.containerd.io/opencontainers/runtime-spec/1/Process";
inline constexpr char kResourcesType[] = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
// Any.type_url of StatsResponse.stats where TaskInterface::serves_command_line is set; the value is a
// kata.task.Figures.
inline constexpr char kFiguresType[] = "kata.task.Figures";
// Any.type_url of ProcessInfo.info for a process in the guest; the value is one JSON object of the agent's list.
inline constexpr char kGuestProcessType[] = "kata.process";

// The value of stdin, stdout and stderr in Create and Exec: the descriptors come from this stand-in's hello.
// foreground: pid of a caller that keeps the terminal in the foreground; when it ends, the terminal is hung up. 0:
// none.
std::string StandinStdio(pid_t standin, pid_t foreground = 0);

// Connects to the Task service in a sandbox's directory. kUnavailable: nobody listens.
Result<UniqueFd> ConnectTask(int directory);

// One call of the service, for example
//   auto request = ...; co_await CallTask<CreateTaskResponse>(client, "Create", request, rpc::kNoTimeout)
template <typename Reply>
rpc::asio::awaitable<Result<Reply>> CallTask(std::shared_ptr<rpc::Client> client, std::string method,
                                             const google::protobuf::MessageLite& request,
                                             Patience patience = rpc::kNoTimeout) {
  return client->Call<Reply>(kTaskService, std::move(method), request, std::move(patience));
}

// Opens a SEQPACKET connection to standin.sock in a sandbox's directory, for kata-standin, which sends its hello on it.
// kUnavailable: nobody listens.
Result<UniqueFd> ConnectStandin(int directory);

}  // namespace kata::sandbox
