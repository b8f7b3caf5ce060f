// SPDX-License-Identifier: Apache-2.0
#include "sandbox/testing/hostile_link.h"

#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "base/coroutine.h"
#include "protocol/agent.pb.h"
#include "protocol/ttrpc.pb.h"

namespace kata::sandbox::testing {
namespace {

constexpr size_t kLevels = 100000;
constexpr int kStrays = 5000;

std::string AsResponse(std::string payload) {
  ttrpc::Response response;
  response.set_payload(std::move(payload));
  return response.SerializeAsString();
}

std::string DeepAnswer(const std::string& method) {
  if (method == "GetDiagnosticData") {
    grpc::GetDiagnosticDataResponse list;
    list.set_data(R"([{"pid":1,"x":)" + std::string(kLevels, '[') + std::string(kLevels, ']') + "}]");
    return AsResponse(list.SerializeAsString());
  }
  // Nested groups (start-group tags of field 1).
  return AsResponse(std::string(kLevels, '\x0b'));
}

std::string ErrorAnswer() {
  ttrpc::Response response;
  response.mutable_status()->set_code(4711);
  std::string text = "\x1b[2J\x1b]0;owned\a\r";
  while (text.size() < (30U << 10U)) text += "\xff\xc2\x9b never ends ";
  response.mutable_status()->set_message(text);
  return response.SerializeAsString();
}

std::string HeaderOf(uint32_t length, uint32_t stream) {
  const auto bytes = rpc::EncodeHeader({.length = length, .stream = stream, .type = rpc::FrameType::kResponse});
  return {bytes.begin(), bytes.end()};
}

}  // namespace

const char* NameOf(Lie lie) {
  switch (lie) {
    case Lie::kNone:
      return "None";
    case Lie::kSilence:
      return "Silence";
    case Lie::kHuge:
      return "Huge";
    case Lie::kOverlong:
      return "Overlong";
    case Lie::kDeep:
      return "Deep";
    case Lie::kFlood:
      return "Flood";
    case Lie::kTrickle:
      return "Trickle";
    case Lie::kTwice:
      return "Twice";
    case Lie::kForOthers:
      return "ForOthers";
    case Lie::kGarbage:
      return "Garbage";
    case Lie::kErrors:
      return "Errors";
    case Lie::kHalf:
      break;
  }
  return "Half";
}

UniqueFd HostileLink::Connect(UniqueFd agent) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return {};
  host_ = rpc::Connection::Create(executor_, UniqueFd(fds[0]));
  agent_ = rpc::Connection::Create(executor_, std::move(agent));
  asio::co_spawn(executor_, PassRequests(shared_from_this()), asio::detached);
  asio::co_spawn(executor_, PassAnswers(shared_from_this()), asio::detached);
  return UniqueFd(fds[1]);
}

asio::awaitable<void> HostileLink::PassRequests(std::shared_ptr<HostileLink> self) {
  while (auto frame = co_await self->host_->Receive()) {
    ttrpc::Request request;
    if (request.ParseFromString(frame->payload.bytes)) self->waiting_[frame->header.stream] = request.method();
    if (!co_await self->agent_->Send(*std::move(frame))) break;
  }
  self->agent_->Close();
}

asio::awaitable<void> HostileLink::PassAnswers(std::shared_ptr<HostileLink> self) {
  while (auto frame = co_await self->agent_->Receive()) co_await self->Answer(*std::move(frame));
  self->host_->Close();
}

asio::awaitable<void> HostileLink::Answer(rpc::Frame frame) {
  const uint32_t stream = frame.header.stream;
  const std::string method = waiting_[stream];
  waiting_.erase(stream);
  std::string& answer = frame.payload.bytes;
  switch (lie_) {
    case Lie::kSilence:
      co_return;
    case Lie::kHuge:
      answer = AsResponse(std::string(rpc::kMaxPayload - 10, 'x'));
      break;
    case Lie::kOverlong:
      co_return SendRaw(HeaderOf(rpc::kMaxPayload + 1, stream) + std::string(1000, 'x'));
    case Lie::kDeep:
      answer = DeepAnswer(method);
      break;
    case Lie::kFlood:
      for (int i = 0; i < kStrays; ++i) {
        rpc::Frame stray{{0, 1000001U + 2 * static_cast<uint32_t>(i), rpc::FrameType::kResponse, 0}, answer};
        if (!co_await host_->Send(std::move(stray))) co_return;
      }
      break;
    case Lie::kTrickle:
      co_await SendSlowly(HeaderOf(static_cast<uint32_t>(answer.size()) + 1000, stream) + answer +
                          std::string(1000, 'x'));
      co_return;
    case Lie::kTwice: {
      rpc::Frame first{frame.header, answer};
      (void)co_await host_->Send(std::move(first));
      break;
    }
    case Lie::kForOthers:
      if (!waiting_.empty()) frame.header.stream = waiting_.begin()->first;
      break;
    case Lie::kGarbage:
      for (size_t i = 0; i < 4096; ++i) answer += static_cast<char>(i * 167 + (i >> 3U));
      answer.erase(0, answer.size() / 2);
      break;
    case Lie::kErrors:
      answer = ErrorAnswer();
      break;
    case Lie::kHalf:
      SendRaw(HeaderOf(1000, stream) + "half");
      host_->Close();
      co_return;
    case Lie::kNone:
      break;
  }
  (void)co_await host_->Send(std::move(frame));
}

asio::awaitable<void> HostileLink::SendSlowly(std::string bytes) {
  asio::steady_timer timer(executor_);
  for (size_t i = 0; i < bytes.size() && !host_->closed(); ++i) {
    SendRaw(bytes.substr(i, 1));
    timer.expires_after(std::chrono::milliseconds(20));
    co_await timer.async_wait(kAwait);
  }
}

void HostileLink::SendRaw(const std::string& bytes) {
  if (!host_->closed()) (void)::send(host_->fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace kata::sandbox::testing
