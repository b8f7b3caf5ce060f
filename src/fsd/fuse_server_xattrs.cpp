// SPDX-License-Identifier: Apache-2.0
// FuseServer: extended attributes.
#include <linux/limits.h>
#include <sys/xattr.h>

#include "fsd/fuse_server_parts.h"
#include "fsd/xattr.h"

namespace kata::fsd {
namespace {

// An overlay notes on a copy where it comes from, on copies of symbolic links and devices too, which can have no user.*
// attributes on the host: it answers EPERM. The overlay can do without that note, but not with an error.
bool MayBeLost(const Inode& inode, std::string_view name, int error) {
  return error == EPERM && !S_ISREG(inode.type) && !S_ISDIR(inode.type) && name == "trusted.overlay.origin";
}

// A size is asked for with 0.
int PutSizeOrBytes(uint32_t wanted, std::string_view bytes, Reply& reply) {
  if (wanted == 0) {
    reply.Put(fuse_getxattr_out{.size = static_cast<uint32_t>(bytes.size())});
    return 0;
  }
  if (bytes.size() > wanted) return ERANGE;
  reply.PutBytes(bytes);
  return 0;
}

}  // namespace

int FuseServer::SetXattr(Request& request, Reply& /*reply*/) {
  fuse_setxattr_in in;
  if (!request.TakePart(&in, long_setxattr_ ? sizeof(in) : FUSE_COMPAT_SETXATTR_IN_SIZE)) return EINVAL;
  const char* name = request.TakeString();
  std::string_view value;
  if (name == nullptr || !request.TakeBytes(in.size, &value)) return EINVAL;
  if (value.size() > XATTR_SIZE_MAX) return E2BIG;
  if ((in.flags & ~static_cast<uint32_t>(XATTR_CREATE | XATTR_REPLACE)) != 0) return EINVAL;
  const auto host = HostXattrName(name);
  if (!host) return EOPNOTSUPP;
  Reached file;
  if (const int error = Reach(request, &file); error != 0) return error;
  if (const int error = EnterProc(); error != 0) return error;
  // An ACL changes the mode; who is not of the file's group and has no CAP_FSETID loses the set-group-id bit by it.
  const bool kill = IsAcl(name) && (in.setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID) != 0;
  if (const int error = Become(CallerOf(request, !kill)); error != 0) return error;
  if (setxattr(FdName(file.fd()).c_str(), host->c_str(), value.data(), value.size(), static_cast<int>(in.flags)) == 0) {
    return 0;
  }
  const int error = errno;
  return MayBeLost(*file.inode, name, error) ? 0 : error;
}

int FuseServer::GetXattr(Request& request, Reply& reply) {
  fuse_getxattr_in in;
  if (!request.Take(&in)) return EINVAL;
  const char* name = request.TakeString();
  if (name == nullptr) return EINVAL;
  const auto host = HostXattrName(name);
  if (!host) return EOPNOTSUPP;
  Reached file;
  if (const int error = Reach(request, &file); error != 0) return error;
  if (const int error = EnterProc(); error != 0) return error;
  const FdName path(file.fd());
  std::string value(in.size > XATTR_SIZE_MAX ? XATTR_SIZE_MAX : in.size, '\0');
  const ssize_t length = getxattr(path.c_str(), host->c_str(), value.data(), value.size());
  if (length < 0) {
    // A file system without ACLs has none to tell. The guest's kernel would take the error for a refusal of access.
    return errno == EOPNOTSUPP && IsAcl(name) ? ENODATA : errno;
  }
  if (in.size == 0) {
    reply.Put(fuse_getxattr_out{.size = static_cast<uint32_t>(length)});
    return 0;
  }
  value.resize(static_cast<size_t>(length));
  reply.PutBytes(value);
  return 0;
}

int FuseServer::ListXattrs(Request& request, Reply& reply) {
  fuse_getxattr_in in;
  if (!request.Take(&in)) return EINVAL;
  Reached file;
  if (const int error = Reach(request, &file); error != 0) return error;
  if (const int error = EnterProc(); error != 0) return error;
  const FdName path(file.fd());
  const ssize_t size = listxattr(path.c_str(), nullptr, 0);
  if (size < 0) return errno;
  std::string names(static_cast<size_t>(size), '\0');
  // Zero would ask for the size again. ERANGE: more have come meanwhile.
  const ssize_t length = size == 0 ? 0 : listxattr(path.c_str(), names.data(), names.size());
  if (length < 0) return errno;
  names.resize(static_cast<size_t>(length));
  std::string shown;
  for (size_t begin = 0; begin < names.size();) {
    const std::string_view name = names.data() + begin;
    begin += name.size() + 1;
    // Whether the caller may see those of trusted.* the guest's kernel decides.
    if (const auto guest = GuestXattrName(name)) shown.append(*guest).push_back('\0');
  }
  return PutSizeOrBytes(in.size, shown, reply);
}

int FuseServer::RemoveXattr(Request& request, Reply& /*reply*/) {
  const char* name = request.TakeString();
  if (name == nullptr) return EINVAL;
  const auto host = HostXattrName(name);
  if (!host) return EOPNOTSUPP;
  Reached file;
  if (const int error = Reach(request, &file); error != 0) return error;
  if (const int error = EnterProc(); error != 0) return error;
  return removexattr(FdName(file.fd()).c_str(), host->c_str()) == 0 ? 0 : errno;
}

}  // namespace kata::fsd
