#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rewrites differences-SERVER.toml from the facts that test_files.py has kept: update_list.py FACTS_DIRECTORY SERVER

A fact keeps the reason that it, or the same fact at another place, has in the list. One that has none is printed, and
the list is left as it is: name the reason by hand first, for one place of it at least."""

import collections
import itertools
import json
import pathlib
import sys
import textwrap
import tomllib

HERE = pathlib.Path(__file__).resolve().parent


def facts(path):
    """(place, fact) -> result."""
    lines = (line.rstrip("\n").split(": ", 2) for line in path.read_text().splitlines())
    return {(place, fact): answer for place, fact, answer in lines}


def known(text):
    """(place, fact) -> (reason, sometimes), the same of each fact wherever it is, and (place, fact) -> result."""
    exact, anywhere, results = {}, {}, {}
    for entry in text["difference"]:
        what = entry["reason"], entry.get("sometimes", False)
        for place, (fact, result) in itertools.product(entry["places"], entry["facts"].items()):
            exact[place, fact] = what
            anywhere.setdefault(fact, what)
            results[place, fact] = result
    return exact, anywhere, results


def reason_lines(name, text):
    line = f"{name} = {json.dumps(text)}"
    if len(line) <= 120:
        return [line]
    words = textwrap.wrap(text, 112, break_on_hyphens=False, break_long_words=False)
    return [f'{name} = """\\', *(f"  {part} \\" for part in words[:-1]), f'  {words[-1]}"""']


def places_line(places):
    line = f"places = [{', '.join(map(json.dumps, places))}]"
    return [line] if len(line) <= 120 else ["places = [", *(f"  {json.dumps(place)}," for place in places), "]"]


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: update_list.py FACTS_DIRECTORY SERVER")
    directory, server = pathlib.Path(sys.argv[1]), sys.argv[2]
    path = HERE / f"differences-{server}.toml"
    old = path.read_text()
    text = tomllib.loads(old)
    exact, anywhere, results = known(text)
    theirs, ours = facts(directory / "runc.txt"), facts(directory / f"{server}.txt")
    groups, unknown = collections.defaultdict(lambda: collections.defaultdict(list)), []
    for key in dict.fromkeys([*theirs, *ours]):
        their, our = theirs.get(key, "nothing"), ours.get(key, "nothing")
        what = exact.get(key) or anywhere.get(key[1])
        if their == our:
            # What differs on other hosts only stays.
            if not exact.get(key, ("", False))[1]:
                continue
            our = results[key]
        if what is None:
            unknown.append(f"{': '.join(key)}: runc {their!r}, ours {our!r}")
            continue
        groups[what][key[1], our].append(key[0])
    if unknown:
        sys.exit("\n".join(["no reason is known for:", *unknown]))
    used = [reason for reason in text["reasons"] if any(reason == what[0] for what in groups)]
    lines = [old[: old.index("[reasons]")] + "[reasons]"]
    for reason in used:
        lines += reason_lines(f'"{reason}"', text["reasons"][reason])
    for (reason, sometimes), found in sorted(groups.items(), key=lambda group: (used.index(group[0][0]), group[0][1])):
        by_places = collections.defaultdict(list)
        for (fact, our), places in found.items():
            by_places[tuple(places)].append(f'"{fact}" = {json.dumps(our)}')
        for places, entries in by_places.items():
            lines += ["", "[[difference]]", f'reason = "{reason}"', *places_line(places)]
            lines += ["sometimes = true"] if sometimes else []
            lines += ["[difference.facts]", *entries]
    path.write_text("\n".join(lines) + "\n")


main()
