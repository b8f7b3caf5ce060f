// SPDX-License-Identifier: Apache-2.0
// kata-standin: the process on the host that stands for one process in a guest (docs/kata-standin.md). Statically
// linked and small, because there is one for every container and every exec.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kConnection = 3;
// Optional: a descriptor of the caller that the sandbox process holds until the process's outputs have ended.
constexpr int kUntilEnd = 4;
constexpr int kUsageError = 2;
// The exit status when this process cannot wait for signals, so that it cannot stand for anything.
constexpr int kNoSignals = 1;
// The exit status when the sandbox process is gone, and with it the guest: that of a killed process. Equal to
// kKilledStatus of sandbox/container_process.h, which this program does not include: it shares no code.
constexpr int kSandboxGone = 128 + SIGKILL;

void Send(const char* packet, int length) {
  // Other errors mean that the sandbox process is gone; ReadConnection then sees the end of the stream.
  while (send(kConnection, packet, static_cast<size_t>(length), MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

// The pid by which the others know this process, which may be in a pid namespace of its own: /proc is theirs.
int OwnPid() {
  char link[16] = {};
  if (getpid() != 1 || readlink("/proc/self", link, sizeof link - 1) <= 0) return getpid();
  return atoi(link);
}

// Sends "H <pid> <container id> [<exec id>]" with this process's stdio and kUntilEnd. The stand-in sends it instead of
// kata-runtime, so that it is the first packet even if a signal arrives early.
bool SendHello(const char* container, const char* exec_id) {
  char packet[1024];
  const int length =
      snprintf(packet, sizeof packet, exec_id != nullptr ? "H %d %s %s" : "H %d %s", OwnPid(), container, exec_id);
  if (length < 0 || length >= static_cast<int>(sizeof packet)) return false;
  constexpr int kHandedOver[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, kUntilEnd};
  const size_t size = (fcntl(kUntilEnd, F_GETFD) < 0 ? 3 : 4) * sizeof(int);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof kHandedOver)] = {};
  iovec data{.iov_base = packet, .iov_len = static_cast<size_t>(length)};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(size);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(header), kHandedOver, size);
  return sendmsg(kConnection, &message, MSG_NOSIGNAL) == length;
}

// systemd, as PID 1, signals all processes of a scope, of which this one stands for those in the guest.
void SendSignal(const signalfd_siginfo& info) {
  char packet[16];
  const bool all = info.ssi_pid == 1 && info.ssi_code == SI_USER;
  Send(packet, snprintf(packet, sizeof packet, all ? "A %u" : "S %u", info.ssi_signo));
}

void SendWindowSize() {
  winsize size{};
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return;
  char packet[32];
  Send(packet, snprintf(packet, sizeof packet, "W %u %u", size.ws_row, size.ws_col));
}

// Reads one packet, if there is one. Does not return if the process in the guest has ended or the connection is closed.
void ReadConnection() {
  char packet[32];
  const ssize_t length = recv(kConnection, packet, sizeof packet - 1, MSG_DONTWAIT);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0) _exit(kSandboxGone);
  packet[length] = '\0';
  unsigned status = 0;
  if (sscanf(packet, "X %u", &status) == 1) _exit(static_cast<int>(status & 0xffU));
}

// Forwards all pending signals.
void ReadSignals(int signals, bool terminal) {
  signalfd_siginfo info{};
  while (read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (terminal && info.ssi_signo == SIGWINCH) {
      SendWindowSize();
    } else {
      SendSignal(info);
    }
  }
}

}  // namespace

// kata-standin [--terminal] ID [EXEC-ID]. The ids are on the command line so that ps(1) shows them. Descriptor 3 is the
// connection.
int main(int argc, char** argv) {
  const bool terminal = argc > 1 && strcmp(argv[1], "--terminal") == 0;
  char** ids = argv + (terminal ? 2 : 1);
  int type = 0;
  socklen_t size = sizeof type;
  if (argc < 2 || ids[0] == nullptr || getsockopt(kConnection, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      type != SOCK_SEQPACKET) {
    static const char message[] =
        "kata-standin: this program is for kata-runtime, which gives it an id, and a SEQPACKET socket as descriptor "
        "3\n";
    [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    return kUsageError;
  }
  // First block all signals, for good: one that arrives before the loop stays pending until the loop reads it.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  // Before any other descriptor is opened, which could get the number kUntilEnd and be sent by mistake.
  const bool said = SendHello(ids[0], ids[1]);
  close(kUntilEnd);
  const int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) return kNoSignals;
  if (!said) return kSandboxGone;
  // Close the stdio, so that readers of the outputs see their end when the process in the guest closes them. Only a
  // terminal's stdin stays open, to read its size.
  if (!terminal) close(STDIN_FILENO);
  close(STDOUT_FILENO);
  close(STDERR_FILENO);

  if (terminal) {
    // When the engine resizes the master, the kernel sends SIGWINCH to the slave's foreground group, which is this
    // process.
    ioctl(STDIN_FILENO, TIOCSCTTY, 0);
    SendWindowSize();
  }

  pollfd waits[] = {{.fd = kConnection, .events = POLLIN, .revents = 0},
                    {.fd = signals, .events = POLLIN, .revents = 0}};
  for (;;) {
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return kSandboxGone;
    // Signals first, so that those that arrived before the end are still forwarded.
    if (waits[1].revents != 0) ReadSignals(signals, terminal);
    if (waits[0].revents != 0) ReadConnection();
  }
}
