#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy on every source file that is not a test: tidy.py BUILD_DIRECTORY [FILE...]

A file that was clean is not looked at again until something changes that the answer depends on: the file, a header that
it includes (the build has written down which), the compiler's arguments, .clang-tidy, or clang-tidy itself. The clean
ones are kept as hashes of all that, outside the build directory and without the clone's path, so that they serve other
clones too."""

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

TIDY = "clang-tidy-16"
COMPILER = "/usr/bin/c++"  # what stands before it in a command is the compiler cache
ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "kata-containers/tidy"


def without_root(text):
    return text.replace(str(ROOT), "")


@functools.cache
def digest(path, mtime_ns):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def included_files(build):
    """For each object file, all that was read to compile it, as the build's log has it."""
    log = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    files = {}
    for block in log.split("\n\n"):
        head, *names = block.splitlines() or [""]
        if head.endswith("(VALID)"):
            # One spelling for each: ../src/x.h and src/x.h of another build directory are the same file.
            files[head.split(": #deps")[0]] = [os.path.normpath(build / name.strip()) for name in names]
    return files


class Source:
    """A source file and how it is compiled, from its entry of compile_commands.json."""

    def __init__(self, entry):
        command = shlex.split(entry["command"])
        output = command.index("-o")
        self.path = entry["file"]
        self.directory = entry["directory"]
        self.arguments = command[command.index(COMPILER) + 1 : output]
        self.object = command[output + 1]

    def key(self, included, common):
        """The hash of all that clang-tidy's answer depends on."""
        parts = [common, self.path, *self.arguments]
        for path in sorted(included):
            parts += [path, digest(path, os.stat(path).st_mtime_ns)]
        return hashlib.sha256("\0".join(map(without_root, parts)).encode()).hexdigest()

    def findings(self):
        """What clang-tidy says; empty when the file is clean."""
        # The arguments are passed on: from compile_commands.json clang-tidy would take a file that is compiled for the
        # host and for the guest twice.
        command = [TIDY, "--quiet", self.path, "--", *self.arguments]
        result = subprocess.run(command, cwd=self.directory, capture_output=True, text=True)
        clean = result.returncode == 0 and "warning:" not in result.stdout
        return "" if clean else result.stdout + result.stderr


def check(source, included, common):
    # A file that has never been compiled is always looked at: what it includes is not known.
    key = source.key(included, common) if included else None
    if key and (CACHE / key).exists():
        return ""
    findings = source.findings()
    # Somebody may have edited a file meanwhile.
    if key and not findings and source.key(included, common) == key:
        (CACHE / key).touch()
    return findings


def sources(build, wanted):
    """Each file once: the agent's libraries compile some twice. Generated code and tests are left out."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        is_test = path.stem.endswith("_test") or "testing" in path.parts
        if path.is_relative_to(ROOT / "src") and not is_test and (not wanted or path in wanted):
            found.setdefault(path, Source(entry))
    return list(found.values())


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    chosen = sources(build, {pathlib.Path(name).resolve() for name in sys.argv[2:]})
    included = included_files(build)
    version = subprocess.run([TIDY, "--version"], capture_output=True, text=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_text()
    CACHE.mkdir(parents=True, exist_ok=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = pool.map(lambda s: check(s, included.get(s.object), common), chosen)
        for done, (source, findings) in enumerate(zip(chosen, answers), 1):
            if findings:
                failed += 1
                print(f"{source.path}:\n{findings}", flush=True)
            elif done % 20 == 0:
                print(f"clang-tidy: {done} of {len(chosen)} files", flush=True)
    print(f"clang-tidy: {len(chosen)} files, {failed} with findings")
    return 1 if failed else 0


sys.exit(main())
