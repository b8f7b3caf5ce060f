// SPDX-License-Identifier: Apache-2.0
// The agent's services as typed calls with time-outs; what the agent may not do is reported as a fault of the sandbox.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/patience.h"
#include "base/result.h"
#include "protocol/agent.pb.h"
#include "protocol/guest_contract.h"
#include "protocol/health.pb.h"
#include "protocol/wkt.pb.h"
#include "rpc/client.h"

namespace kata::sandbox {

namespace asio = boost::asio;

// At most this much of a stream is under way at a time.
inline constexpr size_t kStreamChunk = contract::kMaxOutputChunk;

// A process as the agent knows it. The container's own has the container's id as its exec id; an empty exec id means,
// to SignalProcess, all processes of the container.
struct AgentProcess {
  std::string container;
  std::string exec;
};

enum class OutputStream { kStdout, kStderr };

// What a read of an output gave. No data is its end, unless it is held.
struct OutputPiece {
  std::string data;
  bool held = false;  // the process has ended, what it had written has been read, and others have the stream open
};

// One connection to an agent that is not trusted: each reply has a limit of size, which is small but for output and
// lists, and the text of an error is cut and made printable (ForeignText).
class AgentClient : public std::enable_shared_from_this<AgentClient> {
 public:
  // Told, in words, of a call that was not answered in time and of answers that break the protocol.
  using FaultHandler = std::function<void(std::string)>;

  // How long a call that only touches the guest's memory may take.
  using CallPatience = std::function<Patience()>;

  AgentClient(std::shared_ptr<rpc::Client> client, CallPatience patience, FaultHandler on_fault)
      : client_(std::move(client)), patience_(std::move(patience)), on_fault_(std::move(on_fault)) {}

  rpc::Client& connection() { return *client_; }
  void ReportFault(std::string why) { on_fault_(std::move(why)); }

  // Each has a patience of its own.
  asio::awaitable<Result<>> Check(Patience patience);
  asio::awaitable<Result<>> CreateSandbox(grpc::CreateSandboxRequest request, Patience patience);
  asio::awaitable<Result<>> CreateContainer(grpc::CreateContainerRequest request, Patience patience);
  asio::awaitable<Result<>> StartContainer(std::string container, Patience patience);
  asio::awaitable<Result<>> RemoveContainer(std::string container, Patience patience);
  asio::awaitable<Result<>> ExecProcess(grpc::ExecProcessRequest request, Patience patience);
  // No fault when it takes too long: the VM is about to be ended anyway.
  asio::awaitable<Result<>> DestroySandbox(Patience patience);

  // With the client's patience.
  asio::awaitable<Result<>> SetGuestDateTime();
  asio::awaitable<Result<>> SignalProcess(AgentProcess process, uint32_t signal);
  asio::awaitable<Result<>> PauseContainer(std::string container);
  asio::awaitable<Result<>> ResumeContainer(std::string container);
  // Takes into use the processors, as many as were plugged, and the memory that the VM has got.
  asio::awaitable<Result<>> OnlineCpuMem(uint32_t plugged_cpus);
  // Gives ephemeral storages that exist the options of these, such as a new size.
  asio::awaitable<Result<>> UpdateEphemeralMounts(grpc::UpdateEphemeralMountsRequest request);
  asio::awaitable<Result<>> UpdateContainer(std::string container, grpc::LinuxResources resources);
  asio::awaitable<Result<>> TtyWinResize(AgentProcess process, uint32_t rows, uint32_t columns);
  asio::awaitable<Result<>> CloseStdin(AgentProcess process);
  // Makes process one that carries bytes between its stdio and a TCP port of the guest's loopback; it ends with 1 when
  // nobody listens there.
  asio::awaitable<Result<>> ForwardPort(AgentProcess process, uint16_t port);

  // The guest's network. The agent waits for an interface that is being plugged in.
  asio::awaitable<Result<>> UpdateInterface(types::Interface interface);
  asio::awaitable<Result<>> UpdateRoutes(grpc::Routes routes);
  asio::awaitable<Result<>> AddNeighbors(grpc::ARPNeighbors neighbors);

  // The processes of a container: a JSON array of objects, as the agent wrote it.
  asio::awaitable<Result<std::string>> ListProcesses(std::string container);

  asio::awaitable<Result<grpc::StatsContainerResponse>> StatsContainer(std::string container);

  // Unbounded: they wait for the container.
  // The id of the next container that loses a process for want of memory.
  asio::awaitable<Result<std::string>> GetOomEvent();
  asio::awaitable<Result<int>> WaitProcess(AgentProcess process);
  // At most kStreamChunk bytes, also of what others write after the process's end.
  asio::awaitable<Result<OutputPiece>> ReadOutput(AgentProcess process, OutputStream stream);
  // Tells the agent that nobody reads the stream any more.
  asio::awaitable<Result<>> CloseOutput(AgentProcess process, OutputStream stream);
  // Returns when nobody in the guest has the reading end of the process's stdin any more.
  asio::awaitable<Result<>> AwaitStdinClosed(AgentProcess process);
  // How much of data was taken: at least one byte.
  asio::awaitable<Result<size_t>> WriteStdin(AgentProcess process, std::string data);

 private:
  template <typename Reply, typename Request>
  asio::awaitable<Result<Reply>> Call(const char* service, std::string method, Request request, Patience patience,
                                      size_t max_reply);
  template <typename Request>
  asio::awaitable<Result<>> Do(std::string method, Request request, Patience patience);
  asio::awaitable<Result<grpc::ReadStreamResponse>> ReadStream(AgentProcess process, OutputStream stream,
                                                               size_t length);

  std::shared_ptr<rpc::Client> client_;
  CallPatience patience_;
  FaultHandler on_fault_;
};

}  // namespace kata::sandbox
