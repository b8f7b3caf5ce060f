#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rewrites differences-SERVER.toml from the facts that test_files.py has kept: update_list.py FACTS_DIRECTORY SERVER

A fact keeps the reason that it, or the same fact at another place or with another cache, has in the list. One that has
none is printed, and the list is left as it is: name the reason by hand first, for one place of it at least. For a list
that names caches all of them must have run."""

import collections
import itertools
import json
import pathlib
import sys
import textwrap
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
sys.dont_write_bytecode = True
from test_files import CACHES


def read_facts(path):
    """(place, fact) -> result."""
    lines = (line.rstrip("\n").split(": ", 2) for line in path.read_text().splitlines())
    return {(place, fact): answer for place, fact, answer in lines}


class Known:
    """What the list has: reason and sometimes of a fact, and its result."""

    def __init__(self, text):
        self.reasons, self.results = {}, {}
        for entry in text["difference"]:
            what = entry["reason"], entry.get("sometimes", False)
            for place, (fact, result) in itertools.product(entry["places"], entry["facts"].items()):
                for cache in entry.get("caches", CACHES):
                    self.results[cache, place, fact] = result
                    for key in ((cache, place, fact), (cache, fact), (place, fact), fact):
                        self.reasons.setdefault(key, what)

    def reason(self, cache, place, fact):
        keys = ((cache, place, fact), (cache, fact), (place, fact), fact)
        return next((self.reasons[key] for key in keys if key in self.reasons), None)


def differences(theirs, ours, known):
    """(cache, place, fact) -> (reason and sometimes, result), and what has no reason, one line each. ours: by cache."""
    found, unknown = {}, []
    for cache, mine in ours.items():
        places = {place for place, _ in mine}
        for place, fact in dict.fromkeys([*(key for key in theirs if key[0] in places), *mine]):
            key = cache, place, fact
            their, our = theirs.get((place, fact), "nothing"), mine.get((place, fact), "nothing")
            what = known.reason(*key)
            if their == our:
                # What differs on other hosts only stays.
                if key not in known.results or not what[1]:
                    continue
                our = known.results[key]
            if what is None:
                unknown.append(f"{cache}: {place}: {fact}: runc {their!r}, ours {our!r}")
            found[key] = what, our
    return found, unknown


def grouped(found, ours):
    """Reason and sometimes -> (fact, result, caches) -> places. No caches: all that were tried at the place."""
    at = collections.defaultdict(list)
    for (cache, place, fact), result in found.items():
        at[place, fact, result].append(cache)
    tried = collections.Counter(place for mine in ours.values() for place in {place for place, _ in mine})
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for (place, fact, (what, our)), caches in at.items():
        groups[what][fact, our, tuple(caches) if len(caches) < tried[place] else ()].append(place)
    return groups


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
    theirs = read_facts(directory / "runc.txt")
    files = {cache: directory / f"{server}-{cache}.txt" for cache in CACHES}
    # An entry that names no caches is for all, so a cache without facts would be taken for one that does the same.
    needed = CACHES if any("caches" in entry for entry in text["difference"]) else ["auto"]
    if missing := [str(files[cache]) for cache in needed if not files[cache].exists()]:
        sys.exit(f"{path.name} needs the facts of a whole run of test_files.py; missing: {', '.join(missing)}")
    ours = {cache: read_facts(file) for cache, file in files.items() if file.exists()}
    found, unknown = differences(theirs, ours, Known(text))
    if unknown:
        sys.exit("\n".join(["no reason is known for:", *unknown]))
    groups = grouped(found, ours)
    used = [reason for reason in text["reasons"] if any(reason == what[0] for what in groups)]
    lines = [old[: old.index("[reasons]")] + "[reasons]"]
    for reason in used:
        lines += reason_lines(f'"{reason}"', text["reasons"][reason])
    in_order = sorted(groups.items(), key=lambda group: (used.index(group[0][0]), group[0][1]))
    for (reason, sometimes), places_of in in_order:
        by_places = collections.defaultdict(list)
        for (fact, our, caches), places in places_of.items():
            by_places[tuple(places), caches].append(f'"{fact}" = {json.dumps(our)}')
        for (places, caches), entries in by_places.items():
            lines += ["", "[[difference]]", f'reason = "{reason}"', *places_line(places)]
            lines += [f"caches = [{', '.join(map(json.dumps, caches))}]"] if caches else []
            lines += ["sometimes = true"] if sometimes else []
            lines += ["[difference.facts]", *entries]
    path.write_text("\n".join(lines) + "\n")


main()
