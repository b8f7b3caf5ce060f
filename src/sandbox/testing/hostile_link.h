// SPDX-License-Identifier: Apache-2.0
// For tests: what a hostile guest can do with the agent's connection, put between the host and a fake agent. It tells
// the truth until it is told to lie; from then on no answer is what it should be.
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
  kFlood,      // thousands of answers to nothing for each one
  kTrickle,    // a byte now and then
  kTwice,      // each answer twice
  kForOthers,  // the answer to another call
  kGarbage,    // a well-formed frame with anything in it
  kErrors,     // errors with unknown codes and texts that command a terminal
  kHalf,       // half a frame, then the end
};
inline constexpr Lie kLies[] = {Lie::kSilence, Lie::kHuge,    Lie::kOverlong, Lie::kDeep,
                                Lie::kFlood,   Lie::kTrickle, Lie::kTwice,    Lie::kForOthers,
                                Lie::kGarbage, Lie::kErrors,  Lie::kHalf};
const char* NameOf(Lie lie);

class HostileLink : public std::enable_shared_from_this<HostileLink> {
 public:
  explicit HostileLink(const boost::asio::any_io_executor& executor) : executor_(executor) {}

  // Takes a connection to the agent, gives the host's end of one to itself.
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
