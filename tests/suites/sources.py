# SPDX-License-Identifier: Apache-2.0
"""The sources of runc's and crun's own tests: got with apt, kept and built in a cache, never in the checkout."""

import os
import pathlib
import shutil
import subprocess
import sys

MIRROR = 'http://deb.debian.org/debian'
RELEASE = 'bookworm'  # runc 1.1.5, crun 1.8.1: what packaging/debian-packages.txt installs as the reference
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
# What the suites call; what they are compiled with are the build dependencies of the sources.
TOOLS = {'runc': ['bats', 'busybox', 'debootstrap', 'gawk', 'gcc', 'jq', 'libc6-dev', 'util-linux'],
         'crun': ['gcc', 'libc6-dev']}
ROOTFS = pathlib.Path(__file__).resolve().parent.parent / 'rootfs'


def default_cache():
    home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return pathlib.Path(home, 'kata-containers', 'suites')


def call(command, **options):
    print('+', *command, file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL, **options)


class Apt:
    """An apt with lists of its own, so that source packages need not be switched on for the whole machine."""

    def __init__(self, directory, mirror):
        for name in ('lists/partial', 'archives/partial'):
            (directory / name).mkdir(parents=True, exist_ok=True)
        security = mirror.removesuffix('/') + '-security'
        lines = [f'{kind} [signed-by={KEYRING}] {address} main\n' for kind in ('deb', 'deb-src')
                 for address in (f'{mirror} {RELEASE}', f'{security} {RELEASE}-security')]
        (directory / 'sources.list').write_text(''.join(lines))
        self.options = ['-q', '-y',
                        '-o', f'Dir::Etc::SourceList={directory}/sources.list', '-o', 'Dir::Etc::SourceParts=-',
                        '-o', f'Dir::State::Lists={directory}/lists', '-o', f'Dir::Cache={directory}',
                        '-o', 'APT::Sandbox::User=root', '-o', 'DPkg::Lock::Timeout=600']

    def __call__(self, *arguments, **options):
        environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
        call(['apt-get', *self.options, *arguments], env=environment, **options)


def make_image(name, work, archive):
    """A root file system with what the tests expect of the one that they would download from GitHub."""
    root = work / name
    call([ROOTFS / {'busybox': 'busybox.sh', 'debian': 'debootstrap.sh'}[name], root])
    if name == 'busybox':
        # As busybox's image: mount points are not in it, and user 1000 has no name.
        for directory in ('proc', 'sys'):
            (root / directory).rmdir()
        (root / 'etc/passwd').write_text('root:x:0:0:root:/root:/bin/sh\n')
        (root / 'etc/group').write_text('root:x:0:\n')
    call(['tar', '-C', root, '-cJf', archive, '.'], env=dict(os.environ, XZ_OPT='-0'))
    shutil.rmtree(root)


def build_runc(source, work):
    """The helpers of the tests, and the root file systems of their containers."""
    # Debian's Go packages are found by GOPATH, so the sources must be at their import path.
    place = work / 'go/src/github.com/opencontainers/runc'
    place.parent.mkdir(parents=True)
    place.symlink_to(source)
    environment = dict(os.environ, GO111MODULE='off', GOFLAGS='', GOPATH=f'{work}/go:/usr/share/gocode',
                       GOCACHE=f'{work}/go-cache')
    for helper in ('recvtty', 'sd-helper', 'seccompagent'):
        call(['go', 'build', '-tags', 'seccomp', '-o', helper, '.'], env=environment,
             cwd=place / 'contrib/cmd' / helper)
    architecture = subprocess.run(['go', 'env', 'GOARCH'], check=True, capture_output=True, text=True).stdout.strip()
    for name in ('busybox', 'debian'):
        make_image(name, work, source / f'tests/integration/testdata/{name}-{architecture}.tar.xz')


def build_crun(source, work):
    """`init`, which every test of crun's runs in its container."""
    del work
    call(['./configure'], cwd=source)
    call(['make', 'tests/init'], cwd=source)


BUILD = {'runc': build_runc, 'crun': build_crun}


def get(suite, cache, mirror):
    """The directory of a suite's sources, with its helpers built."""
    home = cache / RELEASE / suite
    done = home / 'source'
    if done.is_symlink():
        return done.resolve()
    shutil.rmtree(home, ignore_errors=True)
    apt = Apt(home / 'apt', mirror)
    apt('update')
    apt('install', '--no-install-recommends', *TOOLS[suite])
    apt('build-dep', '--no-install-recommends', suite)
    apt('source', suite, cwd=home)
    source = next(path for path in home.glob(f'{suite}-*') if path.is_dir())
    BUILD[suite](source, home)
    shutil.rmtree(home / 'apt')
    done.symlink_to(source.name)  # last: what stands here is whole
    return source
