// SPDX-License-Identifier: Apache-2.0
// The action `delete`: ends a shim that containerd has given up on, and removes what it has left.
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <ctime>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "base/process_table.h"
#include "oci/parse.h"
#include "oci/validate.h"
#include "protocol/shim.pb.h"
#include "rpc/client.h"
#include "rpc/unix_socket.h"
#include "sandbox/container_process.h"
#include "sandbox/host/cgroup.h"
#include "sandbox/host/freezer.h"
#include "sandbox/host/hooks.h"
#include "sandbox/host/host_cgroups.h"
#include "sandbox/network/attach.h"
#include "sandbox/record/directory.h"
#include "sandbox/record/state.h"
#include "sandbox/task/task_client.h"
#include "shim/actions.h"
#include "shim/socket_address.h"

namespace kata::shim {
namespace {

namespace asio = boost::asio;

using std::chrono::milliseconds;

// Time allowed for the shim's reply, and for its end, which includes the end of its VM. These time-outs are fixed,
// since containerd kills this action after 5 s, and then nothing would remove what the shim has left.
constexpr milliseconds kAnswerTime{1000};
constexpr milliseconds kEndTime{3000};

// The path of the shim's socket. The record has it, or, before there is a sandbox, the file "address" that `start`
// wrote. The formula is the last resort, because containerd may have named another directory.
std::string SocketOf(const Arguments& arguments, const Result<sandbox::State>& state) {
  if (state && !state->socket.empty()) return state->socket;
  constexpr std::string_view kUnix = "unix://";
  const auto address = ReadRegularFile("address", 4096);
  if (address && address->starts_with(kUnix)) return address->substr(kUnix.size());
  return SocketPath(kSocketDirectory, arguments.address, arguments.namespace_name, arguments.id);
}

// close: whether this end closes the connection after the reply, otherwise it waits for the shim's end to be closed.
asio::awaitable<void> CallShutdown(std::shared_ptr<rpc::Client> client, std::string id, bool close, bool& answered) {
  containerd::task::v2::ShutdownRequest request;
  request.set_id(id);
  request.set_now(true);
  const auto done = co_await client->Call<wkt::Empty>(sandbox::kTaskService, "Shutdown", request, kAnswerTime);
  // kUnavailable: the shim may exit before it has sent a reply.
  answered = done || done.error().code() == Code::kUnavailable;
  if (answered && !close) co_await client->Closed();
}

// The shim that serves this connection. kNotFound: the peer is another process, such as `start`, which created the
// socket.
Result<ProcessRef> ShimAt(int connection, const std::string& path) {
  const ucred peer = TRY(rpc::PeerOf(connection));
  const ProcessRef shim = TRY(IdentifyProcess(peer.pid));
  const std::vector<std::string> words = ArgumentsOf(peer.pid);
  const auto flag = std::find(words.begin(), words.end(), "-socket");
  if (peer.uid != geteuid() || words.end() - flag < 2 || flag[1] != path) {
    return Fail(Code::kNotFound, "process {} is not the shim of {}", peer.pid, path);
  }
  return shim;
}

// Asks the shim to end, and kills it if it can be identified and does not end in time. containerd 1.6 also calls
// `delete` for a shim that is just ending by itself. A shim without a record can only be found through its socket.
void AskToEnd(const std::string& path, const std::string& id) {
  auto socket = rpc::ConnectUnixPath(path);
  if (!socket) return;
  const auto shim = ShimAt(socket->get(), path);
  asio::io_context io(1);
  bool answered = false;
  auto client = rpc::Client::Create(io.get_executor(), *std::move(socket));
  asio::co_spawn(io, CallShutdown(client, id, shim.has_value(), answered), [&io](std::exception_ptr) { io.stop(); });
  io.run_for(kEndTime);
  // The shim waits a little for its clients to close their connections.
  client->Close();
  if (shim) EndProcess(*shim, answered ? kEndTime : milliseconds(0));
}

void EndLeftovers(int directory, const sandbox::State& state) {
  // A shim that could not be reached may have closed its socket already, and may be removing its record now: give it
  // time.
  EndProcess(state.sandbox, kEndTime);
  // Removing the record is the last step of an orderly end: if it still exists, the poststop hooks have to be run here.
  const bool unclean = sandbox::LoadState(directory).has_value();
  for (const ProcessRef& helper : state.helpers) EndProcess(helper, milliseconds(0));
  // The shim removes these itself when it ends in order.
  sandbox::network::RemoveLeftoversAt(state.network, state.id);
  const auto text = ReadRegularFile(state.bundle + "/config.json", oci::kMaxSpecBytes);
  const auto spec = text ? oci::ParseSpec(*text) : tl::unexpected<Error>(text.error());
  // Only the hooks of the sandbox's first container.
  if (spec && unclean) sandbox::RunPoststop(state, *spec);
  sandbox::EndCgroupStay(state.systemd_unit, state.cgroup_paths, state.id);
}

}  // namespace

Result<> Delete(const Arguments& arguments) {
  TRY(oci::ValidateId(arguments.id));
  int status = sandbox::kKilledStatus;
  timespec exited_at{};
  clock_gettime(CLOCK_REALTIME, &exited_at);
  // A further container of a pod has no directory of its own, and nothing on the host that outlives the pod's shim.
  if (auto directory = sandbox::OpenDirectory(sandbox::kDefaultRoot, arguments.id)) {
    auto state = sandbox::LoadState(directory->get());
    const std::string socket = SocketOf(arguments, state);
    // A shim in a frozen cgroup cannot answer, and in cgroup v1 not even SIGKILL ends it: thaw first.
    if (state) sandbox::Unfreeze(*state);
    AskToEnd(socket, arguments.id);
    // Read again: the shim may have started helpers meanwhile.
    if (auto now = sandbox::LoadState(directory->get())) state = std::move(now);
    if (state) EndLeftovers(directory->get(), *state);
    // If the container ended before its shim, the record has its exit status.
    if (const auto recorded = state ? sandbox::ParseTime(state->exited_at) : std::nullopt; recorded) {
      status = state->exit_status;
      exited_at = *recorded;
    }
    auto removed = sandbox::RemoveDirectory(sandbox::kDefaultRoot, arguments.id);
    if (!removed && removed.error().code() != Code::kNotFound) log::Warn("{}", removed.error().message());
    unlink(socket.c_str());
  }
  containerd::task::v2::DeleteResponse reply;
  reply.set_exit_status(static_cast<uint32_t>(status));
  reply.mutable_exited_at()->set_seconds(exited_at.tv_sec);
  reply.mutable_exited_at()->set_nanos(static_cast<int32_t>(exited_at.tv_nsec));
  return WriteAll(STDOUT_FILENO, reply.SerializeAsString());
}

}  // namespace kata::shim
