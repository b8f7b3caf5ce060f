#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the layers: fails when a file of src/ includes one of a module that its own may not use. layers.py [ROOT]

docs/architecture.md says it in words, the CMakeLists.txt say it for the linker (which does not notice: static libraries
may use each other in a circle), and USES below says it for each module. What a module uses, those above it may use too.

--self-test shows that each kind of offence is found."""

import pathlib
import re
import sys
import tempfile

# A module is a directory, or files of one that are a library of their own (FILES). Whatever stands here may be
# included, with all that it uses itself; a new edge is a decision, and a circle is refused.
USES = {
    "base": "",
    "rtnetlink": "base",
    "protocol": "base",
    "rpc": "base protocol",
    "oci": "base protocol",
    "config": "base protocol",
    "hypervisor": "config",
    "sandbox/agent_client": "rpc",
    "sandbox/network": "sandbox/agent_client rtnetlink hypervisor",
    "sandbox/record": "oci",
    "sandbox/systemd": "base",
    "sandbox/host": "sandbox/record sandbox/systemd config",
    "sandbox/devices": "sandbox/host hypervisor",
    "sandbox/files": "sandbox/devices",
    "sandbox/stdio": "sandbox/agent_client oci",
    "sandbox/vm": "sandbox/network sandbox/record",
    "sandbox/size": "sandbox/vm",
    "sandbox/sandbox": "sandbox/size sandbox/stdio sandbox/files",
    "sandbox/task": "sandbox/sandbox",
    "sandbox": "sandbox/task",
    "setup": "hypervisor",
    "runtime": "sandbox setup",
    "shim": "sandbox",
    "standin": "",
    "fsd": "base",
    "agent/reaper": "base",
    "agent/storage": "base protocol",
    "agent/hotplug": "base protocol",
    "agent/network": "rtnetlink protocol",
    "agent/container": "agent/reaper protocol",
    "agent": "agent/storage agent/hotplug agent/network agent/container rpc",
    "agent/slim": "base",
}
# By their names without suffix. Every other file belongs to the module of its directory.
FILES = {
    "sandbox/agent_client": "agent_client timing",
    "sandbox/vm": "vm",
    "sandbox/sandbox": "sandbox container_process home",
    "agent/reaper": "reaper",
}
# Directories that are part of the module above them, and that no other module may include.
INSIDES = {"hypervisor/qemu": "hypervisor"}
# What is for tests only, and what the tests of a module may use beside what the module may.
TESTING = {"hypervisor/testing": "hypervisor rpc", "sandbox/testing": "sandbox"}
TESTS = {"hypervisor": "hypervisor/testing", "sandbox": "sandbox/testing", "shim": "sandbox/testing",
         "runtime": "sandbox/testing", "standin": "base", "agent": "agent"}

INCLUDE = re.compile(r'\s*#\s*include\s*"([^"]+)"')


def closure(uses):
    """For each module all that it may include."""
    done = {}

    def visit(module, path):
        if module in path:
            sys.exit("layers: a circle: " + " -> ".join([*path, module]))
        if module not in done:
            below = uses[module].split()
            done[module] = {module}.union(*(visit(other, [*path, module]) for other in below))
        return done[module]

    for module in uses:
        visit(module, [])
    return done


def is_test(path):
    return path.stem.endswith(("_test", "_fixture")) or "testing" in path.parts


def module_of(path):
    """path is relative to src; None for a directory that USES does not have."""
    directory = str(path.parent)
    for module, stems in FILES.items():
        if str(pathlib.PurePath(module).parent) == directory and path.stem.removesuffix("_test") in stems.split():
            return module
    return INSIDES.get(directory, directory if directory in USES or directory in TESTING else None)


def offence(path, included, allowed):
    """Why the file must not include that one; empty when it may. Both relative to src."""
    module, target = module_of(path), module_of(included)
    if module is None or target is None:
        unknown = path if module is None else included
        return (f"{unknown.parent} is no module: in tests/lint/layers.py, say in USES what it may use, "
                "or in INSIDES which module it is a part of")
    if is_test(included) and not is_test(path):
        return f"{included} is for tests only"
    inside = INSIDES.get(str(included.parent))
    if inside and module != inside:
        return f"{included.parent} is the inside of {inside}: include a header of {inside}"
    may = allowed[module]
    if is_test(path):
        extra = TESTS.get(module) or TESTS.get(module.split("/")[0], "")
        may = may.union(*(allowed[name] for name in extra.split()))
    if target in may:
        return ""
    whose = f"a test of {module}" if is_test(path) else module
    return f"{whose} may use {', '.join(sorted(may - {module})) or 'no other module'}; not {target}"


def check(root):
    """Each offence of the tree as file:line: words."""
    allowed = closure(USES | TESTING)
    source = root / "src"
    found = []
    for file in sorted(source.rglob("*")):
        if file.suffix not in (".h", ".cpp", ".c"):
            continue
        path = file.relative_to(source)
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            included = pathlib.PurePath(match[1])
            if not included.parent.parts:
                found.append(f"{file.relative_to(root)}:{number}: write the path from src: {path.parent}/{included}")
                continue
            why = offence(path, included, allowed)
            if why:
                found.append(f'{file.relative_to(root)}:{number}: includes "{included}": {why}')
    return found


def self_test():
    """A tree for each kind of offence, and what must be said about it."""
    cases = {
        ("base/files.cpp", "oci/spec.h"): "base may use no other module; not oci",
        ("sandbox/record/state.cpp", "sandbox/host/hooks.h"): "not sandbox/host",
        ("sandbox/host/hooks.cpp", "sandbox/files/shared_files.h"): "not sandbox/files",
        ("sandbox/network/network.cpp", "sandbox/vm.h"): "not sandbox/vm",
        ("sandbox/vm.cpp", "sandbox/sandbox.h"): "not sandbox/sandbox",
        ("sandbox/sandbox.cpp", "sandbox/sandbox_process.h"): "not sandbox",
        ("runtime/create.cpp", "shim/serve.h"): "not shim",
        ("agent/process.cpp", "sandbox/timing.h"): "not sandbox/agent_client",
        ("agent/container/hooks.cpp", "agent/process.h"): "not agent",
        ("standin/main.cpp", "base/files.h"): "standin may use no other module",
        ("sandbox/size/growth.cpp", "hypervisor/qemu/qmp.h"): "is the inside of hypervisor",
        ("sandbox/task/metrics.cpp", "sandbox/testing/fake_agent.h"): "for tests only",
        ("agent/stream_test.cpp", "sandbox/sandbox.h"): "a test of agent may use",
        ("extra/new.cpp", "base/files.h"): "extra is no module",
        ("hypervisor/other/driver.cpp", "base/files.h"): "or in INSIDES which module it is a part of",
        ("base/files.cpp", "result.h"): "write the path from src: base/result.h",
        ("runtime/create.cpp", "sandbox/record/state.h"): None,
        ("sandbox/host/hooks_test.cpp", "sandbox/files/guest_mounts.h"): None,
        ("hypervisor/hypervisor.cpp", "hypervisor/qemu/driver.h"): None,
    }
    wrong = 0
    for (file, included), words in cases.items():
        with tempfile.TemporaryDirectory() as root:
            path = pathlib.Path(root, "src", file)
            path.parent.mkdir(parents=True)
            path.write_text(f'// A line before it.\n#include "{included}"\n')
            found = check(pathlib.Path(root))
        good = not found if words is None else len(found) == 1 and f"src/{file}:2: " in found[0] and words in found[0]
        if not good:
            wrong += 1
            print(f"layers: self-test: {file} with {included}: expected {words!r}, got {found}")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    root = pathlib.Path(sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).resolve().parents[2])
    found = check(root)
    for line in found:
        print(line)
    if found:
        print(f"layers: {len(found)} includes against the rule of docs/architecture.md (imports go downwards only)")
    return 1 if found else 0


sys.exit(main())
