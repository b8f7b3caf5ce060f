#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs runc's or crun's own tests against a runtime, and compares what fails with expected.toml."""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tomllib

import session
import sources

HERE = pathlib.Path(__file__).resolve().parent
RUNTIME = HERE.parent.parent / 'build/bin/kata-runtime'


class Runc:
    """tests/integration/*.bats; a test is `FILE: NAME`."""

    def __init__(self, source, runtime):
        self.directory = source / 'tests/integration'
        self.runtime = runtime

    def tests(self):
        for path in sorted(self.directory.glob('*.bats')):
            for name in re.findall(r'^@test "(.*)" \{$', path.read_text(), re.MULTILINE):
                yield f'{path.name}: {name}'

    def run(self, test, directory):
        file, name = test.split(': ', 1)
        exact = '^' + re.sub(r'[][\\.*+?(){}|^$]', r'\\\g<0>', name) + '$'
        environment = dict(os.environ, RUNC=str(self.runtime), TMPDIR=directory, TERM='xterm')
        return ['bats', '--tap', '--filter', exact, self.directory / file], {'env': environment}

    @staticmethod
    def result(output):
        if found := re.search(r'^ok 1 .*# skip ?(.*)$', output, re.MULTILINE):
            return 'skip', found[1].strip('() ')
        return ('pass' if re.search(r'^ok 1 ', output, re.MULTILINE) else 'fail'), ''


# crun's tests use two options that runc has not: the way of making cgroups, and a config.json of another name.
IN_RUNCS_WORDS = """#!/bin/sh
left=$#
while [ $left -gt 0 ]; do
  word=$1; shift; left=$((left - 1))
  case $word in
    --cgroup-manager) [ "$1" = systemd ] && set -- "$@" --systemd-cgroup; shift; left=$((left - 1)) ;;
    --config) [ "$1" = config.json ] || cp "$1" config.json; shift; left=$((left - 1)) ;;
    *) set -- "$@" "$word" ;;
  esac
done
exec RUNTIME "$@"
"""


class Crun:
    """tests/test_*.py; a test is `FILE: NAME`."""

    def __init__(self, source, runtime):
        self.directory = source / 'tests'
        self.runtime = runtime

    def tests(self):
        for path in sorted(self.directory.glob('test_*.py')):
            names = subprocess.run([sys.executable, '-c', f'import {path.stem} as t; print(*t.all_tests, sep="\\n")'],
                                   cwd=self.directory, env=self.environment(self.runtime), check=True,
                                   capture_output=True, text=True)
            yield from (f'{path.name}: {name}' for name in names.stdout.split('\n') if name)

    def environment(self, runtime):
        return dict(os.environ, OCI_RUNTIME=runtime, INIT=str(self.directory / 'init'), TERM='xterm',
                    PYTHONPATH=str(HERE / 'crun_modules'), PYTHONDONTWRITEBYTECODE='1')

    def run(self, test, directory):
        file, name = test.split(': ', 1)
        runtime = self.runtime
        if os.path.basename(runtime) != 'crun':
            runtime = os.path.join(directory, 'runtime')
            with open(runtime, 'w', encoding='utf-8') as script:
                script.write(IN_RUNCS_WORDS.replace('RUNTIME', self.runtime))
            os.chmod(runtime, 0o755)
        pids = pathlib.Path('/proc/sys/kernel/ns_last_pid')
        if int(pids.read_text()) < 10000:  # exec_write_pid_file takes only what has five digits for a pid
            pids.write_text('10000')
        environment = dict(self.environment(runtime), RUN_TESTS=name, TMPDIR=directory)
        os.symlink(self.directory, os.path.join(directory, 'tests'))  # one calls tests/init
        return [sys.executable, self.directory / file], {'env': environment, 'cwd': directory}

    @staticmethod
    def result(output):
        # Not at the beginning of a line: some write to stderr, without its end, just before.
        found = re.search(r'(not )?ok 1 - .*?( #SKIP)?$', output, re.MULTILINE)
        return ('fail' if not found or found[1] else 'skip' if found[2] else 'pass'), ''


KINDS = {'fault': 'what a runtime does', 'inside': 'looks inside the reference', 'vm': 'cannot be had in a VM',
         'host': 'fails with the reference here'}
SUITES = {'runc': Runc, 'crun': Crun}


class Expected:
    """expected.toml: which tests fail, of which kind, and why."""

    def __init__(self, path, suite, tests):
        self.kinds, self.reasons = {}, {}
        data = tomllib.loads(path.read_text())
        for group in data.get(suite, []):
            for test in group['tests']:
                if test in self.reasons or test not in tests:
                    raise SystemExit(f'{path}: {test}: ' + ('twice' if test in self.reasons else 'no such test'))
                self.kinds[test], self.reasons[test] = group['kind'], group['reason']
        if unknown := set(self.kinds.values()) - set(KINDS):
            raise SystemExit(f'{path}: no kind: {", ".join(sorted(unknown))}')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('suite', choices=SUITES)
    parser.add_argument('--runtime', default=RUNTIME, help='default: build/bin/kata-runtime')
    parser.add_argument('--only', metavar='PATTERN', default='', help='tests (FILE: NAME) in which this regex is found')
    parser.add_argument('--list', action='store_true', help='names the tests, and runs none')
    parser.add_argument('--log', type=pathlib.Path, metavar='DIRECTORY', help='keeps what each failed test wrote there')
    parser.add_argument('--results', type=pathlib.Path, metavar='FILE', help='gets a line of JSON for each test')
    parser.add_argument('--reference', action='store_true',
                        help='the runtime is another one: a test of the list may pass')
    parser.add_argument('--timeout', type=int, default=300, help='seconds for a test (%(default)s)')
    parser.add_argument('--cache', type=pathlib.Path, default=sources.default_cache())
    parser.add_argument('--mirror', default=sources.MIRROR)
    options = parser.parse_args()
    if not (runtime := shutil.which(options.runtime)):
        parser.error(f'no runtime: {options.runtime}')
    if os.getuid() != 0:
        parser.error('the tests must run as root')

    suite = SUITES[options.suite](sources.get(options.suite, options.cache, options.mirror), os.path.abspath(runtime))
    tests = list(suite.tests())
    expected = Expected(HERE / 'expected.toml', options.suite, tests)
    chosen = [test for test in tests if re.search(options.only, test)]
    if options.list:
        print(*chosen, sep='\n')
        return 0
    if options.log:
        options.log.mkdir(parents=True, exist_ok=True)

    if options.results:
        options.results.write_text('')

    session.become_subreaper()
    if options.suite == 'crun':  # it refuses to work where both versions of cgroups are mounted
        session.show_only_cgroup2()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a test that is interrupted is cleaned up, too
    counts, surprises = collections.Counter(), []
    for test in chosen:
        with session.Session(runtime) as place:
            command, settings = suite.run(test, place.directory)
            output, status = place.run(command, options.timeout, **settings)
        result, why = suite.result(output) if status is not None else ('fail', 'out of time')
        if test in expected.reasons:
            why = why or f'{expected.kinds[test]}: {expected.reasons[test]}'
            if result == 'pass' and not options.reference:
                surprises.append(f'passes, and is in the list: {test}')
        elif result == 'fail':
            surprises.append(f'fails, and is not in the list: {test}')
        if result == 'fail' and options.log:
            (options.log / re.sub('[^A-Za-z0-9_.-]+', '_', test)).write_text(output)
        kind = expected.kinds.get(test, 'fault')
        counts[result, kind] += 1
        if options.results:
            entry = {'suite': options.suite, 'test': test, 'result': result, 'kind': kind, 'why': why}
            with options.results.open('a', encoding='utf-8') as lines:
                lines.write(json.dumps(entry) + '\n')
        print(f'{result:5}{test}' + (f'  ({why})' if why and result != 'pass' else ''), flush=True)

    print()
    for kind, title in KINDS.items():
        print(f'{title}: ' + ', '.join(f'{counts[result, kind]} {result}' for result in ('pass', 'fail', 'skip')))
    for surprise in surprises:
        print(surprise)
    return 1 if surprises else 0


if __name__ == '__main__':
    sys.exit(main())
