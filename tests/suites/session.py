# SPDX-License-Identifier: Apache-2.0
"""Runs one test in a terminal and a temporary directory of its own, and takes away whatever it leaves on the host."""

import contextlib
import ctypes
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
LINUX = ctypes.CDLL(None, use_errno=True)


def become_subreaper():
    """All that a test starts stays below this process, so that nothing of it is missed."""
    if LINUX.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'prctl(PR_SET_CHILD_SUBREAPER)')
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it writes to the descriptor below


def show_only_cgroup2():
    """A mount namespace of this process's own, in which /sys/fs/cgroup is the unified hierarchy, as on a newer host."""
    clone_newns, ms_rec, ms_private, mnt_detach = 0x20000, 0x4000, 0x40000, 2
    for result in (LINUX.unshare(clone_newns), LINUX.mount(None, b'/', None, ms_rec | ms_private, None),
                   LINUX.umount2(b'/sys/fs/cgroup', mnt_detach),
                   LINUX.mount(b'none', b'/sys/fs/cgroup', b'cgroup2', 0, None)):
        if result != 0:
            raise OSError(ctypes.get_errno(), 'cannot show cgroup v2 alone')


def children():
    return [int(pid) for pid in pathlib.Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()]


def reap(status):
    """Reaps like an init; `status` gets what ended, by pid."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, code = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            status[pid] = code


def thaw(cgroup):
    for name, word in (('freezer.state', 'THAWED'), ('cgroup.freeze', '0')):
        with contextlib.suppress(OSError), open(os.path.join(cgroup, name), 'r+', encoding='ascii') as file:
            file.write(word)


def thaw_process(pid):
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f'/proc/{pid}/cgroup').read_text().splitlines():
            _, controllers, path = line.split(':', 2)
            thaw(f'/sys/fs/cgroup/{controllers}{path}' if controllers else f'/sys/fs/cgroup{path}')


def kill_what_is_left():
    while left := children():
        for pid in left:
            thaw_process(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # The children of these become ours when they end.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def unmount_below(directory):
    for line in reversed(pathlib.Path('/proc/self/mountinfo').read_text().splitlines()):
        if (target := line.split()[4].encode().decode('unicode_escape')).startswith(f'{directory}/'):
            LINUX.umount2(target.encode(), 2)  # MNT_DETACH


def detach_loops_of(directory):
    for path in pathlib.Path('/sys/block').glob('loop*/loop/backing_file'):
        with contextlib.suppress(OSError):
            if path.read_text().startswith(f'{directory}/'):
                subprocess.run(['losetup', '-d', f'/dev/{path.parts[3]}'], check=False)


def cgroups():
    """Those that the tests and their containers make, and the hierarchies: runc's helpers make a
    plain directory for each controller that the kernel has and that is not mounted."""
    own = re.compile('/runc-cgroups-integration-test|/test-tmp|/frozen$')
    found = {root for root, _, _ in os.walk('/sys/fs/cgroup') if own.search(root)}
    return found.union(entry.path for entry in os.scandir('/sys/fs/cgroup') if entry.is_dir(follow_symlinks=False))


def kill_session(leader):
    """What runs in the terminal of that process, so that it does not go on while it is cleaned up."""
    for entry in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            if os.getsid(int(entry)) == leader:
                os.kill(int(entry), signal.SIGKILL)


class Session:
    """The terminal, the directory and what was there before; `with Session() as session: session.run(...)`."""

    def __init__(self, runtime):
        self.runtime = runtime

    def __enter__(self):
        self.before = cgroups()
        self.directory = tempfile.mkdtemp(prefix='suite-')
        os.chmod(self.directory, 0o755)  # a user namespace's root must reach the bundles
        return self

    def __exit__(self, *_):
        made = sorted(cgroups() - self.before, reverse=True)
        for path in reversed(made):
            thaw(path)  # what is frozen cannot be killed in cgroup v1, and blocks who waits for it
        # ROOT/ID/state.json; a test that was interrupted has not deleted its containers.
        for path in [root for root, _, files in os.walk(self.directory) if 'state.json' in files]:
            root, container = os.path.split(path)
            subprocess.run([self.runtime, '--root', root, 'delete', '--force', container], timeout=60,
                           stdin=subprocess.DEVNULL, capture_output=True, check=False)
        kill_what_is_left()
        unmount_below(self.directory)
        detach_loops_of(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):
                os.rmdir(path)

    def run(self, command, seconds, **options):
        """What the command wrote, and its status; None where it ran out of time."""
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        previous = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        terminal, side = pty.openpty()
        output, ended = bytearray(), {}
        # --ctty: /dev/tty is this terminal.
        child = subprocess.Popen(['setsid', '--ctty', *command], stdin=side, stdout=side, stderr=side,
                                 **options)
        os.close(side)
        child.returncode = 0  # reaped below, with all others
        end = time.monotonic() + seconds
        try:
            while child.pid not in ended and (left := end - time.monotonic()) > 0:
                ready, _, _ = select.select([terminal, wake], [], [], left)
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
                if terminal in ready:
                    output += self.read(terminal)
                reap(ended)
            if child.pid not in ended:
                kill_session(child.pid)
            while select.select([terminal], [], [], 0)[0] and (more := self.read(terminal)):
                output += more
        finally:
            signal.set_wakeup_fd(previous)
            for descriptor in (terminal, wake, waker):
                os.close(descriptor)
        status = os.waitstatus_to_exitcode(ended[child.pid]) if child.pid in ended else None
        return output.decode(errors='replace').replace('\r\n', '\n'), status

    @staticmethod
    def read(terminal):
        try:
            return os.read(terminal, 65536)
        except OSError:  # nobody has it open
            return b''
