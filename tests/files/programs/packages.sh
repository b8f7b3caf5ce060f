# SPDX-License-Identifier: Apache-2.0
# dpkg and apt: a package of many files once more over its own, and one that goes and comes. In the root file system.
source "$(dirname "$0")/common.sh"
export DEBIAN_FRONTEND=noninteractive
archives=/var/cache/apt/archives

dpkg --install "$archives"/perl-modules-*.deb >log 2>&1 || fail "dpkg: $(cat log)"
same "dpkg --verify perl-modules" "$(dpkg --verify 'perl-modules-5*')" ""
same "dpkg --audit" "$(dpkg --audit)" ""
perl -MIO::Socket -MPOSIX -e 'exit 0' || fail "perl finds no modules"

apt-get -y purge file libmagic1 libmagic-mgc >log 2>&1 || fail "apt-get purge: $(cat log)"
[ ! -e /usr/bin/file ] && [ ! -e /etc/magic ] || fail "purge left something"
apt-get -y --no-install-recommends install "$archives"/{file,libmagic1,libmagic-mgc}_*.deb >log 2>&1 ||
  fail "apt-get install: $(cat log)"
same "dpkg --verify file" "$(dpkg --verify file libmagic1 libmagic-mgc)" ""
file /bin/bash | grep -q ELF || fail "file does not work"

# A package of our own, whose configuration file somebody changes.
mkdir -p build/DEBIAN build/etc
for version in 1 2; do
  printf 'Package: own\nVersion: %s\nArchitecture: all\nMaintainer: n\nDescription: d\n' $version >build/DEBIAN/control
  echo /etc/own.conf >build/DEBIAN/conffiles
  echo "version $version" >build/etc/own.conf
  dpkg-deb --root-owner-group -b build own_$version.deb >/dev/null
done
dpkg --install own_1.deb >log 2>&1 || fail "dpkg: $(cat log)"
echo changed >/etc/own.conf
dpkg --force-confold --install own_2.deb >log 2>&1 || fail "dpkg: $(cat log)"
same "the configuration file" "$(cat /etc/own.conf) $(cat /etc/own.conf.dpkg-dist)" "changed version 2"
dpkg --purge own >log 2>&1 || fail "dpkg: $(cat log)"
[ ! -e /etc/own.conf ] || fail "purge left the configuration file"
same "dpkg --audit at the end" "$(dpkg --audit)" ""
remove_all
