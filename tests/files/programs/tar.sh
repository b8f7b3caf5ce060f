# SPDX-License-Identifier: Apache-2.0
# tar: a tree with everything goes into an archive and out of it.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/tree.sh"
make_tree tree
all=(--acls --xattrs --xattrs-include='*' --sparse --numeric-owner --atime-preserve=system)
inventory tree >wanted
tar -c --format=posix "${all[@]}" -f archive tree
same "comparison with the tree" "$(tar -d "${all[@]}" -f archive 2>&1)" ""
mkdir out
tar -x -p "${all[@]}" -C out -f archive
diff wanted <(inventory out/tree) || fail "the trees differ"
# Through a pipe, over what is there.
tar -c "${all[@]}" tree | tar -x -p "${all[@]}" -C out
diff wanted <(inventory out/tree) || fail "the trees differ after the second time"
cp -a tree copied
diff wanted <(inventory copied) || fail "cp -a made another tree"
remove_all
