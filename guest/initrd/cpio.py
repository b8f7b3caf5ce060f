#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cpio.py SRC:DEST... writes the guest's initramfs, a cpio archive ("newc"), to stdout.

The archive depends on names, modes and contents only: times are zero, owners are root, inode
numbers are counted, entries are sorted. Device nodes are written without being made.
"""

import os
import stat
import sys

# What init finds before it has mounted anything. The kernel opens /dev/console for it.
DIRECTORYS = {
    "dev": 0o755, "etc": 0o755, "proc": 0o555, "run": 0o755,
    "sys": 0o555, "tmp": 0o1777, "var": 0o755,
}
NODES = {"dev/console": (0o600, 5, 1), "dev/null": (0o666, 1, 3)}


def fail(message):
    sys.exit(f"guest initrd: {message}")


class Entry:
    def __init__(self, mode, data=b"", device=(0, 0)):
        self.mode, self.data, self.device = mode, data, device


def read(source):
    """The file, link or directory at `source` as an entry."""
    status = os.lstat(source)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        with open(source, "rb") as file:
            return Entry(status.st_mode, file.read())
    if kind == stat.S_IFLNK:
        return Entry(stat.S_IFLNK | 0o777, os.fsencode(os.readlink(source)))
    if kind == stat.S_IFDIR:
        return Entry(status.st_mode)
    fail(f"--add: neither a file, a link nor a directory: {source}")


def put(entries, name, entry):
    """Adds an entry, and the directories above it. A directory may come twice, anything else not."""
    parent = os.path.dirname(name)
    if parent and parent not in entries:
        put(entries, parent, Entry(stat.S_IFDIR | 0o755))
    if parent and not stat.S_ISDIR(entries[parent].mode):
        fail(f"/{name} cannot be: /{parent} is not a directory")
    if name in entries and not (stat.S_ISDIR(entry.mode) and stat.S_ISDIR(entries[name].mode)):
        fail(f"/{name} is there twice")
    entries[name] = entry


def add(entries, source, destination):
    name = os.path.normpath("/" + destination).lstrip("/")
    if name:  # else the directory's contents go to the root, which every archive has
        put(entries, name, read(source))
    for directory, directories, files in os.walk(source):
        inside = os.path.relpath(directory, source)
        for child in sorted(directories + files):
            put(entries, os.path.normpath(os.path.join(name, inside, child)),
                read(os.path.join(directory, child)))


def record(name, entry, inode):
    """One archive member: header, name and data, each padded to four bytes."""
    name = os.fsencode(name) + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = [inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return b"".join(part + bytes(-len(part) % 4) for part in (head, entry.data))


def main():
    entries = {name: Entry(stat.S_IFDIR | mode) for name, mode in DIRECTORYS.items()}
    for name, (mode, major, minor) in NODES.items():
        entries[name] = Entry(stat.S_IFCHR | mode, device=(major, minor))
    for argument in sys.argv[1:]:
        source, colon, destination = argument.rpartition(":")
        if not colon or not source or not destination.startswith("/"):
            fail(f"--add: not SRC:DEST with DEST from the root: {argument}")
        try:
            add(entries, source, destination)
        except OSError as error:
            fail(f"--add: cannot read {error.filename}: {error.strerror}")
    # Sorted by name, a directory comes before what is in it.
    records = [record(name, entries[name], inode) for inode, name in enumerate(sorted(entries), 1)]
    records.append(record("TRAILER!!!", Entry(0), 0))
    archive = b"".join(records)
    sys.stdout.buffer.write(archive + bytes(-len(archive) % 512))


main()
