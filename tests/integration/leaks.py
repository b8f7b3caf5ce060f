# SPDX-License-Identifier: Apache-2.0
"""What a runtime could leave behind on the host, as a value that two moments can be compared by."""
import ctypes
import os
import pathlib
import re
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36
# Every id and directory of the tests has this in its name. Things of other runs beside this one are not ours to count.
TAG = f"kata-{os.getpid()}-"
OTHER_RUN = re.compile(r"kata-(\w+-)?\d+-")
# Links that a test makes (cri.py, netns.py and the tests of networks) are called so. Bridges of other runs, and so the
# links on them, are theirs.
OWN_LINKS = re.compile(rf"kata-{os.getpid()}$|k[bctv]{os.getpid() % 100000}(n\d|$)")
OTHER_LINKS = re.compile(r"kata-\d+$|k[bctv]\d+(n\d|$)")
# Podman names its bridges and network namespaces itself. They count for the one module that has any, test_podman.
PODMANS = re.compile(r"(cni-podman\d+|netns-[0-9a-f-]{36})$")
counts_podmans = False
# What a tiny VM has shown of the host is kept until the next boot (docs/hypervisor.md); the directory of sandboxes is made
# by the first one and stays, as runc's does.
KEPT = {"/run/kata-containers", "/run/kata"}


def become_subreaper():
    """Orphans become our children: none can hide, and none is reaped before the end of its test.

    So every test runs under a PID 1 that reaps late.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def process(pid):
    """(parent, state, command line) of a process; None when there is none."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
    return int(rest[1]), rest[0], command.strip() or f"[{name}]"


def descendants(of=None):
    """pid -> command line of everything alive below a process; the dead ones that wait for us are reaped."""
    everyone = {int(entry): process(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    everyone = {pid: entry for pid, entry in everyone.items() if entry}
    found, parents = {}, {of or os.getpid()}
    while parents:
        parents = {pid for pid, (parent, _, _) in everyone.items() if parent in parents and pid not in found}
        found.update({pid: everyone[pid] for pid in parents})
    for pid, (parent, state, _) in found.items():
        if state == "Z" and parent == os.getpid():
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass  # a Popen has seen to it
    return {pid: command for pid, (_, state, command) in found.items() if state != "Z"}


def _marked(lines):
    return {line for line in lines if TAG in line or ("kata" in line and not OTHER_RUN.search(line))}


def _entries(directory, pattern="*"):
    return {str(path) for path in pathlib.Path(directory).glob(pattern)}


def _sandboxes(directory):
    """The directories of sandboxes. The id of a pod does not tell whose it is, but its record has the path of its bundle."""
    found = set()
    for path in pathlib.Path(directory).glob("*"):
        try:
            ours = TAG in path.name or TAG in (path / "state.json").read_text()
        except OSError:
            ours = not OTHER_RUN.search(path.name)
        if ours:
            found.add(str(path))
    return found


def _is_other_podmans(name):
    return not counts_podmans and PODMANS.search(name)


def _is_ours(link):
    """Not of another run: neither its bridge nor on its bridge, nor on its way there."""
    master = pathlib.Path("/sys/class/net", link, "master")
    on = os.path.basename(os.readlink(master)) if master.is_symlink() else ""
    if any(OWN_LINKS.match(name) for name in (link, on)):
        return True
    return not any(OTHER_LINKS.match(name) or _is_other_podmans(name) for name in (link, on)) and not (link.startswith("veth") and not on)


def _links():
    return {link for link in os.listdir("/sys/class/net") if _is_ours(link)}


def _cgroups():
    """Without the one that all sandboxes share: it comes and goes with those of other runs. What is in it counts."""
    found = (directory for directory, _, _ in os.walk("/sys/fs/cgroup"))
    return _marked(directory for directory in found if os.path.basename(directory) != "kata_overhead")


def _disciplines():
    """Of all links but their own default ones, which differ by kind of link."""
    shown = subprocess.run(["tc", "qdisc"], capture_output=True, text=True, check=True).stdout.splitlines()
    lines = (line.split() for line in shown if " 0: " not in line)
    return {" ".join(words[1:5]) for words in lines if _is_ours(words[4])}


def snapshot():
    """Everything of the kinds that a sandbox has: name of the kind -> set."""
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "processes": {f"{pid} {command}" for pid, command in descendants().items()},
        "mounts": _marked(" ".join(line.split()[3:]) for line in mounts),
        "cgroups": _cgroups(),
        "files of /run": (_entries("/run", "kata*") - KEPT) | _sandboxes("/run/kata") | _entries("/run/vc"),
        "files of /dev/shm": _marked(_entries("/dev/shm")),
        # Those of pods are mounted in the directory of their containerd.
        "network namespaces": {
            path for path in _entries("/run/netns") if TAG in path or not (OTHER_RUN.search(path) or _is_other_podmans(path))
        },
        "network interfaces": _links(),
        "queueing disciplines": _disciplines(),
    }


def difference(before, after):
    """What is in the one snapshot and not in the other, one a line; empty when they are the same."""
    lines = []
    for kind, old in before.items():
        lines += [f"left over of {kind}: {item}" for item in sorted(after[kind] - old)]
        # What others have there comes and goes as they like.
        if kind != "files of /run":
            lines += [f"vanished of {kind}: {item}" for item in sorted(old - after[kind])]
    return "\n".join(lines)


def wait_until_same(before, seconds=20):
    """The difference that remains. A process that has been told to end may take a moment to do so."""
    deadline = time.monotonic() + seconds
    while (lines := difference(before, snapshot())) and time.monotonic() < deadline:
        time.sleep(0.02)
    return lines
