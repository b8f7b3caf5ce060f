// SPDX-License-Identifier: Apache-2.0
// For tests: makes a small root filesystem, specs, and real containers on this machine. Needs root.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/container/container.h"
#include "agent/reaper.h"

namespace kata::agent {

// The outcome of a process: the error that prevented its start, or its output and exit status.
struct Outcome {
  std::optional<Error> error;
  std::string out;  // stdout and stderr, in one pipe
  int status = -1;
};

class ContainerTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A spec as podman writes it, with /bin/sh -c script as the command.
  grpc::Spec Spec(const std::string& script) const;
  // The same with a user namespace, in which id 0 is the host's 100000. Gives the root filesystem to that user.
  grpc::Spec UserSpec(const std::string& script) const;
  ContainerOptions Options(const grpc::Spec& spec);

  // Creates, starts, waits, destroys.
  Outcome Run(const grpc::Spec& spec);
  Outcome Run(ContainerOptions options);
  // Creates and starts a container and leaves it running; fails the test if that is not possible.
  std::unique_ptr<Container> Started(const grpc::Spec& spec);
  Outcome Exec(Container& container, const grpc::Process& process);
  Outcome ExecScript(Container& container, const std::string& script);
  grpc::Process Script(const std::string& script) const;
  void Destroy(Container& container);

  template <typename T>
  T Await(asio::awaitable<T> work) {
    std::optional<T> result;
    asio::co_spawn(context_, std::move(work), [&result](std::exception_ptr failed, T value) {
      if (failed) std::rethrow_exception(failed);
      result.emplace(std::move(value));
    });
    while (!result) context_.run_one();
    return std::move(*result);
  }
  asio::any_io_executor executor() { return context_.get_executor(); }

  std::string directory_;  // of this test only, removed at its end
  std::string root_;       // directory_ + "/rootfs"
  std::string cgroup_mount_;

 private:
  asio::io_context context_;
  std::unique_ptr<Reaper> reaper_;
  int serial_ = 0;
};

struct PipePair {
  UniqueFd read;
  UniqueFd write;
};
PipePair MakePipe();
std::string ReadToEnd(int fd);

void AddMount(grpc::Spec* spec, const std::string& destination, const std::string& type, const std::string& source,
              const std::vector<std::string>& options);
// Takes the mount at destination out of the spec.
void DropMount(grpc::Spec* spec, const std::string& destination);

}  // namespace kata::agent
