#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds a target of a preset, the guest kernel beside it when asked to, and shows per cent and time left.

    build.py PRESET [--target NAME] [--kernel DIRECTORY] [--kernel-flags FLAGS] [--ninja-flags FLAGS]

At a terminal that is one line, written anew each second, in a log a line each 15 seconds. What the compilers and the
kernel's builder say is passed on; ninja's line for each file is not."""

import argparse
import os
import pathlib
import re
import selectors
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
NINJA = re.compile(rb"\[(\d+)/(\d+)\] ")
KERNEL = re.compile(rb"guest kernel: compiled (\d+) of about (\d+) files")
# How much there is to do, in seconds of one processor without caches (docs/SPECIFICATION.md): what has further to go
# counts for more.
SECONDS = {"kernel": 600, "C++": 400}


class Part:
    """One of the builds: a process, what it says, and how far it is."""

    def __init__(self, name, command, pattern, environment=None):
        self.name, self.pattern = name, pattern
        self.done, self.total, self.rest = 0, 0, b""
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=environment)

    def read(self):
        """Lines for the person who builds; None at the end."""
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            return None
        *lines, self.rest = (self.rest + data).split(b"\n")
        others = []
        for line in lines:
            match = self.pattern.match(line)
            if match:
                self.done, self.total = int(match[1]), int(match[2])
            elif line != b"ninja: no work to do.":
                others.append(line)
        return others

    def fraction(self):
        if self.process.poll() is not None:
            return 1.0
        return min(self.done / self.total, 0.99) if self.total else 0.0

    def weight(self):
        """Nothing for what came out of a cache."""
        return SECONDS[self.name] if self.total or self.process.poll() is None else 0


def clock(seconds):
    return f"{int(seconds) // 60}m{int(seconds) % 60:02}s"


class Progress:
    def __init__(self, parts):
        self.parts, self.start, self.shown = parts, time.monotonic(), time.monotonic()
        self.terminal = sys.stdout.isatty()

    def line(self):
        elapsed = time.monotonic() - self.start
        weight = sum(part.weight() for part in self.parts)
        fraction = sum(part.weight() * part.fraction() for part in self.parts) / weight if weight else 1.0
        counts = ", ".join(f"{part.name} {part.done} of {part.total} files" for part in self.parts if part.total)
        # Before the first hundredth nobody can know.
        left = f", about {clock(elapsed * (1 - fraction) / fraction)} left" if fraction >= 0.01 else ""
        return f"building: {100 * fraction:.0f} %, {clock(elapsed)}{left}" + (f" ({counts})" if counts else "")

    def show(self):
        if self.terminal:
            print(f"\r{self.line()}\033[K", end="", flush=True)
        elif time.monotonic() - self.shown >= 15:
            self.shown = time.monotonic()
            print(self.line(), flush=True)

    def say(self, lines):
        for line in lines:
            sys.stdout.buffer.write((b"\r\033[K" if self.terminal else b"") + line + b"\n")
        sys.stdout.flush()

    def end(self, words):
        self.say([f"{words}, {clock(time.monotonic() - self.start)}".encode()])


def run(parts):
    """0, or the status of the first part that failed; the others are ended then."""
    progress = Progress(parts)
    selector = selectors.DefaultSelector()
    for part in parts:
        selector.register(part.process.stdout, selectors.EVENT_READ, part)
    while selector.get_map():
        for key, _ in selector.select(timeout=1):
            part = key.data
            lines = part.read()
            if lines is not None:
                progress.say(lines)
                continue
            selector.unregister(part.process.stdout)
            progress.say([part.rest] if part.rest else [])
            if part.process.wait() != 0:
                progress.end(f"building failed: {part.name} (what it said is above)")
                return part.process.returncode
        progress.show()
    progress.end("built")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--target", default="all")
    parser.add_argument("--kernel", metavar="DIRECTORY", help="build the guest kernel too, into DIRECTORY")
    parser.add_argument("--kernel-flags", default="", help="for guest/kernel/build.sh")
    parser.add_argument("--ninja-flags", default="")
    options = parser.parse_args()
    parts = []
    try:
        # The kernel is built meanwhile: each of the two leaves a processor idle at times.
        if options.kernel:
            command = ["guest/kernel/build.sh", "--output", options.kernel, *shlex.split(options.kernel_flags)]
            parts.append(Part("kernel", command, KERNEL))
        command = ["cmake", "--build", "--preset", options.preset, "--target", options.target, "--",
                   *shlex.split(options.ninja_flags)]
        parts.append(Part("C++", command, NINJA, os.environ | {"NINJA_STATUS": "[%f/%t] "}))
        return 0 if run(parts) == 0 else 1
    except KeyboardInterrupt:
        return 130
    finally:
        for part in parts:
            if part.process.poll() is None:
                part.process.terminate()
                part.process.wait()


sys.exit(main())
