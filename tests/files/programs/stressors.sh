# SPDX-License-Identifier: Apache-2.0
# stress-ng's stressors of file systems, several at once, each with its own checks.
source "$(dirname "$0")/common.sh"
groups=(
  "access chattr chdir chmod chown copy-file dentry dir dirdeep"
  "dirmany dup fallocate fcntl fiemap file-ioctl filename flock fpunch"
  "fsize fstat getdent hdd inode-flags io iomix lease link"
  "locka lockf lockofd mknod msync open rename readahead revio"
  "seek sendfile splice symlink sync-file touch utime verity xattr"
)
mkdir files
for group in "${groups[@]}"; do
  words=()
  for stressor in $group; do words+=("--$stressor" 1); done
  status=0
  stress-ng --temp-path "$directory/files" --verify --timeout "$((2 * amount))s" --hdd-bytes 8M "${words[@]}" >log 2>&1 ||
    status=$?
  # 4: one of them needs what is not there (a capability, a call of the kernel), and the others have worked.
  [ $status -eq 0 ] || [ $status -eq 4 ] || fail "$group: status $status: $(cat log)"
done
remove_all
