# SPDX-License-Identifier: Apache-2.0
# git: commits in several worktrees while gc packs and prunes, and what fsck says of it.
source "$(dirname "$0")/common.sh"
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
commits=$((3 * amount))

git init -q -b main repository
cd repository
git config gc.auto 0
for i in {1..60}; do
  mkdir -p "d$((i % 7))"
  seq "$i" $((i * 20)) >"d$((i % 7))/f$i"
done
ln -s d1/f1 link
printf '#!/bin/sh\n' >script
chmod 755 script
git add . && git commit -qm begin

work() {
  git worktree add -q "../$1" -b "$1"
  cd "../$1"
  for ((i = 0; i < commits; ++i)); do
    echo "$1 $i" >>d1/f1
    echo "$i" >"$1-$i"
    git add . && git mv "$1-$i" "d2/$1-$i" && git commit -qm "$1 $i"
  done
}
workers=()
for name in one two; do
  work $name &
  workers+=($!)
done
git gc -q
git repack -adq
for pid in "${workers[@]}"; do wait "$pid"; done
git gc -q --prune=now
same "fsck" "$(git fsck --full --strict 2>&1)" ""
for name in one two; do
  same "commits of $name" "$(git rev-list --count $name)" $((commits + 1))
  same "status of $name" "$(git -C ../$name status --porcelain)" ""
done
git merge -q -s ours -m merged one two
same "status" "$(git status --porcelain)" ""

# By hard links, by a pack over a pipe, and from an archive.
git clone -q . ../linked
git clone -q --no-local . ../packed
mkdir ../archive
git archive one | tar -x -C ../archive
diff -r --no-dereference --exclude=.git . ../linked || fail "the clone is another tree"
diff -r --no-dereference --exclude=.git . ../packed || fail "the clone is another tree"
diff -r --no-dereference --exclude=.git ../one ../archive || fail "the archive is another tree"
same "fsck of the clones" "$(git -C ../linked fsck --full 2>&1 && git -C ../packed fsck --full 2>&1)" ""
git worktree remove ../one
same "worktrees" "$(git worktree list | wc -l)" 2
remove_all
