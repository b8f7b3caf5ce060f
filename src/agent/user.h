// SPDX-License-Identifier: Apache-2.0
// StringUser: names of users and groups, looked up in the container's own /etc/passwd and /etc/group.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "protocol/agent.pb.h"

namespace kata::agent {

// Sets user's numbers from names or numbers. rootfs is a descriptor of the container's root; its files are hostile:
// only regular ones of at most 1 MiB are read, and links lead nowhere else. kNotFound names who is missing.
Result<> ResolveUser(int rootfs, const grpc::StringUser& names, grpc::User& user);

// The way back: names by number, from the files as they are when this is made.
class UserNames {
 public:
  explicit UserNames(int rootfs);
  // Empty: the container has none.
  std::string User(uint32_t uid) const;
  std::string Group(uint32_t gid) const;

 private:
  using Names = std::map<uint32_t, std::string>;
  Names users_;
  Names groups_;
};

}  // namespace kata::agent
