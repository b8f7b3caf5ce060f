#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when docs/threat-model.md names a test that does not exist, or when JSON is parsed past base/json.h."""
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
# Where the library's parser may be called: behind CheckJsonShape, and on texts of our own.
PARSERS = {"src/base/json.h", "src/oci/json_reader.cpp", "src/oci/default_spec.cpp"}


def file_of(name):
    """The file that the document calls so: by its path below src, its end, or a name of tests/integration."""
    if name.endswith(".py"):
        candidates = [TOP / "tests/integration" / name]
    elif name.endswith(".sh"):
        candidates = [TOP / name]
    else:
        candidates = [path for path in (TOP / "src").rglob(pathlib.Path(name).name) if str(path).endswith("/" + name)]
    return candidates[0] if len(candidates) == 1 and candidates[0].exists() else None


def missing_tests():
    for number, line in enumerate((TOP / "docs/threat-model.md").read_text().splitlines(), 1):
        if not line.startswith("| ") or line.count("|") < 4:
            continue
        text = None
        for word in re.findall(r"`([^`]+)`", line.split("|")[-2]):
            if re.search(r"_test\.(cpp|sh)$|^test_\w+\.py$", word):
                path = file_of(word)
                if not path:
                    yield f"docs/threat-model.md:{number}: no file is {word}"
                text = path.read_text() if path else None
            elif re.fullmatch(r"[A-Za-z_]\w*(\.\w+)?", word) and text is not None:
                yield from (
                    f"docs/threat-model.md:{number}: {part} is not in the file named before it"
                    for part in word.split(".")
                    if not re.search(rf"\b{part}\b", text)
                )


def parsers():
    for path in sorted((TOP / "src").rglob("*.cpp")) + sorted((TOP / "src").rglob("*.h")):
        name = str(path.relative_to(TOP))
        if name in PARSERS or name.endswith("_test.cpp"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\bjson::(parse|accept|sax_parse)\(", line, re.IGNORECASE):
                yield f"{name}:{number}: JSON is parsed by ParseJson of base/json.h"


faults = [*missing_tests(), *parsers()]
print(*faults, sep="\n", end="\n" if faults else "")
sys.exit(bool(faults))
