// SPDX-License-Identifier: Apache-2.0
// A synchronous client of the Task service: each call blocks until its reply.
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

// One connection to a sandbox process. Not thread-safe.
class Task {
 public:
  // Connects to task.sock in the sandbox's directory. kUnavailable: the sandbox process is gone.
  static Result<Task> Connect(int directory);
  Task(Task&& other) noexcept;
  Task& operator=(Task&& other) noexcept;
  ~Task();

  // A time-out by the rule of base/patience.h for a reply of the sandbox process, which in turn may wait for its VM.
  Patience PatienceFor(std::chrono::milliseconds time) const;
  // Makes one call. Without patience it waits as long as the connection exists. Errors as for rpc::Client::Call;
  // kCancelled: one of interrupts' signals came first, and the connection is closed.
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
