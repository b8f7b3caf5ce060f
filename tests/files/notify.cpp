// SPDX-License-Identifier: Apache-2.0
// inotify and fanotify: watched by one mount, changed by the other where there are two. Events are there when the
// change is done, so nothing is waited for.
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "areas.h"

namespace kata::files {
namespace {

std::string Names(uint32_t mask) {
  const struct {
    uint32_t bit;
    const char* name;
  } bits[] = {{IN_ACCESS, "access"},
              {IN_MODIFY, "modify"},
              {IN_ATTRIB, "attrib"},
              {IN_CLOSE_WRITE, "close-write"},
              {IN_CLOSE_NOWRITE, "close-nowrite"},
              {IN_OPEN, "open"},
              {IN_MOVED_FROM, "moved-from"},
              {IN_MOVED_TO, "moved-to"},
              {IN_CREATE, "create"},
              {IN_DELETE, "delete"},
              {IN_DELETE_SELF, "delete-self"},
              {IN_MOVE_SELF, "move-self"},
              {IN_IGNORED, "ignored"},
              {IN_Q_OVERFLOW, "overflow"},
              {IN_ISDIR, "dir"}};
  std::string text;
  for (const auto& [bit, name] : bits)
    if ((mask & bit) != 0) text += (text.empty() ? "" : "+") + std::string(name);
  return text;
}

// All events that there are, in their order; the cookies of the two halves of a move must be the same.
std::string Events(int fd) {
  alignas(inotify_event) char buffer[8192];
  std::string text;
  uint32_t cookie = 0;
  for (;;) {
    const ssize_t size = read(fd, buffer, sizeof buffer);
    if (size <= 0) break;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      text += (text.empty() ? "" : ", ") + Names(event->mask);
      if (event->len > 0) text += " " + std::string(event->name);
      if ((event->mask & IN_MOVED_FROM) != 0) cookie = event->cookie;
      if ((event->mask & IN_MOVED_TO) != 0 && event->cookie != cookie) text += " (another cookie)";
      at += static_cast<ssize_t>(sizeof *event) + event->len;
    }
  }
  return text.empty() ? "none" : text;
}

void Inotify(const Place& place) {
  const std::string there = place.there + "/watched/";
  MakeDir("watched");
  Make("watched/file", "text");
  MakeDir("watched/dir");
  const UniqueFd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  Done("watch", inotify_add_watch(fd.get(), "watched", IN_ALL_EVENTS & ~(IN_ACCESS | IN_OPEN | IN_CLOSE)) >= 0);
  const auto expect = [&](const char* name) { Fact(name, Events(fd.get())); };
  Ignore(close(open((there + "new").c_str(), O_WRONLY | O_CREAT, 0644)));
  expect("creat");
  Append(there + "file", "more");
  expect("write");
  Ignore(truncate((there + "file").c_str(), 1));
  expect("truncate");
  Ignore(chmod((there + "file").c_str(), 0600));
  expect("chmod");
  Ignore(utimensat(AT_FDCWD, (there + "file").c_str(), nullptr, 0));
  expect("utimes");
  Ignore(mkdir((there + "made").c_str(), 0777));
  expect("mkdir");
  Ignore(symlink("x", (there + "symlink").c_str()));
  expect("symlink");
  Ignore(link((there + "file").c_str(), (there + "link").c_str()));
  expect("link");
  Ignore(rename((there + "new").c_str(), (there + "renamed").c_str()));
  expect("rename");
  Ignore(rename((there + "renamed").c_str(), (there + "file").c_str()));
  expect("rename-over");
  Ignore(rename((there + "file").c_str(), (there + "dir/moved").c_str()));
  expect("rename-away");
  Ignore(unlink((there + "link").c_str()));
  expect("unlink");
  Ignore(rmdir((there + "made").c_str()));
  expect("rmdir");
  // A config map's way: a new directory, a symlink that is replaced by a rename.
  Ignore(symlink("dir", (there + "..data_tmp").c_str()));
  Ignore(rename((there + "..data_tmp").c_str(), (there + "..data").c_str()));
  expect("symlink-replaced");

  Make("single", "text");
  const UniqueFd one(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  Done("watch-file", inotify_add_watch(one.get(), "single", IN_ALL_EVENTS) >= 0);
  const std::string single = place.there + "/single";
  {
    const UniqueFd file(open(single.c_str(), O_RDWR));
    ContentsAt(file.get(), 0);
    Ignore(Write(file.get(), "x"));
  }
  Fact("file-read-write", Events(one.get()));
  Ignore(rename(single.c_str(), (single + "2").c_str()));
  Fact("file-rename", Events(one.get()));
  Ignore(unlink((single + "2").c_str()));
  Fact("file-unlink", Events(one.get()));
  Done("watch-missing", inotify_add_watch(fd.get(), "missing", IN_ALL_EVENTS) >= 0);
  Make("plain");
  Done("watch-onlydir-file", inotify_add_watch(fd.get(), "plain", IN_CREATE | IN_ONLYDIR) >= 0);
  Make("secret", "", 0600);
  As({}, [&] { Done("watch-unreadable", inotify_add_watch(fd.get(), "secret", IN_MODIFY) >= 0); });
}

void Fanotify(const Place& place) {
  Make("fanotify", "text");
  const UniqueFd fd = Opened("fanotify-init", fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY));
  Call("fanotify-mark", fanotify_mark(fd.get(), FAN_MARK_ADD, FAN_MODIFY | FAN_CLOSE_WRITE, AT_FDCWD, "fanotify"));
  Append(place.there + "/fanotify", "more");
  alignas(fanotify_event_metadata) char buffer[4096];
  const ssize_t size = read(fd.get(), buffer, sizeof buffer);
  int events = 0;
  const auto* event = reinterpret_cast<const fanotify_event_metadata*>(buffer);
  for (ssize_t left = size; FAN_EVENT_OK(event, left); event = FAN_EVENT_NEXT(event, left)) {
    ++events;
    if (event->fd >= 0) close(event->fd);
  }
  Is("fanotify-events", events > 0);
  const UniqueFd by_id =
      Opened("fanotify-fid-init", fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_NONBLOCK | FAN_CLOEXEC, 0));
  Call("fanotify-fid-mark", fanotify_mark(by_id.get(), FAN_MARK_ADD, FAN_CREATE | FAN_ONDIR, AT_FDCWD, "."));
  Call("fanotify-mount-mark",
       fanotify_mark(fd.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, "fanotify"));
}

}  // namespace

void Notify(const Place& place) {
  Inotify(place);
  Fanotify(place);
}

}  // namespace kata::files
