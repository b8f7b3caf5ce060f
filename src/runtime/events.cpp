// SPDX-License-Identifier: Apache-2.0
// `events`: prints a container's statistics and OOM kills until its process ends.
#include <algorithm>
#include <chrono>
#include <optional>

#include "protocol/events_of_task.pb.h"
#include "protocol/shim.pb.h"
#include "runtime/duration.h"
#include "runtime/events_json.h"
#include "runtime/output.h"
#include "runtime/store.h"
#include "runtime/task.h"
#include "runtime/verbs.h"
#include "sandbox/task/task_client.h"

namespace kata::runtime {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kStatsTime{10000};
// Asked for again after this time. A short one costs little, and the caller may end meanwhile without a trace.
constexpr milliseconds kOomWait{10000};

Result<kata::task::Figures> AskFigures(Task& task, const std::string& id) {
  containerd::task::v2::StatsRequest request;
  request.set_id(id);
  const auto reply =
      TRY(task.Call<containerd::task::v2::StatsResponse>("Stats", request, task.PatienceFor(kStatsTime)));
  kata::task::Figures figures;
  if (reply.stats().type_url() != sandbox::kFiguresType || !figures.ParseFromString(reply.stats().value())) {
    return Fail(Code::kInternal, "the sandbox process sent statistics of another kind");
  }
  return figures;
}

// The events of one container. Each function returns false when the container has ended.
class EventStream {
 public:
  EventStream(const Record& record, Task task) : record_(record), task_(std::move(task)) {}

  // From here on OOM kills are told. runc tells none of earlier ones either.
  Result<bool> Begin() {
    const auto figures = TRY(Unless(AskFigures(task_, record_.id)));
    if (figures) oom_kills_ = figures->oom_kills();
    return figures.has_value();
  }

  Result<bool> PrintStats() {
    const auto figures = TRY(Unless(AskFigures(task_, record_.id)));
    if (!figures) return false;
    TRY(Print(StatsEvent(record_.id, figures->stats()) + "\n"));
    return true;
  }

  Result<bool> TellOomKills(Clock::time_point until) {
    while (true) {
      const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
      if (left.count() <= 0) return true;
      kata::task::AwaitOomRequest request;
      request.set_id(record_.id);
      request.set_seen(oom_kills_);
      request.set_timeout_ms(static_cast<uint64_t>(std::min(left, kOomWait).count()));
      const auto reply = TRY(Unless(task_.Call<kata::task::AwaitOomResponse>("AwaitOom", request)));
      if (!reply) return false;
      for (; oom_kills_ < reply->oom_kills(); ++oom_kills_) TRY(Print(OomEvent(record_.id) + "\n"));
      if (reply->ended()) return false;
    }
  }

 private:
  // The end of the container is no error. It may also have been deleted, or its sandbox process has gone.
  template <typename Reply>
  Result<std::optional<Reply>> Unless(Result<Reply> reply) {
    if (reply) return *std::move(reply);
    const Code code = reply.error().code();
    if (code == Code::kFailedPrecondition || code == Code::kNotFound || code == Code::kUnavailable) return std::nullopt;
    return tl::unexpected<Error>(std::move(reply).error());
  }

  const Record& record_;
  Task task_;
  uint64_t oom_kills_ = 0;
};

}  // namespace

Result<int> Events(const Globals& globals, const EventsOptions& options) {
  const std::chrono::nanoseconds interval = TRY(Context(ParseDuration(options.interval), "invalid --interval"));
  if (interval.count() <= 0) return Fail(Code::kInvalidArgument, "duration interval must be greater than 0");
  const Record record = TRY(FindContainer(globals.root, options.id));
  const sandbox::Status status = record.status();
  if (status == sandbox::Status::kCreating || status == sandbox::Status::kStopped) {
    return Fail(Code::kFailedPrecondition, "container with id {} is not running", options.id);
  }
  TRY(CheckHears(record));
  EventStream events(record, TRY(Task::Connect(record.directory.get())));
  if (options.stats) {
    TRY(events.PrintStats());
    return 0;
  }
  bool runs = TRY(events.Begin());
  for (auto next = Clock::now() + interval; runs; next = std::max(next + interval, Clock::now())) {
    runs = TRY(events.TellOomKills(next)) && TRY(events.PrintStats());
  }
  return 0;
}

}  // namespace kata::runtime
