// SPDX-License-Identifier: Apache-2.0
// Prints what a file system does, one line a fact: files-suite KIND DIRECTORY [SECOND] [AREA...]
//
// KIND whole: every area, in DIRECTORY. idmapped: many of them in a user namespace, in an idmapped mount of DIRECTORY.
// mapped: what such a mount is to those whose ids are not mapped. twice: those of two mounts; SECOND is the same
// directory by another mount. readonly: DIRECTORY may not be written. full: DIRECTORY is a file system of a mebibyte.
// host: the driver changes DIRECTORY meanwhile. AREA: only these.
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <span>
#include <string_view>

#include "areas.h"
#include "exec.h"
#include "idmapped.h"

namespace kata::files {

namespace {

struct Area {
  const char* name;
  void (*run)(const Place& place);
  std::string_view kinds;  // words
};

constexpr Area kAreas[] = {
    {"open", Open, "whole idmapped"},
    {"users", Users, "whole idmapped"},
    {"acl", Acls, "whole idmapped"},
    {"xattr", Xattrs, "whole idmapped"},
    {"names", Names, "whole idmapped"},
    {"directories", Directories, "whole idmapped"},
    {"times", Times, "whole idmapped"},
    {"killpriv", KillPriv, "whole idmapped"},
    {"space", Space, "whole"},
    {"io", InputOutput, "whole"},
    {"mmap", Mmap, "whole twice"},
    {"locks", Locks, "whole idmapped twice"},
    {"leases", Leases, "whole"},
    {"sockets", Sockets, "whole idmapped twice"},
    {"fifos", Fifos, "whole twice"},
    {"notify", Notify, "whole twice"},
    {"coherence", Coherence, "twice"},
    {"limits", Limits, "whole"},
    {"tmpfile", Tmpfile, "whole idmapped"},
    {"flags", Flags, "whole idmapped"},
    {"exec", Exec, "whole idmapped"},
    {"handles", Handles, "whole"},
    {"quotas", Quotas, "whole"},
    {"overlay", Overlay, "whole"},
    {"userns", UserNamespaces, "whole idmapped"},
    {"capabilities", Capabilities, "whole idmapped"},
    {"mapped", Idmapped, "mapped"},
    {"readonly", ReadOnly, "readonly"},
    {"host", ByTheHost, "host"},
    {"full", Full, "full"},
};

// In a process and a process group of its own: what one area breaks or leaves running does not concern the next.
void RunArea(const Area& area, const std::string& kind, const std::string& here, const std::string& there) {
  BeginArea(area.name);
  Place place = {here, there};
  if (kind == "whole" || kind == "idmapped" || kind == "mapped" || kind == "twice") {
    place = {here + "/" + area.name, there + "/" + area.name};
    MakeDir(place.here);
  }
  const pid_t pid = fork();
  if (pid < 0) {
    Fact("fork", ErrorName(errno));
    return;
  }
  if (pid == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(120);
    umask(022);
    if (chdir(place.here.c_str()) != 0) {
      Fact("chdir", ErrorName(errno));
      _exit(1);
    }
    area.run(place);
    _exit(0);
  }
  setpgid(pid, pid);
  int status = 0;
  waitpid(pid, &status, 0);
  kill(-pid, SIGKILL);
  // The program is killed when a fact does not come: that is a fact, too.
  if (WIFSIGNALED(status)) Fact("ended", std::string("by ") + sigabbrev_np(WTERMSIG(status)));
}

bool IsOf(const Area& area, std::string_view kind) {
  for (std::string_view rest = area.kinds; !rest.empty();) {
    const size_t end = std::min(rest.find(' '), rest.size());
    if (rest.substr(0, end) == kind) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

// A word that is not known must not just print nothing: that would be the same on every file system, and pass.
bool IsKnown(std::string_view kind, std::span<char*> chosen) {
  if (std::none_of(std::begin(kAreas), std::end(kAreas), [&](const Area& area) { return IsOf(area, kind); })) {
    fprintf(stderr, "files-suite: %.*s: no such kind\n", static_cast<int>(kind.size()), kind.data());
    return false;
  }
  for (const char* name : chosen) {
    if (std::none_of(std::begin(kAreas), std::end(kAreas),
                     [&](const Area& area) { return strcmp(name, area.name) == 0 && IsOf(area, kind); })) {
      fprintf(stderr, "files-suite: %s: no such area of this kind\n", name);
      return false;
    }
  }
  return true;
}

int Main(std::span<char*> arguments) {
  if (arguments.size() > 1 && strncmp(arguments[1], "--", 2) == 0) return ExecHelper(arguments);
  const std::string kind = arguments.size() > 1 ? arguments[1] : "";
  size_t next = kind == "twice" ? 4 : 3;
  if (kind.empty() || arguments.size() < next) {
    fprintf(stderr, "usage: files-suite whole|idmapped|mapped|twice|readonly|full|host DIRECTORY [SECOND] [AREA...]\n");
    return 2;
  }
  const std::string here = arguments[2], there = arguments[next - 1];
  const std::span<char*> chosen = arguments.subspan(next);
  if (!IsKnown(kind, chosen)) return 2;
  signal(SIGPIPE, SIG_IGN);
  umask(022);
  const auto run = [&] {
    for (const Area& area : kAreas) {
      const bool wanted = chosen.empty() || std::any_of(chosen.begin(), chosen.end(),
                                                        [&](const char* name) { return strcmp(name, area.name) == 0; });
      if (wanted && IsOf(area, kind)) RunArea(area, kind, here, there);
    }
  };
  if (kind == "idmapped") {
    BeginArea(kind);
    InIdmappedMount(here, run);
  } else {
    run();
  }
  return 0;
}

}  // namespace
}  // namespace kata::files

int main(int argc, char** argv) { return kata::files::Main(std::span(argv, argc)); }
