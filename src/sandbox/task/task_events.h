// SPDX-License-Identifier: Apache-2.0
// The events of a task for containerd.
#pragma once

#include <functional>
#include <string>

#include "protocol/events.pb.h"

namespace kata::sandbox {

// One event: containerd's topic, and the message with its full name.
struct TaskEvent {
  std::string topic;
  std::string type;
  std::string payload;
};

// Takes an event without blocking. Called in the order in which the events happen.
using TaskEventSink = std::function<void(TaskEvent)>;

inline constexpr char kExitTopic[] = "/tasks/exit";
inline constexpr char kOomTopic[] = "/tasks/oom";

inline const char* TopicOf(const containerd::events::TaskCreate&) { return "/tasks/create"; }
inline const char* TopicOf(const containerd::events::TaskStart&) { return "/tasks/start"; }
inline const char* TopicOf(const containerd::events::TaskDelete&) { return "/tasks/delete"; }
inline const char* TopicOf(const containerd::events::TaskExit&) { return kExitTopic; }
inline const char* TopicOf(const containerd::events::TaskOOM&) { return kOomTopic; }
inline const char* TopicOf(const containerd::events::TaskExecAdded&) { return "/tasks/exec-added"; }
inline const char* TopicOf(const containerd::events::TaskExecStarted&) { return "/tasks/exec-started"; }
inline const char* TopicOf(const containerd::events::TaskPaused&) { return "/tasks/paused"; }
inline const char* TopicOf(const containerd::events::TaskResumed&) { return "/tasks/resumed"; }

template <typename Message>
TaskEvent MakeEvent(const Message& message) {
  return {.topic = TopicOf(message), .type = message.GetTypeName(), .payload = message.SerializeAsString()};
}

}  // namespace kata::sandbox
