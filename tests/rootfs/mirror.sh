# SPDX-License-Identifier: Apache-2.0
# For scripts to source, after packaging/steps.sh: find_mirror [MIRROR] sets `suite` and `mirror` to those of this
# machine, unless MIRROR says otherwise.
#
# shellcheck shell=bash

find_mirror() {
  step "finding this machine's mirror" "name one as the second argument"
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=${1:-$(apt-get indextargets --format '$(SITE) $(CODENAME)' "Created-By: Packages" |
    awk -v suite="$suite" '$2 == suite {print $1; exit}')}
  mirror=${mirror:-http://deb.debian.org/debian}
}
