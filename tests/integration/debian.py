# SPDX-License-Identifier: Apache-2.0
"""Packages of other suites of Debian, unpacked beside the system: apt with a configuration of its own."""
import fcntl
import pathlib
import shutil
import subprocess
import tempfile

CACHE = pathlib.Path.home() / ".cache/kata-containers/debian"
LOADER = "ld-linux-x86-64.so.2"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror():
    """That of this machine's own suite, as in tests/rootfs/debootstrap.sh."""
    codename = subprocess.run(
        ["sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME"], capture_output=True, text=True, check=True
    ).stdout.strip()
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    sites = [line.split()[0] for line in targets.splitlines() if line.split()[1:] == [codename]]
    return (sites or ["http://deb.debian.org/debian"])[0]


def _apt(suite, directory, *command):
    """Runs apt-get with lists, cache and installed packages (none) of its own."""
    archive = mirror()
    # The backports of a suite need that suite's own packages.
    suites = [suite, *([suite.removesuffix("-backports")] if suite.endswith("-backports") else [])]
    sources = "".join(f"deb [signed-by={KEYRING}] {archive} {name} main\n" for name in suites)
    (directory / "sources.list").write_text(sources)
    (directory / "status").touch()
    for name in ("lists/partial", "cache/archives/partial"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::Etc::sourcelist": directory / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": directory / "lists",
        "Dir::State::status": directory / "status",
        "Dir::Cache": directory / "cache",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    done = subprocess.run(
        ["apt-get", "-q", *flags, "-t", suite, *command], cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise AssertionError(
            f"the test needs packages of Debian's {suite}, and they cannot be fetched from {archive} "
            f"(to do without the archive, unpack them with `dpkg -x` into {CACHE / suite}):\n{done.stderr}"
        )


def _unpacked(suite, name, *fetch):
    """The directory in which the packages are that this command of apt-get fetches; fetched once, and kept."""
    place = CACHE / suite / name
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.parent / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            directory = pathlib.Path(tempfile.mkdtemp(dir=place.parent))
            try:
                _apt(suite, directory, "update")
                _apt(suite, directory, *fetch)
                for deb in sorted([*directory.glob("*.deb"), *directory.glob("cache/archives/*.deb")]):
                    subprocess.run(["dpkg", "-x", deb, directory / "root"], check=True)
                (directory / "root").chmod(0o755)
                (directory / "root").rename(place)
            finally:
                shutil.rmtree(directory)
    return place


def package(suite, name):
    """The directory in which this package is, without those that it needs."""
    return _unpacked(suite, name, "download", name)


def tree(suite, name):
    """The directory in which this package is with all that it needs, the C library included."""
    return _unpacked(
        suite, f"{name}-tree", "--yes", "--no-install-recommends", "--download-only", "install", name
    )


def wrapper(root, program, path, *arguments, environment=""):
    """Writes a script to path that runs a program of such a tree, with the tree's own libraries."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    loader = next(found for found in (root / "lib64", root / "usr/lib64") if (found / LOADER).exists()) / LOADER
    search = f"{libraries}:{root}/lib/x86_64-linux-gnu"
    words = " ".join(map(str, arguments))
    path.write_text(
        f'#!/bin/sh\n{environment} exec {loader} --library-path {search} --argv0 {path} {root}/{program} {words} "$@"\n'
    )
    path.chmod(0o755)
    return path
