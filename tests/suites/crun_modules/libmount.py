# SPDX-License-Identifier: Apache-2.0
"""What crun's tests use of util-linux's Python module libmount, which Debian does not build: they skip all tests of
mounts without it."""

import collections

FileSystem = collections.namedtuple('FileSystem', 'target vfs_options fs_options')


class Table:
    """A file in the form of /proc/self/mountinfo."""

    def __init__(self, path):
        self.mounts = []
        with open(path, encoding='utf-8') as file:
            for line in file:
                fields, _, tail = line.strip().partition(' - ')
                if tail:
                    target, options = fields.split()[4:6]
                    self.mounts.append(FileSystem(target, options, tail.split(' ', 2)[2]))

    def find_target(self, path):
        """The topmost mount there."""
        return next(mount for mount in reversed(self.mounts) if mount.target == path)
