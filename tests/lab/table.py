#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the rows of docs/hosts.md for results of run.sh: table.py DIRECTORY..."""
import json
import pathlib
import sys


def rows(directory):
    """(host, versions, file, result) of each file of tests, in the order in which they ran."""
    machine, files = {}, {}
    for line in (pathlib.Path(directory) / "results.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "machine" in entry:
            machine = entry["machine"]
            continue
        tests = files.setdefault(entry["file"].split(".")[0], {"passed": 0, "failed": [], "left": []})
        if entry.get("result") == "passed":
            tests["passed"] += 1
        elif entry.get("result") == "FAILED":
            tests["failed"].append(entry["test"])
        elif entry.get("whole") == "FAILED":
            tests["left"].append(entry["why"])
    return machine, files


def main(directories):
    for directory in directories:
        machine, files = rows(directory)
        versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
        accel = next((line.split(": ")[1] for line in machine["check"] if "acceleration:" in line), "?")
        print(f"{machine['host']}, Linux {machine['kernel']}, {machine['cgroups']}, guests with {accel}: {versions}\n")
        print("| tests | passed | failed |\n|---|---|---|")
        for name, tests in files.items():
            failed = ", ".join(f"`{test}`" for test in tests["failed"]) + "; ".join(tests["left"])
            print(f"| `{name}` | {tests['passed']} | {failed or '-'} |")
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
