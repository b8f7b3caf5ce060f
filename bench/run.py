#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a container's life under kata-runtime beside runc, crun and runsc on the same bundle: run.py [--rounds N]

All figures are medians of one run on one machine; compare them with each other and not with another machine's. Printed as the
tables of docs/SPECIFICATION.md."""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

from figures import memory_of, milliseconds, needs_met, step, table

ROOT = pathlib.Path(__file__).resolve().parents[1]
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


def private_mounts():
    """crun 1.8 takes a hybrid cgroup host for version 2: in a mount namespace of this process it does not see that half."""
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "cannot make a private mount namespace")
    libc.umount(b"/sys/fs/cgroup/unified")


class Runtime:
    def __init__(self, name, command, isolate=False):
        self.name, self.command, self.isolate = name, command, isolate

    def popen(self, *arguments, **options):
        setup = private_mounts if self.isolate else None
        return subprocess.Popen([*self.command, *arguments], preexec_fn=setup, **options)

    def call(self, *arguments):
        """Seconds that one command took; its failure ends the benchmark."""
        # To a file and not a pipe, which a detached container would keep open.
        with tempfile.TemporaryFile() as error:
            start = time.perf_counter()
            process = self.popen(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=error)
            status = process.wait()
            elapsed = time.perf_counter() - start
            if status != 0:
                error.seek(0)
                raise RuntimeError(f"{self.name} {' '.join(arguments)}: {error.read().decode(errors='replace')}")
            return elapsed


def runtimes(state):
    kata = str(ROOT / "build/bin/kata-runtime")
    found = [Runtime("kata", [kata, "--root", f"{state}/kata"])]
    if shutil.which("runc"):
        found.append(Runtime("runc", ["runc", "--root", f"{state}/runc"]))
    if shutil.which("crun"):
        found.append(Runtime("crun", ["crun", "--root", f"{state}/crun"], isolate=True))
    if shutil.which("runsc"):
        found.append(Runtime("runsc", ["runsc", "--root", f"{state}/runsc", "--ignore-cgroups", "--network=none"]))
    return found


def make_bundle(directory, arguments, own_pids=True):
    """A bundle with the busybox rootfs beside it; the spec is kata-runtime's default one with other arguments."""
    directory.mkdir()
    subprocess.run([str(ROOT / "build/bin/kata-runtime"), "spec"], cwd=directory, check=True)
    spec = json.loads((directory / "config.json").read_text())
    spec["process"].update(args=arguments, terminal=False)
    spec["root"]["path"] = str(directory.parent / "rootfs")
    if not own_pids:
        spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] != "pid"]
    (directory / "config.json").write_text(json.dumps(spec))
    return str(directory)


def first_output(runtime, bundle, name, *flags):
    """Seconds from the call of `run` to its first byte on standard output, or to its end when it prints nothing."""
    start = time.perf_counter()
    process = runtime.popen("run", *flags, "--bundle", bundle, name, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    process.stdout.read(1)
    elapsed = time.perf_counter() - start
    process.stdout.read()
    if process.wait() != 0:
        raise RuntimeError(f"{runtime.name} run failed")
    return elapsed


@contextlib.contextmanager
def sleeping(runtime, bundle, name):
    runtime.call("run", "--detach", "--bundle", bundle, name)
    try:
        yield
    finally:
        runtime.call("delete", "--force", name)


def measure(runtime, bundles, rounds):
    row = {"run true": [], "run echo": [], "exec true": [], "state": [], "delete": []}
    for i in range(rounds):
        row["run true"].append(first_output(runtime, bundles["true"], f"bench-{runtime.name}-t{i}"))
        row["run echo"].append(first_output(runtime, bundles["echo"], f"bench-{runtime.name}-e{i}"))
    name = f"bench-{runtime.name}"
    for _ in range(max(3, rounds // 3)):
        runtime.call("run", "--detach", "--bundle", bundles["sleep"], name)
        for _ in range(5):
            row["exec true"].append(runtime.call("exec", name, "/bin/true"))
            row["state"].append(runtime.call("state", name))
        row["delete"].append(runtime.call("delete", "--force", name))
    return {key: milliseconds(samples) for key, samples in row.items()}


NOT_OURS = ("vmm", "kernel")


def kata_phases(runtime, bundle, rounds):
    """Medians of a start's phases; what is left between the call and the first output is the command line's own."""
    samples = {}
    for i in range(rounds):
        name = f"bench-phases-{i}"
        total = first_output(runtime, bundle, name, "--keep") * 1000
        state = json.loads(pathlib.Path(runtime.command[2], name, "state.json").read_text())
        phases = {phase: microseconds / 1000 for phase, microseconds in state["timing"].items()}
        phases["runtime, and the program itself"] = total - sum(phases.values())
        phases["all"] = total
        phases["all but vmm and kernel"] = total - sum(phases[phase] for phase in NOT_OURS)
        for phase, value in phases.items():
            samples.setdefault(phase, []).append(value)
        runtime.call("delete", name)
    return {phase: statistics.median(values) for phase, values in samples.items()}


def kata_exec(runtime, bundle, rounds):
    """An exec of /bin/true, and how much of it the program takes where a shell in the container starts it."""
    repeat = 20
    loop = "for i in {}; do /bin/busybox true; done".format(" ".join(map(str, range(repeat))))
    alone, many, none = [], [], []
    with sleeping(runtime, bundle, "bench-exec"):
        for _ in range(rounds):
            alone.append(runtime.call("exec", "bench-exec", "/bin/true"))
            many.append(runtime.call("exec", "bench-exec", "/bin/sh", "-c", loop))
            none.append(runtime.call("exec", "bench-exec", "/bin/sh", "-c", ":"))
    program = (milliseconds(many) - milliseconds(none)) / repeat
    return {"exec true": milliseconds(alone), "the program itself": program, "all but the program": milliseconds(alone) - program}


def kata_memory(runtime, bundle):
    """PSS of each host process of one idle container, and the agent's memory as the guest counts it, in KiB."""
    with sleeping(runtime, bundle, "bench-memory"):
        state = json.loads(pathlib.Path(runtime.command[2], "bench-memory", "state.json").read_text())
        pids = {process["pid"] for process in [state["sandbox"], state["standin"], *state["helpers"]]}
        rows = memory_of(pids)
        # This bundle shares the guest's process namespace, so that process 1 is the agent.
        out = runtime.popen("exec", "--cap", "CAP_SYS_PTRACE", "bench-memory", "/bin/cat", "/proc/1/smaps_rollup", stdout=subprocess.PIPE)
        for line in out.communicate()[0].decode().splitlines():
            if line.startswith(("Rss:", "Anonymous:")):
                rows["agent, " + line.split(":")[0].lower()] = int(line.split()[1])
        return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", help="one runtime's name")
    options = parser.parse_args()
    needs_met("qemu-system-x86_64", files=[ROOT / "build" / name for name in
                                           ("bin/kata-runtime", "guest/vmlinux", "guest/kata-containers-initrd.img")])
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        with step("making the root file system", "tests/rootfs/busybox.sh says it above"):
            subprocess.run([str(ROOT / "tests/rootfs/busybox.sh"), str(work / "rootfs")], check=True)
        bundles = {
            "true": make_bundle(work / "true", ["/bin/true"]),
            "echo": make_bundle(work / "echo", ["/bin/echo", "hello"]),
            "sleep": make_bundle(work / "sleep", ["/bin/sleep", "100000"]),
            "agent": make_bundle(work / "agent", ["/bin/sleep", "100000"], own_pids=False),
        }
        chosen = [r for r in runtimes(work / "state") if options.only in (None, r.name)]
        figures = {}
        for runtime in chosen:
            with step(f"measuring {runtime.name}", "see whether it runs a container; --only NAME measures one"):
                figures[runtime.name] = measure(runtime, bundles, options.rounds)
        names = list(figures)
        table("One container, median milliseconds", ["", *names],
              [[what, *(figures[n][what] for n in names)] for what in figures[names[0]]])
        if chosen[0].name == "kata":
            with step("measuring phases, exec and memory of kata-runtime", "see whether it runs a container by itself"):
                phases = kata_phases(chosen[0], bundles["echo"], options.rounds)
                table("Phases of kata-runtime run, median milliseconds", ["phase", "ms"], phases.items())
                execs = kata_exec(chosen[0], bundles["sleep"], options.rounds)
                table("One exec, median milliseconds", ["", "ms"], execs.items())
                memory = kata_memory(chosen[0], bundles["agent"])
                table("Memory of one sleeping container", ["process", "PSS, KiB"], memory.items())


main()
