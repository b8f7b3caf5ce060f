# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: medians, memory of processes, tables."""

import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys



def needs_met(*programs, files=()):
    """Looked for before anything is measured, which takes minutes."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        sys.exit(f"bench: missing here: {' '.join(missing)}\n  cure: make deps")
    unbuilt = [str(file) for file in files if not file.exists()]
    if unbuilt:
        sys.exit(f"bench: not built: {' '.join(unbuilt)}\n  cure: make")
    if os.getuid() != 0:
        sys.exit("bench: containers need mounts, namespaces and cgroups\n  cure: run it as root")


@contextlib.contextmanager
def step(what, cure):
    """A failure in it ends the benchmark, and names the step and the cure."""
    try:
        yield
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: failed at the step: {what}: {error}\n  cure: {cure}")


def milliseconds(samples):
    """The median of seconds."""
    return statistics.median(samples) * 1000


def pss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def memory_of(pids):
    """Name and PSS in KiB of processes and all that they have started, such as the file server's inner process."""
    rows, known, frontier = {}, set(pids), set(pids)
    while frontier:
        pid = frontier.pop()
        with contextlib.suppress(OSError):
            label = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            rows[f"{label} ({pid})"] = pss_kib(pid)
            children = {int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
            frontier |= children - known
            known |= children
    return rows


def table(title, header, rows):
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row) + " |", flush=True)
