#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fills the tables of docs/compatibility.md from results of run.py: table.py RESULTS..."""
import collections
import json
import pathlib
import sys

from run import KINDS

PAGE = pathlib.Path(__file__).resolve().parent.parent.parent / 'docs/compatibility.md'
BEGIN, END = '<!-- tests/suites/table.py begins -->\n', '<!-- tests/suites/table.py ends -->\n'


def tables(entries):
    suites = sorted({entry['suite'] for entry in entries}, reverse=True)
    counts = collections.Counter((entry['suite'], entry['kind'], entry['result']) for entry in entries)
    yield '| tests of | kind | pass | fail | not run on this host |'
    yield '|---|---|---|---|---|'
    for suite in suites:
        for kind, title in KINDS.items():
            numbers = [counts[suite, kind, result] for result in ('pass', 'fail', 'skip')]
            if any(numbers):
                yield f'| {suite} | {title} | {" | ".join(map(str, numbers))} |'
    for suite in suites:
        failed = collections.defaultdict(list)
        for entry in entries:
            if entry['suite'] == suite and entry['result'] == 'fail':
                failed[entry['why'] or '?'].append(entry['test'])
        yield ''
        yield f'| test of {suite} that fails | why |'
        yield '|---|---|'
        for why, tests in failed.items():
            kind, _, reason = why.partition(': ')
            for test in tests:
                name = test.replace('|', '\\|')
                yield f'| `{name}` | {KINDS.get(kind, kind)}: {reason} |'


def main(paths):
    entries = [json.loads(line) for path in paths for line in pathlib.Path(path).read_text().splitlines()]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + '\n'.join(tables(entries)) + '\n' + END + after)


if __name__ == '__main__':
    main(sys.argv[1:])
