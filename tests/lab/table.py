#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the table of docs/hosts.md for results of run.sh: table.py DIRECTORY..., the older ones first.

Of a test that ran several times on a host the last result counts."""
import json
import pathlib
import sys


def read(directory, hosts):
    """Adds the results in the directory to hosts: description -> {(file, test): result}."""
    results = {}
    for line in (pathlib.Path(directory) / "results.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if machine := entry.get("machine"):
            versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
            accel = next((line.split(": ")[1] for line in machine["check"] if "acceleration:" in line), "?")
            described = f"Linux {machine['kernel']}, {machine['cgroups']}, guests with {accel}, {versions}"
            results = hosts.setdefault((machine["host"], described), {})
        elif "whole" in entry:
            file, _, part = entry["file"].partition(".")
            # A part of a file that left nothing says nothing of the rest.
            if not part or entry["whole"] == "FAILED":
                results[file, "what is left over"] = entry["whole"]
        else:
            results[entry["file"], entry["test"]] = entry["result"]


def cell(results, file):
    """"3 of 4: `Class.test` FAILED", or nothing if the file did not run there."""
    own = {test: result for (name, test), result in results.items() if name == file}
    tests = [result for test, result in own.items() if test != "what is left over"]
    bad = [f"`{test}`" if test in own and "." in test else test for test, result in own.items() if result == "FAILED"]
    if not own:
        return ""
    # inside.py says last what is left over.
    lost = "" if "what is left over" in own else ", not to its end"
    return f"{tests.count('passed')} of {len(tests)}" + (": failed " + ", ".join(bad) if bad else "") + lost


def main(directories):
    hosts = {}
    for directory in directories:
        read(directory, hosts)
    print("| tests | " + " | ".join(name for name, _ in hosts) + " |")
    print("|---|" + "---|" * len(hosts))
    print("| the host | " + " | ".join(described for _, described in hosts) + " |")
    for file in sorted({file for results in hosts.values() for file, _ in results}):
        print(f"| `{file}` | " + " | ".join(cell(results, file) for results in hosts.values()) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
