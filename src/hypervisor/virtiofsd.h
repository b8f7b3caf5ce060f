// SPDX-License-Identifier: Apache-2.0
// virtiofsd, the daemon that serves one host folder to one guest over vhost-user.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "config/config.h"

namespace kata::hypervisor {

// The daemon's arguments; the only place that builds them. Its own sandbox and seccomp filter are always on.
std::vector<std::string> VirtiofsdArgv(const config::HypervisorConfig& config, const std::string& shared_dir, int listen_fd);

// A running virtiofsd and the connected socket that the VMM gets.
struct Virtiofsd {
  Child process;
  UniqueFd vmm_socket;
  UniqueFd log;  // what it wrote to stderr: a memfd, read when it dies
  std::string LogTail() const;
};

// Starts the daemon for shared_dir; runtime_dir is where its socket stands until it is connected, then unlinked.
Result<Virtiofsd> StartVirtiofsd(const config::HypervisorConfig& config, const std::string& shared_dir, int runtime_dir);

}  // namespace kata::hypervisor
