// SPDX-License-Identifier: Apache-2.0
// For tests: a link between the host and a fake agent that does to the agent's connection what a hostile guest can do.
// It passes answers on unchanged until Tell names a lie; from then on every answer is wrong.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "rpc/connection.h"

namespace kata::sandbox::testing {

enum class Lie {
  kNone,
  kSilence,    // no answer
  kHuge,       // answers as large as a frame may be
  kOverlong,   // frames that claim to be larger
  kDeep,       // nested a hundred thousand times
  kFlood,      // thousands of answers without a request, for each real one
  kTrickle,    // a byte every 20 ms
  kTwice,      // each answer twice
  kForOthers,  // the answer to another call
  kGarbage,    // a well-formed frame with anything in it
  kErrors,     // errors with unknown codes and with control sequences of terminals
  kHalf,       // half a frame, then the end of the stream
};
inline constexpr Lie kLies[] = {Lie::kSilence, Lie::kHuge,    Lie::kOverlong, Lie::kDeep,
                                Lie::kFlood,   Lie::kTrickle, Lie::kTwice,    Lie::kForOthers,
                                Lie::kGarbage, Lie::kErrors,  Lie::kHalf};
const char* NameOf(Lie lie);

class HostileLink : public std::enable_shared_from_this<HostileLink> {
 public:
  explicit HostileLink(const boost::asio::any_io_executor& executor) : executor_(executor) {}

  // Takes a connection to the agent, and returns the host's end of a connection to this link.
  UniqueFd Connect(UniqueFd agent);
  void Tell(Lie lie) { lie_ = lie; }

 private:
  static boost::asio::awaitable<void> PassRequests(std::shared_ptr<HostileLink> self);
  static boost::asio::awaitable<void> PassAnswers(std::shared_ptr<HostileLink> self);
  boost::asio::awaitable<void> Answer(rpc::Frame frame);
  boost::asio::awaitable<void> SendSlowly(std::string bytes);
  void SendRaw(const std::string& bytes);

  boost::asio::any_io_executor executor_;
  std::shared_ptr<rpc::Connection> host_;
  std::shared_ptr<rpc::Connection> agent_;
  std::map<uint32_t, std::string> waiting_;  // stream to method
  Lie lie_ = Lie::kNone;
};

}  // namespace kata::sandbox::testing
