// SPDX-License-Identifier: Apache-2.0
// The agent's services as typed calls with time-outs. A time-out or a protocol violation is reported as a fault of the
// sandbox.
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

// The most bytes of output in one reply.
inline constexpr size_t kStreamChunk = contract::kMaxOutputChunk;

// A process as the agent knows it. A container's own process has the container's id as its exec id. For SignalProcess
// an empty exec id means all processes of the container.
struct AgentProcess {
  std::string container;
  std::string exec;
};

// Which of a process's two outputs.
enum class OutputName { kStdout, kStderr };

// The reply to a read of an output. Empty data is the end of the stream, unless `held` is set.
struct OutputPiece {
  std::string data;
  bool held = false;  // the process has ended and its output has been read, but others have the stream open
};

// A connection to an agent that is not trusted. The size of each reply is limited: to little, except for output and
// lists. The text of an error is cut and made printable (ForeignText). Not thread-safe.
class AgentClient : public std::enable_shared_from_this<AgentClient> {
 public:
  // Called with a description when the agent does not answer in time or breaks the protocol.
  using FaultHandler = std::function<void(std::string)>;

  // Returns the time allowed for a call that only touches the guest's memory.
  using CallPatience = std::function<Patience()>;

  AgentClient(std::shared_ptr<rpc::Client> client, CallPatience patience, FaultHandler on_fault)
      : client_(std::move(client)), patience_(std::move(patience)), on_fault_(std::move(on_fault)) {}

  rpc::Client& connection() { return *client_; }
  void ReportFault(std::string why) { on_fault_(std::move(why)); }

  // Calls with a time-out of their own.
  asio::awaitable<Result<>> Check(Patience patience);
  asio::awaitable<Result<>> CreateSandbox(grpc::CreateSandboxRequest request, Patience patience);
  asio::awaitable<Result<>> CreateContainer(grpc::CreateContainerRequest request, Patience patience);
  asio::awaitable<Result<>> StartContainer(std::string container, Patience patience);
  asio::awaitable<Result<>> RemoveContainer(std::string container, Patience patience);
  asio::awaitable<Result<>> ExecProcess(grpc::ExecProcessRequest request, Patience patience);
  // A time-out is not reported as a fault: the VM is about to be ended anyway.
  asio::awaitable<Result<>> DestroySandbox(Patience patience);

  // Calls with the client's time-out (CallPatience).
  asio::awaitable<Result<>> SetGuestDateTime();
  asio::awaitable<Result<>> SignalProcess(AgentProcess process, uint32_t signal);
  asio::awaitable<Result<>> PauseContainer(std::string container);
  asio::awaitable<Result<>> ResumeContainer(std::string container);
  // Brings plugged vCPUs and memory online in the guest. plugged_cpus: the number of new vCPUs; 0: memory only.
  asio::awaitable<Result<>> OnlineCpuMem(uint32_t plugged_cpus);
  // Changes the options, such as the size, of existing ephemeral storages.
  asio::awaitable<Result<>> UpdateEphemeralMounts(grpc::UpdateEphemeralMountsRequest request);
  asio::awaitable<Result<>> UpdateContainer(std::string container, grpc::LinuxResources resources);
  asio::awaitable<Result<>> TtyWinResize(AgentProcess process, uint32_t rows, uint32_t columns);
  asio::awaitable<Result<>> CloseStdin(AgentProcess process);
  // Starts a process in the guest, known as `process`, that carries bytes between its stdio and a TCP port of the
  // guest's loopback. It exits with 1 when nobody listens on the port.
  asio::awaitable<Result<>> ForwardPort(AgentProcess process, uint16_t port);

  // Starts a process in the guest, known as `process`, that listens at an IPv4 address of the guest's loopback for
  // queries of the domain name system, and carries them over its stdio (protocol/name_frames.h). kAlreadyExists:
  // somebody listens there.
  asio::awaitable<Result<>> ForwardNames(AgentProcess process, std::string address, uint16_t port);

  // The guest's network. In UpdateInterface the agent waits for a network card that is being plugged in.
  asio::awaitable<Result<>> UpdateInterface(types::Interface interface);
  asio::awaitable<Result<>> UpdateRoutes(grpc::Routes routes);
  asio::awaitable<Result<>> AddNeighbors(grpc::ARPNeighbors neighbors);

  // The processes of a container: a JSON array of objects, unchecked.
  asio::awaitable<Result<std::string>> ListProcesses(std::string container);

  asio::awaitable<Result<grpc::StatsContainerResponse>> StatsContainer(std::string container);

  // Calls without a time-out: they wait for the container.
  // Returns the id of the next container that loses a process to the OOM killer.
  asio::awaitable<Result<std::string>> GetOomEvent();
  // Waits for the process's end and returns its exit status, 0 to 255.
  asio::awaitable<Result<int>> WaitProcess(AgentProcess process);
  // Reads at most kStreamChunk bytes, also those that others write after the process's end.
  asio::awaitable<Result<OutputPiece>> ReadOutput(AgentProcess process, OutputName stream);
  // Tells the agent that nobody reads the stream any more: it closes the stream.
  asio::awaitable<Result<>> CloseOutput(AgentProcess process, OutputName stream);
  // Returns when no process in the guest can read the process's stdin any more.
  asio::awaitable<Result<>> AwaitStdinClosed(AgentProcess process);
  // Returns how many bytes of data the guest took: at least one. kUnavailable: it takes no more.
  asio::awaitable<Result<size_t>> WriteStdin(AgentProcess process, std::string data);

 private:
  template <typename Reply, typename Request>
  asio::awaitable<Result<Reply>> Call(const char* service, std::string method, Request request, Patience patience,
                                      size_t max_reply);
  template <typename Request>
  asio::awaitable<Result<>> Do(std::string method, Request request, Patience patience);
  asio::awaitable<Result<grpc::ReadStreamResponse>> ReadStream(AgentProcess process, OutputName stream, size_t length);

  std::shared_ptr<rpc::Client> client_;
  CallPatience patience_;
  FaultHandler on_fault_;
};

}  // namespace kata::sandbox
