#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy on every source file that is not a test: tidy.py BUILD_FOLDER

A file that was clean is not looked at again while nothing that it includes has changed: the answer is kept under a hash of
the preprocessed text, outside the build folder."""

import concurrent.futures
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


def preprocessed_hash(entry, config):
    """The hash of all that clang-tidy's answer depends on, or None when the file does not preprocess."""
    command = shlex.split(entry["command"])
    command = command[command.index(COMPILER) : command.index("-o")] + ["-E", "-P", entry["file"]]
    text = subprocess.run(command, cwd=entry["directory"], capture_output=True)
    if text.returncode != 0:
        return None
    name = str(pathlib.Path(entry["file"]).relative_to(ROOT))
    # The clone's own path may stand in the text (__FILE__), and does not matter.
    return hashlib.sha256(config + name.encode() + text.stdout.replace(bytes(ROOT), b"")).hexdigest()


def check(entry, build, config):
    """(file, output): the output is empty when the file is clean."""
    key = preprocessed_hash(entry, config)
    stamp = CACHE / key if key else None
    if stamp and stamp.exists():
        return entry["file"], ""
    result = subprocess.run([TIDY, "--quiet", "-p", build, entry["file"]], capture_output=True, text=True)
    if result.returncode == 0 and "warning:" not in result.stdout:
        if stamp:
            stamp.touch()
        return entry["file"], ""
    return entry["file"], result.stdout + result.stderr


def main():
    build = sys.argv[1]
    CACHE.mkdir(parents=True, exist_ok=True)
    config = (ROOT / ".clang-tidy").read_bytes()
    entries = {}
    for entry in json.loads((ROOT / build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        # Each file once, though the agent's libraries compile it twice; generated code is not ours to mend.
        if path.is_relative_to(ROOT / "src") and not path.stem.endswith("_test") and "testing" not in path.parts:
            entries.setdefault(entry["file"], entry)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (file, output) in enumerate(pool.map(lambda e: check(e, build, config), entries.values()), 1):
            if output:
                failed += 1
                print(f"{file}:\n{output}", flush=True)
            elif done % 20 == 0:
                print(f"clang-tidy: {done} of {len(entries)} files", flush=True)
    print(f"clang-tidy: {len(entries)} files, {failed} with findings")
    return 1 if failed else 0


sys.exit(main())
