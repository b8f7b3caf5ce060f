// SPDX-License-Identifier: Apache-2.0
#include "shim/stdio_uri.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>

#include "base/child.h"
#include "base/coroutine.h"
#include "base/files.h"
#include "base/patience.h"

namespace kata::shim {
namespace {

using sandbox::StdioFds;
using sandbox::StdioTraits;

// Time allowed for a logger to become ready, which it shows by closing a pipe.
constexpr std::chrono::milliseconds kLoggerTime{10000};

std::string Decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
      decoded += static_cast<char>(value);
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

// Opens a FIFO for output, and also its read end. The read end is never read: while it is open, writes do not fail when
// there is no reader, and data in the FIFO is not lost.
Result<UniqueFd> OpenSink(const std::string& path, StdioTraits& traits) {
  UniqueFd keeper = TRY(Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  UniqueFd sink = TRY(Open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (fstat(keeper.get(), &status) == 0 && S_ISFIFO(status.st_mode)) traits.keepers.push_back(std::move(keeper));
  return sink;
}

struct PipeEnds {
  UniqueFd read;
  UniqueFd write;
};

Result<PipeEnds> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  return PipeEnds{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

struct Opened {
  StdioFds fds;
  StdioTraits traits;
  std::optional<Child> logger;
  UniqueFd logger_ready;  // read end of a pipe; the logger closes the write end when it is ready
};

asio::awaitable<Result<>> LoggerIsReady(asio::any_io_executor executor, UniqueFd end, pid_t logger) {
  auto pipe = std::make_shared<asio::posix::stream_descriptor>(executor, end.Release());
  Event ready(executor);
  pipe->async_wait(asio::posix::descriptor_base::wait_read,
                   [pipe, ready](boost::system::error_code) mutable { ready.Happen(); });
  Patience patience = PatienceWith({logger}, kLoggerTime, Patience::Kind::kWork);
  while (!ready.happened()) {
    const auto next = patience.Next();
    if (next.count() == 0) break;
    co_await ready.WaitFor(next);
  }
  const bool is = ready.happened();
  boost::system::error_code ignored;
  pipe->close(ignored);
  if (is) co_return Result<>();
  co_return Fail(Code::kDeadlineExceeded, "the logger of stdout is not ready {}", patience.Text());
}

// Starts a logger program (containerd's binary://). In the logger, descriptors 3 and 4 are stdout and stderr of the
// process, and descriptor 5 is the pipe that it closes when it is ready.
Result<> StartLogger(const StdioUri& uri, const std::string& namespace_name, const sandbox::StdioRequest& request,
                     Opened& opened) {
  PipeEnds out = TRY(MakePipe());
  PipeEnds err = TRY(MakePipe());
  PipeEnds ready = TRY(MakePipe());
  Command command;
  command.argv = {uri.path};
  for (const auto& [name, value] : uri.values) {
    command.argv.push_back(name);
    if (!value.empty()) command.argv.push_back(value);
  }
  command.env = {"CONTAINER_ID=" + request.container, "CONTAINER_NAMESPACE=" + namespace_name};
  if (const char* path = getenv("PATH"); path != nullptr) command.env->push_back(std::string("PATH=") + path);
  command.extra_fds = {out.read.get(), err.read.get(), ready.write.get()};
  command.die_with_parent = false;  // the logger may still have to write its last lines
  opened.logger = TRY(Context(Spawn(command), "cannot start the logger {}", uri.path));
  opened.logger_ready = std::move(ready.read);
  for (UniqueFd* end : {&out.write, &err.write}) fcntl(end->get(), F_SETFL, O_NONBLOCK);
  opened.fds[1] = std::move(out.write);
  if (!request.terminal) opened.fds[2] = std::move(err.write);
  return {};
}

Result<UniqueFd> OpenOutput(const StdioUri& uri, StdioTraits& traits) {
  switch (uri.kind) {
    case StdioUri::Kind::kNone:
      return UniqueFd();
    case StdioUri::Kind::kFifo:
      return Context(OpenSink(uri.path, traits), "the FIFO");
    case StdioUri::Kind::kFile:
      return Context(Open(uri.path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY, 0644), "the file");
    case StdioUri::Kind::kBinary:
      break;
  }
  return Fail(Code::kInvalidArgument, "a logger takes stdout and stderr, not one of them");
}

Result<Opened> OpenAll(const sandbox::StdioRequest& request, const std::string& namespace_name) {
  const StdioUri in = TRY(Context(ParseStdioUri(request.in), "stdin"));
  const StdioUri out = TRY(Context(ParseStdioUri(request.out), "stdout"));
  const StdioUri err = TRY(Context(ParseStdioUri(request.terminal ? "" : request.err), "stderr"));
  Opened opened;
  opened.traits.own = true;
  if (in.kind == StdioUri::Kind::kFifo) {
    // A terminal's stdin must survive its client, for the next one: O_RDWR keeps a writer, so that only CloseIO ends
    // it. Without a terminal stdin ends when its writer closes it, since ctr does not always call CloseIO.
    const int mode = request.terminal ? O_RDWR : O_RDONLY;
    opened.fds[0] = TRY(Context(Open(in.path, mode | O_NONBLOCK | O_NOCTTY), "stdin"));
  } else if (in.kind != StdioUri::Kind::kNone) {
    return Fail(Code::kInvalidArgument, "stdin: {} is no FIFO", request.in);
  }
  if (out.kind == StdioUri::Kind::kBinary) {
    if (!request.terminal && request.err != request.out) {
      return Fail(Code::kInvalidArgument, "stderr: {} is not the logger of stdout", request.err);
    }
    TRY(StartLogger(out, namespace_name, request, opened));
    return opened;
  }
  opened.fds[1] = TRY(Context(OpenOutput(out, opened.traits), "stdout"));
  opened.fds[2] = TRY(Context(OpenOutput(err, opened.traits), "stderr"));
  return opened;
}

}  // namespace

Result<StdioUri> ParseStdioUri(const std::string& text) {
  StdioUri uri;
  if (text.empty()) return uri;
  struct Scheme {
    std::string_view prefix;
    StdioUri::Kind kind;
  };
  constexpr Scheme kSchemes[] = {
      {"fifo://", StdioUri::Kind::kFifo}, {"file://", StdioUri::Kind::kFile}, {"binary://", StdioUri::Kind::kBinary}};
  std::string_view rest = text;
  uri.kind = StdioUri::Kind::kFifo;
  bool plain = true;
  for (const Scheme& scheme : kSchemes) {
    if (!rest.starts_with(scheme.prefix)) continue;
    rest.remove_prefix(scheme.prefix.size());
    uri.kind = scheme.kind;
    plain = false;
  }
  if (!rest.starts_with('/')) {
    return Fail(Code::kInvalidArgument, "\"{}\" is neither an absolute path nor a fifo://, file:// or binary:// URI",
                text);
  }
  // A plain path may contain any character, also '?' and '%'.
  const size_t question = plain ? std::string_view::npos : rest.find('?');
  uri.path = plain ? std::string(rest) : Decode(rest.substr(0, question));
  if (question == std::string_view::npos) return uri;
  rest.remove_prefix(question + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const size_t equals = std::min(pair.find('='), pair.size());
    uri.values.emplace_back(Decode(pair.substr(0, equals)), Decode(pair.substr(std::min(pair.size(), equals + 1))));
  }
  return uri;
}

asio::awaitable<Result<sandbox::AttachedStdio>> UriStdioSource::Attach(sandbox::StdioRequest request) {
  CO_TRY_ASSIGN(auto opened, mounts_.OnHost([&] { return OpenAll(request, namespace_name_); }));
  if (opened.logger) {
    CO_TRY(co_await LoggerIsReady(executor_, std::move(opened.logger_ready), opened.logger->pid()));
    loggers_->Add(request.container, request.exec, *std::move(opened.logger));
  }
  sandbox::AttachedStdio attached;
  CO_TRY_ASSIGN(attached.stdio,
                sandbox::Stdio::Create(executor_, std::move(opened.fds), request.terminal, std::move(opened.traits)));
  co_return std::move(attached);
}

}  // namespace kata::shim
