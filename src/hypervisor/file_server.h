// SPDX-License-Identifier: Apache-2.0
// The file server, a daemon that serves one directory of the host to one guest over vhost-user: kata-fsd, or a
// virtiofsd (docs/files.md).
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

// The daemon's command line; no other code builds one. Its sandbox and its seccomp filter are always on. listen_fd is
// the number of the listening socket in the daemon. max_files is for --rlimit-nofile: a virtiofsd holds a descriptor
// for every file that the guest has looked up. kInvalidArgument: virtio_fs_extra_args has an argument that is not
// accepted.
Result<std::vector<std::string>> FileServerArgv(const config::HypervisorConfig& config, const std::string& shared_dir,
                                                int listen_fd, uint64_t max_files);

// What to do if the program cannot be run, for a message.
std::string FileServerAdvice(const config::HypervisorConfig& config);

// The number of descriptors to allow for the file server: at least a million with CAP_SYS_RESOURCE, otherwise the hard
// limit of this process, but not more than a million.
uint64_t MaxFiles();

// A running file server, and the connected socket for the VMM. The daemon exits when the VMM's end of the socket
// closes.
struct FileServer {
  Child process;
  UniqueFd vmm_socket;
  UniqueFd log;  // the memory file with its stderr (CappedLog)
  std::string program;
  std::string table;  // the configuration table whose key virtio_fs_daemon names the program

  // The last lines of its stderr, printable.
  std::string LogTail() const;
  // How the daemon ended, with LogTail; without output, with the program's path.
  std::string DescribeExit(const ExitStatus& status) const;
  // Kills and reaps the daemon and the process in its pid namespace; blocks for milliseconds. The destructor alone
  // would kill the daemon first, and leave the inner process to be reaped by the host's PID 1.
  void End();
};

// Starts the daemon for shared_dir. runtime_dir is a descriptor of a directory, in which the socket is created and
// unlinked after it is connected. The daemon opens shared_dir only after this returns: if that fails, LogTail has the
// error, and the VMM cannot start.
Result<FileServer> StartFileServer(const config::HypervisorConfig& config, const std::string& shared_dir,
                                   int runtime_dir);

}  // namespace kata::hypervisor
