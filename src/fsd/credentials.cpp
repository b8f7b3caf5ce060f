// SPDX-License-Identifier: Apache-2.0
#include "fsd/credentials.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kata::fsd {
namespace {

constexpr uint32_t kNobody = UINT32_MAX;

// What the kernel has for this thread.
struct Thread {
  bool ready = false;
  uid_t uid = 0;
  gid_t gid = 0;
  bool fsetid = true;
  mode_t mask = 0;
  int directory = -1;
  __user_cap_data_struct capabilities[2] = {};
};

thread_local Thread this_thread;

int SetCapabilities(bool fsetid) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {this_thread.capabilities[0], this_thread.capabilities[1]};
  for (__user_cap_data_struct& word : data) word.effective = word.permitted;
  if (!fsetid) data[0].effective &= ~(1U << CAP_FSETID);
  return syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

int Prepare() {
  if (unshare(CLONE_FS) != 0) return errno;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  if (syscall(SYS_capget, &header, this_thread.capabilities) != 0) return errno;
  umask(0);
  // An invalid id changes nothing, and tells what there is.
  this_thread.uid = static_cast<uid_t>(syscall(SYS_setfsuid, kNobody));
  this_thread.gid = static_cast<gid_t>(syscall(SYS_setfsgid, kNobody));
  if (const int error = SetCapabilities(/*fsetid=*/true); error != 0) return error;
  this_thread.ready = true;
  return 0;
}

// setfsuid(2) and setfsgid(2) do not report errors: ask afterwards.
bool SetId(long call, uint32_t wanted, uint32_t* now) {
  syscall(call, wanted);
  *now = static_cast<uint32_t>(syscall(call, kNobody));
  return *now == wanted;
}

}  // namespace

int Become(const Caller& caller) {
  if (!this_thread.ready) {
    if (const int error = Prepare(); error != 0) return error;
  }
  if (caller.uid == kNobody || caller.gid == kNobody) return EOVERFLOW;
  if (caller.gid != this_thread.gid && !SetId(SYS_setfsgid, caller.gid, &this_thread.gid)) return EOVERFLOW;
  bool capabilities = caller.fsetid != this_thread.fsetid;
  if (caller.uid != this_thread.uid) {
    // From root to another the kernel takes the capabilities that concern files, and back gives them.
    const bool set = SetId(SYS_setfsuid, caller.uid, &this_thread.uid);
    capabilities = true;
    if (!set) {
      SetCapabilities(this_thread.fsetid);
      return EOVERFLOW;
    }
  }
  if (capabilities) {
    if (const int error = SetCapabilities(caller.fsetid); error != 0) return error;
    this_thread.fsetid = caller.fsetid;
  }
  return 0;
}

void SetUmask(mode_t mask) {
  mask &= 0777;
  if (mask == this_thread.mask) return;
  umask(mask);
  this_thread.mask = mask;
}

int EnterDirectory(int directory) {
  if (this_thread.directory == directory) return 0;
  if (fchdir(directory) != 0) return errno;
  this_thread.directory = directory;
  return 0;
}

}  // namespace kata::fsd
