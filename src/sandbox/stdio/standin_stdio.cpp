// SPDX-License-Identifier: Apache-2.0
#include "sandbox/stdio/standin_stdio.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "base/child.h"

namespace kata::sandbox {
namespace {

// Time for the hello, which a stand-in sends as soon as it runs.
constexpr std::chrono::milliseconds kHelloTime{10000};

std::optional<pid_t> ParsePid(std::string_view text) {
  pid_t pid = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error != std::errc() || end != text.data() + text.size() || pid <= 0) return std::nullopt;
  return pid;
}

// The parsed name from StandinStdio.
struct StdioName {
  pid_t standin = 0;
  pid_t foreground = 0;  // 0: none
};

std::optional<StdioName> ParseStdioName(std::string_view text) {
  constexpr std::string_view kPrefix = "standin:";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  size_t colon = text.find(':');
  auto standin = ParsePid(text.substr(0, colon));
  auto foreground = colon == std::string_view::npos ? std::optional<pid_t>(0) : ParsePid(text.substr(colon + 1));
  if (!standin || !foreground) return std::nullopt;
  return StdioName{.standin = *standin, .foreground = *foreground};
}

}  // namespace

asio::awaitable<Result<AttachedStdio>> StandinStdioSource::Attach(StdioRequest request) {
  AttachedStdio attached;
  StdioFds fds;
  StdioTraits traits;
  if (!request.in.empty() || !request.out.empty() || !request.err.empty()) {
    auto name = ParseStdioName(request.in);
    if (!name || request.out != request.in || request.err != request.in) {
      co_return Fail(Code::kInvalidArgument, "stdin, stdout and stderr must name one stand-in");
    }
    if (request.terminal && name->foreground > 0) {
      CO_TRY_ASSIGN(attached.foreground, OpenPidfd(name->foreground));
    }
    pid_t pid = name->standin;
    Patience patience = PatienceWith({pid}, kHelloTime, Patience::Kind::kWork);
    CO_TRY_ASSIGN(attached.standin, co_await standins_->Claim(pid, std::move(request.container),
                                                              std::move(request.exec), std::move(patience)));
    fds = attached.standin->TakeStdio();
    traits.until_end = attached.standin->TakeUntilEnd();
  }
  CO_TRY_ASSIGN(attached.stdio, Stdio::Create(executor_, std::move(fds), request.terminal, std::move(traits)));
  co_return std::move(attached);
}

}  // namespace kata::sandbox
