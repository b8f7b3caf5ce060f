# SPDX-License-Identifier: Apache-2.0
# Writes records until something ends it, and prints the number of each when it is on the disk: writer.pl DIRECTORY
#
# Each record is a line of `log`, and then all that is in `state`, which a new file replaces.
use strict;
use warnings;
use IO::Handle;

my ($directory) = @ARGV;
open(my $log, '>>', "$directory/log") or die "log: $!";
for (my $number = 1;; ++$number) {
    my $text = sprintf("%07d %s\n", $number, 'x' x 4087);
    (syswrite($log, $text) // -1) == length($text) or die "log: $!";
    $log->sync or die "fsync of log: $!";
    open(my $new, '>', "$directory/new") or die "new: $!";
    (syswrite($new, $text) // -1) == length($text) or die "new: $!";
    $new->sync or die "fsync of new: $!";
    close($new) or die "close of new: $!";
    rename("$directory/new", "$directory/state") or die "rename: $!";
    open(my $parent, '<', $directory) or die "$directory: $!";
    $parent->sync or die "fsync of $directory: $!";
    syswrite(STDOUT, "$number\n") or die "stdout: $!";
}
