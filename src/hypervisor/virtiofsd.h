// SPDX-License-Identifier: Apache-2.0
// virtiofsd, the daemon that serves one host directory to one guest over vhost-user (docs/hypervisor.md).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "config/config.h"

namespace kata::hypervisor {

// The daemon's arguments; the only place that builds them. Its own sandbox and seccomp filter are always on.
// max_files is what --rlimit-nofile gets: it holds a descriptor for every file that the guest knows of.
// kInvalidArgument for a word of virtio_fs_extra_args that is not known to be harmless.
Result<std::vector<std::string>> VirtiofsdArgv(const config::HypervisorConfig& config, const std::string& shared_dir,
                                               int listen_fd, uint64_t max_files);

// How many descriptors a child of this process may have at most: the hard limit, or a million where it may be raised.
uint64_t MaxFiles();

// A running virtiofsd and the connected socket that the VMM gets. The daemon ends by itself when the VMM has gone.
struct Virtiofsd {
  Child process;
  UniqueFd vmm_socket;
  UniqueFd log;  // what it wrote to stderr: a memory file (CappedLog)
  std::string program;
  std::string table;  // of the configuration, in which virtio_fs_daemon names it

  // The last lines of its stderr, printable.
  std::string LogTail() const;
  // How it ended, with those lines; where there are none, which program it was.
  std::string DescribeExit(const ExitStatus& status) const;
  // Ends it in milliseconds, with the process that it keeps in its own pid namespace, and reaps it. Better than only
  // dropping it, which leaves that process to be reaped by the host's PID 1.
  void End();
};

// Starts the daemon for shared_dir; runtime_dir is a descriptor of the directory where its socket stands until it is
// connected, then unlinked. The daemon opens shared_dir only after this: an error in that is in LogTail, and the VMM
// then cannot start.
Result<Virtiofsd> StartVirtiofsd(const config::HypervisorConfig& config, const std::string& shared_dir,
                                 int runtime_dir);

}  // namespace kata::hypervisor
