// SPDX-License-Identifier: Apache-2.0
// The areas of the suite, each in the file of its name. All run as root with the capabilities that concern files, and
// umask 022.
#pragma once

#include "suite.h"

namespace kata::files {

void Open(const Place& place);
void Users(const Place& place);
void Acls(const Place& place);
void Xattrs(const Place& place);
void Names(const Place& place);
void Directories(const Place& place);
void Times(const Place& place);
void KillPriv(const Place& place);
void Space(const Place& place);
void InputOutput(const Place& place);
void Mmap(const Place& place);
void Locks(const Place& place);
void Leases(const Place& place);
void Sockets(const Place& place);
void Fifos(const Place& place);
void Notify(const Place& place);
void Limits(const Place& place);
void Tmpfile(const Place& place);
void Flags(const Place& place);
void Exec(const Place& place);
void Handles(const Place& place);
void Quotas(const Place& place);
void Overlay(const Place& place);
void UserNamespaces(const Place& place);
void Capabilities(const Place& place);
// A mount with mapped ids, for those whose ids are mapped and for others.
void Idmapped(const Place& place);
// What is done by one mount and seen by the other.
void Coherence(const Place& place);
// A place that may not be written: what the driver has put there is read, and changes are refused.
void ReadOnly(const Place& place);
// What the host changes meanwhile: for each line "ready" that this prints, the driver makes one round of changes and
// sends a line.
void ByTheHost(const Place& place);
// A file system of the host with a mebibyte and 64 inodes.
void Full(const Place& place);

}  // namespace kata::files
