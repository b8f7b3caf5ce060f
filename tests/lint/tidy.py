#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy on every source file that is not a test: tidy.py BUILD_DIRECTORY [FILE...]

What is looked at is what the compiler gets: mostly files of the build that include several sources of a library each
(kata_unity in cmake/KataBuild.cmake). That takes a third of the time of one by one, and finds the same in the sources,
since HeaderFilterRegex of .clang-tidy has them.

A unit that was clean is not looked at again until something changes that the answer depends on: the file, what it
includes (the build has written down which), the compiler's arguments, .clang-tidy, or clang-tidy itself. The clean ones
are kept as hashes of all that, outside the build directory and without the clone's path, so that they serve other
clones too."""

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
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


def parts(path):
    """The sources that a file of kata_unity includes; any other file is its own."""
    if path.parent.name != "unity":
        return [path]
    return [ROOT / "src" / name for name in re.findall(r'^#include "(.*)"$', path.read_text(), re.MULTILINE)]


def unused_names(path):
    """What misc-unused-using-decls and misc-unused-alias-decls say of the file that they are given, which an included
    source is not: names that are declared and never used again."""
    text = path.read_text()
    for match in re.finditer(r"^ *(?:using [\w:]*::|namespace )(\w+)(?:;| = .*;)$", text, re.MULTILINE):
        if len(re.findall(rf"\b{match[1]}\b", text)) == 1:
            yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: error: {match[1]} is declared and not used\n"


class Unit:
    """What one run of the compiler compiles, and how, from its entry of compile_commands.json."""

    def __init__(self, entry):
        command = shlex.split(entry["command"])
        output = command.index("-o")
        self.path = entry["file"]
        self.sources = parts(pathlib.Path(entry["file"]))
        self.directory = entry["directory"]
        # GCC's warnings that clang does not know are no errors of the source.
        self.arguments = [*command[command.index(COMPILER) + 1 : output], "-Wno-unknown-warning-option"]
        self.object = command[output + 1]

    def key(self, included, common):
        """The hash of all that clang-tidy's answer depends on."""
        texts = [common, self.path, *self.arguments]
        for path in sorted(included):
            texts += [path, digest(path, os.stat(path).st_mtime_ns)]
        return hashlib.sha256("\0".join(map(without_root, texts)).encode()).hexdigest()

    def findings(self):
        """What clang-tidy says; empty when it is clean."""
        # The arguments are passed on: from compile_commands.json clang-tidy would take a file that is compiled for the
        # host and for the guest twice.
        command = [TIDY, "--quiet", self.path, "--", *self.arguments]
        result = subprocess.run(command, cwd=self.directory, capture_output=True, text=True)
        clean = result.returncode == 0 and "warning:" not in result.stdout
        unused = "".join(line for source in self.sources for line in unused_names(source))
        return unused if clean else result.stdout + unused + result.stderr


def check(unit, included, common):
    # What has never been compiled is always looked at: what it includes is not known.
    key = unit.key(included, common) if included else None
    if key and (CACHE / key).exists():
        return ""
    findings = unit.findings()
    # Somebody may have edited a file meanwhile.
    if key and not findings and unit.key(included, common) == key:
        (CACHE / key).touch()
    return findings


def units(build, wanted):
    """Each once: the agent's libraries compile some twice. Generated code and tests are left out."""

    def is_ours(path):
        is_test = path.stem.endswith(("_test", "_fixture")) or "testing" in path.parts
        return path.is_relative_to(ROOT / "src") and not is_test and (not wanted or path in wanted)

    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if entry["file"] not in found:
            found[entry["file"]] = Unit(entry)
    # The long ones first, so that none is left for the end alone.
    return sorted((u for u in found.values() if any(map(is_ours, u.sources))), key=lambda u: -len(u.sources))


def needs_met(build):
    missing = [program for program in (TIDY, "ninja") if not shutil.which(program)]
    if missing:
        sys.exit(f"tidy.py: missing here: {' '.join(missing)}\n  cure: make deps")
    if not (build / "compile_commands.json").exists():
        sys.exit(f"tidy.py: {build} was never configured\n  cure: make build")


def main():
    if not sys.argv[1:]:
        sys.exit("usage: tidy.py BUILD_DIRECTORY [FILE...]")
    build = pathlib.Path(sys.argv[1]).resolve()
    wanted = {pathlib.Path(name).resolve() for name in sys.argv[2:]}
    needs_met(build)
    chosen = units(build, wanted)
    missing = wanted.difference(*(unit.sources for unit in chosen))
    if missing:
        sys.exit(f"clang-tidy: no source that is compiled, or a test: {', '.join(map(str, sorted(missing)))}")
    included = included_files(build)
    version = subprocess.run([TIDY, "--version"], capture_output=True, text=True, check=True).stdout
    common = version + (ROOT / ".clang-tidy").read_text()
    CACHE.mkdir(parents=True, exist_ok=True)
    failed = 0
    files = sum(len(unit.sources) for unit in chosen)
    done = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = pool.map(lambda u: check(u, included.get(u.object), common), chosen)
        for unit, findings in zip(chosen, answers):
            done += len(unit.sources)
            if findings:
                failed += 1
                print(f"{unit.path}:\n{findings}", flush=True)
            else:
                print(f"clang-tidy: {done} of {files} files", flush=True)
    print(f"clang-tidy: {files} files together in {len(chosen)}, {failed} with findings")
    if failed:
        print("  cure: mend them; a check that is wrong for this code is turned off in .clang-tidy, with the reason")
    return 1 if failed else 0


sys.exit(main())
