# SPDX-License-Identifier: Apache-2.0
"""File systems of the host, mounted for a test, whose directories are volumes of its container."""
import contextlib
import pathlib
import shutil
import subprocess
import tempfile

import leaks

MIB = 1 << 20
# What mkfs wants, and of which size an image has to be (xfs and btrfs refuse small ones).
MAKERS = {
    "ext4": (["mkfs.ext4", "-q", "-F"], 128 * MIB),
    "xfs": (["mkfs.xfs", "-q"], 320 * MIB),
    "btrfs": (["mkfs.btrfs", "-q"], 256 * MIB),
}


def run(*command):
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


class Places:
    """Directories below one of the test's; close() unmounts all."""

    def __init__(self, directory):
        self.directory = directory
        self.mounts = contextlib.ExitStack()
        self.close = self.mounts.close

    def _mount(self, *arguments):
        run("mount", *arguments)
        self.mounts.callback(run, "umount", arguments[-1])

    def plain(self, name="plain"):
        """A directory of the file system on which the tests have theirs."""
        path = self.directory / name
        path.mkdir()
        return path

    def image(self, kind, name=None):
        """An image with a new file system of this kind."""
        path = self.plain(name or kind)
        command, size = MAKERS[kind]
        with open(path.with_suffix(".img"), "wb") as file:
            file.truncate(size)
        run(*command, path.with_suffix(".img"))
        self._mount("-o", "loop", path.with_suffix(".img"), path)
        return path

    def tmpfs(self, name="tmpfs", size="128m"):
        path = self.plain(name)
        self._mount("-t", "tmpfs", "-o", f"size={size},mode=0755", "kata-test", path)
        return path

    def overlay(self, name="overlay", lower=None):
        """lower: a directory that nobody changes meanwhile; without one it is empty."""
        path = self.plain(name)
        layers = [self.plain(f"{name}-{layer}") for layer in ("lower", "upper", "work")]
        options = f"lowerdir={lower or layers[0]},upperdir={layers[1]},workdir={layers[2]}"
        self._mount("-t", "overlay", "-o", options, "kata-test", path)
        return path


def temporary_places(case):
    """Places for all tests of a class, taken back after the last."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix=leaks.TAG))
    case.addClassCleanup(shutil.rmtree, directory)
    places = Places(directory)
    case.addClassCleanup(places.close)
    return places
