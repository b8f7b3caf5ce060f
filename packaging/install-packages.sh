#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing of a list of Debian packages: install-packages.sh LIST
# Does nothing, and needs no network and no root, when everything is there.
set -euo pipefail

wanted=$(sed 's/#.*//' "$1" | awk 'NF {print $1}')
# shellcheck disable=SC2086 # one package a word
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | awk '$1 == "installed" {print $2}' || true)
missing=$(comm -23 <(sort -u <<<"$wanted") <(sort -u <<<"$installed"))
[ -n "$missing" ] || exit 0

echo "installing: ${missing//$'\n'/ }"
if [ "$(id -u)" -ne 0 ]; then
  echo "these packages are missing and only root can install them: apt-get install ${missing//$'\n'/ }" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
