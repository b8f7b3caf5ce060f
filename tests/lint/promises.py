#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds what documents promise about the tree. Fails when

- docs/threat-model.md names a test that does not exist: a file; in it a test, a suite or a class;
- docs/architecture.md or docs/development.md names in backticks a file, a function, a type or a constant that does not
  exist;
- JSON is parsed elsewhere than behind ParseJson of base/json.h."""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
SOURCE = TOP / "src"
# Where the library's parser may be called: behind CheckJsonShape, and on texts of our own.
PARSERS = {"src/base/json.h", "src/oci/json_reader.cpp", "src/oci/default_spec.cpp"}
# What stands in documents for any name.
EXAMPLES = {"CamelCase", "Name", "kName", "x.cpp", "x_test.cpp"}


def file_of(name):
    """The file that the threat model calls so."""
    if name.startswith("guest/tests/"):
        path = TOP / name
    elif name.endswith(".py"):
        path = TOP / "tests/integration" / name
        if not path.is_file():
            path = TOP / "tests/lab" / name
    else:
        path = SOURCE / name
    return path if path.is_file() else None


def has_test(text, name, python):
    """Whether the text defines this test, suite or class: NAME, or in Python CLASS.METHOD."""
    if not python:
        return bool(re.search(rf"^(INSTANTIATE_)?TEST\w*\(\s*({name},|\w+,\s*{name}\))", text, re.MULTILINE))
    suite, _, method = name.rpartition(".")
    if suite:
        found = re.search(rf"^class {suite}\b.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        text = found[0] if found else ""
    return bool(re.search(rf"^( *def {method}\(|class {method}\b)", text, re.MULTILINE))


def missing_tests():
    for number, line in enumerate((TOP / "docs/threat-model.md").read_text().splitlines(), 1):
        if not line.startswith("| ") or line.count("|") < 4:
            continue
        name = path = None
        for word in re.findall(r"`([^`]+)`", line.split("|")[-2]):
            if re.search(r"_test\.(cpp|sh)$|^test_\w+\.py$", word):
                name, path = word, file_of(word)
                if not path:
                    yield f"docs/threat-model.md:{number}: no file is {word}"
            elif re.fullmatch(r"[A-Za-z_]\w*(\.\w+)?", word):
                if not name:
                    yield f"docs/threat-model.md:{number}: {word} has no file before it"
                elif path and not has_test(path.read_text(), word, path.suffix == ".py"):
                    yield f"docs/threat-model.md:{number}: {name} has no test {word}"


def code():
    """Each source without its comments."""
    for path in sorted(SOURCE.rglob("*")):
        if path.suffix in (".cpp", ".h", ".proto", ".c"):
            yield path, re.sub(r"//.*", "", path.read_text())


def tree():
    """The names of all files that belong to the project."""
    inside = ("src", "tests", "docs", "guest", "packaging", "cmake", "bench")
    return {path.name for directory in inside for path in (TOP / directory).rglob("*")} | {
        path.name for path in TOP.iterdir()
    }


def is_file_name(word):
    tops = r"(src|tests|docs|guest|packaging|cmake|bench)/"
    return re.fullmatch(r"[\w./-]+", word) and not re.search(r"[A-Z]{2}|^[/~]", word) and (
        re.match(tops, word) or re.search(r"\w\.(cpp|h|py|sh|proto|conf|md)$", word)
    )


def missing_names():
    """Files are named from the top or from src/, or, where it is clear which is meant, by their last part."""
    sources = dict(code())
    identifiers = {word for text in sources.values() for word in re.findall(r"\b[A-Za-z]\w+", text)}
    names = tree()
    for document in ("docs/architecture.md", "docs/development.md"):
        for number, line in enumerate((TOP / document).read_text().splitlines(), 1):
            for word in re.findall(r"`([^`]+)`", line):
                if word in EXAMPLES:
                    continue
                good = True
                if is_file_name(word):
                    good = any((root / word).exists() for root in (TOP, SOURCE)) or ("/" not in word and word in names)
                elif match := re.fullmatch(r"([A-Z][a-z]\w*)::(\w+)", word):
                    good = any(
                        re.search(rf"\b(class|struct) {match[1]}\b", text) and re.search(rf"\b{match[2]}\b", text)
                        for text in sources.values()
                    )
                elif re.fullmatch(r"[A-Z][a-z]\w+|k[A-Z]\w+", word):
                    good = word in identifiers
                if not good:
                    yield f"{document}:{number}: nothing is called {word}"


def parsers():
    for path, text in code():
        name = str(path.relative_to(TOP))
        if name in PARSERS or name.endswith("_test.cpp"):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if re.search(r"\bjson::(parse|accept|sax_parse)\(", line, re.IGNORECASE):
                yield f"{name}:{number}: JSON is parsed by ParseJson of base/json.h"


faults = [*missing_tests(), *missing_names(), *parsers()]
print(*faults, sep="\n", end="\n" if faults else "")
sys.exit(bool(faults))
