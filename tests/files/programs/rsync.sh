# SPDX-License-Identifier: Apache-2.0
# rsync of a tree with everything, from DIRECTORY to SECOND, a directory of another mount.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/tree.sh"
mkdir "$2"
# A window of -1: times count to the nanosecond.
copy() { rsync -aHAXS --numeric-ids --modify-window=-1 --delete "$@" tree/ "$there/tree"; }
there=$(realpath "$2")
make_tree tree
copy
same "a second run by checksums" "$(copy --checksum --dry-run --itemize-changes)" ""

# What rsync changes in place, and what it renames into place.
for way in --inplace --no-whole-file; do
  dd if=/dev/urandom of=tree/random bs=1000 seek=77 count=20 conv=notrunc status=none
  echo "more of $way" >>tree/d1/e1/f1
  rm tree/d0/e0/f15 2>/dev/null || rm tree/d0/e*/f* -f
  mv tree/d4 "tree/moved$way"
  mkdir tree/d4
  copy $way
  same "$way: a second run by checksums" "$(copy --checksum --dry-run --itemize-changes)" ""
  diff <(inventory tree) <(inventory "$there/tree") || fail "$way: the trees differ"
done
rm -rf "$there"
remove_all
