// SPDX-License-Identifier: Apache-2.0
// The Task service for a program that does one thing after the other: each call blocks until its answer.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/interrupts.h"
#include "base/patience.h"
#include "base/result.h"

namespace google::protobuf {
class MessageLite;
}

namespace kata::runtime {

// One connection to a sandbox process.
class Task {
 public:
  // Connects to ROOT/ID/task.sock. kUnavailable: the sandbox process has gone.
  static Result<Task> Connect(int directory);
  Task(Task&& other) noexcept;
  Task& operator=(Task&& other) noexcept;
  ~Task();

  // By the rule of base/patience.h: for an answer of the sandbox process, which may wait for its VM.
  Patience PatienceFor(std::chrono::milliseconds time) const;
  // One call. Without patience: as long as the connection stands. kCancelled: one of interrupts' signals came first.
  template <typename Reply>
  Result<Reply> Call(const std::string& method, const google::protobuf::MessageLite& request,
                     Patience patience = std::chrono::milliseconds(0), const Interrupts* interrupts = nullptr) {
    const std::string payload = TRY(CallRaw(method, request, std::move(patience), interrupts));
    Reply reply;
    if (!reply.ParseFromString(payload))
      return Fail(Code::kInternal, "the answer to {} is not a valid message", method);
    return reply;
  }

 private:
  struct Impl;
  explicit Task(std::unique_ptr<Impl> impl);
  Result<std::string> CallRaw(const std::string& method, const google::protobuf::MessageLite& request,
                              Patience patience, const Interrupts* interrupts);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kata::runtime
