// SPDX-License-Identifier: Apache-2.0
// Looks up user and group names in the container's own /etc/passwd and /etc/group (the protocol's StringUser).
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Sets uid, gid and additional gids in user from names, each of which is a name or a number. A user name without a gid
// sets the gid of its passwd entry. rootfs is a descriptor of the container's root. Its files are not trusted: only
// regular files of at most 1 MiB are read, and symbolic links cannot leave rootfs. kNotFound: no such user or group.
// kInvalidArgument: more than 1024 additional groups, or a database that is no regular file.
Result<> ResolveUser(int rootfs, const grpc::StringUser& names, grpc::User& user);

// The reverse: names by number. The constructor reads the files once; a file that cannot be read counts as empty.
class UserNames {
 public:
  explicit UserNames(int rootfs);
  // Empty: no entry has this number.
  std::string User(uint32_t uid) const;
  std::string Group(uint32_t gid) const;

 private:
  using Names = std::map<uint32_t, std::string>;
  Names users_;
  Names groups_;
};

}  // namespace kata::agent
