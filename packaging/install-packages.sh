#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing of a list of Debian packages: install-packages.sh LIST
# Does nothing, and needs no network and no root, when everything is there. It never removes a package: a line such as
# `busybox | busybox-static` takes whichever of two that exclude each other is there.
set -euo pipefail
source "$(dirname "$0")/steps.sh"
[ $# -eq 1 ] || fail "usage: install-packages.sh LIST"
need_file /etc/debian_version "Debian 12"
[ ${#steps_missing[@]} -eq 0 ] || fail "this is no Debian: its packages cannot be installed" \
  "install by hand what $1 names, and run make with deps left out: make -o deps"
need dpkg-query dpkg && need awk mawk
needs_met

step "reading the list $1"
lines=$(sed 's/#.*//' "$1" | awk 'NF')
# shellcheck disable=SC2046 # one package a word
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $(tr '|' ' ' <<<"$lines") 2>/dev/null |
  awk '$1 == "installed" {print $2}' || true)
missing=()
while IFS='|' read -ra names; do
  names=(${names[*]})
  grep -qxFf <(printf '%s\n' "${names[@]}") <<<"$installed" || missing+=("${names[0]}")
done <<<"$lines"
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing: ${missing[*]}"
[ "$(id -u)" -eq 0 ] || fail "these packages are missing, and only root can install them: ${missing[*]}" \
  "as root: apt-get install ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
mirror="look whether this machine reaches the mirror that /etc/apt names, and whether another apt runs"
step "apt-get update" "$mirror"
apt-get update -qq
# On a machine of another suite a name may mean nothing.
step "apt-get install ${missing[*]}" "$mirror; the names are those of Debian 12"
apt-get install -y -qq --no-install-recommends --no-remove "${missing[@]}" >/dev/null
