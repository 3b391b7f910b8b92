/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <unistd.h>
#include "scanfile.h"
#include "scantext.h"

#define BLOCK 65536
#define DEPTH 8

int scanfile_write(int fd, const char *bytes, size_t length)
{
  ssize_t w;

  while (length > 0) {
    w = write(fd, bytes, length);
    if (w == -1 && errno == EINTR) continue;
    if (w == 0) errno = EIO;
    if (w <= 0) return -1;
    bytes += w;
    length -= (size_t) w;
  }
  return 0;
}

int scanfile_enter(const char *parent, char *path, size_t size)
{
  struct timeval now;
  int error;

  gettimeofday(&now, NULL);
  if ((size_t) snprintf(path, size, "%s/%ld.%06ld.%ld", parent, (long) now.tv_sec, (long) now.tv_usec,
                        (long) getpid()) >= size) {
    path[0] = 0;
    errno = ENAMETOOLONG;
    return -1;
  }
  if (mkdir(path, 0700) == -1) {
    path[0] = 0;
    return -1;
  }
  if (chdir(path) == 0) return 0;
  error = errno;
  rmdir(path);
  path[0] = 0;
  errno = error;
  return -1;
}

static void remove_below(int directory, int depth)
{
  struct dirent *entry;
  DIR *list = fdopendir(directory);
  int below;

  if (!list) {
    close(directory);
    return;
  }
  while ((entry = readdir(list)) != NULL) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (unlinkat(dirfd(list), entry->d_name, 0) == 0 || depth == 0) continue;
    below = openat(dirfd(list), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below == -1) continue;
    remove_below(below, depth - 1);
    unlinkat(dirfd(list), entry->d_name, AT_REMOVEDIR);
  }
  closedir(list);
}

void scanfile_leave(const char *path)
{
  int directory;

  if (path[0] == 0) return;
  directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory == -1) return;
  remove_below(directory, DEPTH);
  rmdir(path);
}

int scanfile_create(const char *name)
{
  return open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

struct storing {
  struct scanfile_message *message;
  const struct scanfile_limits *limits;
  struct scanhash header;
  struct scanhash body;
  struct scanhash rest;
};

static void add(struct scanpiece *piece, struct scanhash *hash, const char *bytes, size_t n)
{
  scanhash_add(hash, bytes, n);
  piece->length += (long long) n;
}

/* Writes the next bytes; the body ends where header and body have so many bytes as the limit says. */
static enum scanfile_stored put(struct storing *s, const struct scanheader *header, const char *bytes, size_t n)
{
  struct scanfile_message *message = s->message;
  size_t in_header = (size_t) (header->length - message->header.length);
  long long room = s->limits->first - header->length - message->body.length;
  size_t in_body = n - in_header;

  if (room < 0) room = 0;
  if ((long long) in_body > room) in_body = (size_t) room;
  if (message->length + (long long) n > s->limits->whole) return SCANFILE_ABOVE;
  if (scanfile_write(message->file, bytes, n) == -1) return SCANFILE_UNWRITTEN;
  if (s->limits->names) scannames_add(s->limits->names, bytes, n);
  message->length += (long long) n;
  add(&message->header, &s->header, bytes, in_header);
  add(&message->body, &s->body, bytes + in_header, in_body);
  add(&message->rest, &s->rest, bytes + in_header + in_body, n - in_header - in_body);
  return SCANFILE_STORED;
}

static enum scanfile_stored complete(struct storing *s)
{
  struct scanfile_message *message = s->message;
  struct stat what;

  if (fstat(message->file, &what) == -1) return SCANFILE_UNWRITTEN;
  message->changed_seconds = (long long) what.st_ctim.tv_sec;
  message->changed_nanoseconds = (long long) what.st_ctim.tv_nsec;
  message->header.file = message->body.file = message->rest.file = message->file;
  message->body.offset = message->header.length;
  message->rest.offset = message->header.length + message->body.length;
  scanhash_end(&s->header, message->header.digest);
  scanhash_end(&s->body, message->body.digest);
  scanhash_end(&s->rest, message->rest.digest);
  return SCANFILE_STORED;
}

enum scanfile_stored scanfile_store(int fd, const char *name, struct scanheader *header,
                                    const struct scanfile_limits *limits, struct scanfile_message *message)
{
  static char in[BLOCK];
  static char out[BLOCK + SCANHEADER_HELD + 1];
  enum scanfile_stored state;
  struct storing s;
  ssize_t got;
  size_t n;

  memset(message, 0, sizeof *message);
  s.message = message;
  s.limits = limits;
  message->file = scanfile_create(name);
  if (message->file == -1) return SCANFILE_UNWRITTEN;
  scanhash_begin(&s.header, limits->key);
  scanhash_begin(&s.body, limits->key);
  scanhash_begin(&s.rest, limits->key);
  scanheader_begin(header);
  do {
    do got = read(fd, in, sizeof in); while (got == -1 && errno == EINTR);
    if (got == -1) return SCANFILE_UNREAD;
    n = got > 0 ? scanheader_pass(header, in, (size_t) got, out) : scanheader_end(header, out);
    state = put(&s, header, out, n);
    if (state != SCANFILE_STORED) return state;
  } while (got > 0);
  return complete(&s);
}

int scanfile_is_as_stored(int fd, const struct scanfile_message *message)
{
  struct stat what;

  return fstat(fd, &what) == 0 && S_ISREG(what.st_mode) && (long long) what.st_size == message->length
         && (long long) what.st_ctim.tv_sec == message->changed_seconds
         && (long long) what.st_ctim.tv_nsec == message->changed_nanoseconds;
}

int scanfile_open_stored(const char *name, const struct scanfile_message *message)
{
  struct stat stored;
  struct stat named;
  int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  int error = 0;

  if (fd == -1) return -1;
  if (fstat(message->file, &stored) == -1 || fstat(fd, &named) == -1) error = errno;
  else if (stored.st_dev != named.st_dev || stored.st_ino != named.st_ino) error = ESTALE;
  if (error == 0) return fd;
  close(fd);
  errno = error;
  return -1;
}

int scanfile_room(struct scanfile_room *room)
{
  struct statvfs space;

  if (statvfs(".", &space) == -1) return -1;
  room->bytes = (long long) space.f_blocks * (long long) (space.f_frsize ? space.f_frsize : space.f_bsize);
  room->files = (long long) space.f_files;
  return 0;
}

int scanfile_used(const char *directory, struct scanfile_room *used)
{
  struct dirent *entry;
  struct stat what;
  DIR *list = opendir(directory);
  int error;

  used->bytes = used->files = 0;
  if (!list) return -1;
  for (;;) {
    errno = 0;
    entry = readdir(list);
    if (!entry) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    ++used->files;
    if (fstatat(dirfd(list), entry->d_name, &what, AT_SYMLINK_NOFOLLOW) == 0)
      used->bytes += (long long) what.st_blocks * 512 / (what.st_nlink ? (long long) what.st_nlink : 1);
  }
  error = errno;
  closedir(list);
  errno = error;
  return error ? -1 : 0;
}

int scanfile_free(const char *directory, struct scanfile_room *room)
{
  struct statvfs space;

  if (statvfs(directory, &space) == -1) return -1;
  if (space.f_flag & ST_RDONLY) {
    errno = EROFS;
    return -1;
  }
  room->bytes = (long long) space.f_bavail * (long long) (space.f_frsize ? space.f_frsize : space.f_bsize);
  room->files = space.f_files > 0 ? (long long) space.f_favail : -1;
  return 0;
}

int scanfile_full(void)
{
  struct statvfs space;

  if (statvfs(".", &space) == -1) return 1;
  return space.f_bavail == 0 || (space.f_files > 0 && space.f_favail == 0);
}

int scanfile_find(const char *directory, const char *suffixes, size_t stride, int count, char *name, size_t size)
{
  struct dirent *entry;
  DIR *list = opendir(directory);
  int error;
  int i;

  if (!list) return -1;
  for (;;) {
    errno = 0;
    entry = readdir(list);
    if (!entry) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    for (i = 0; i < count; ++i)
      if (scantext_suffix(entry->d_name, suffixes + (size_t) i * stride)) {
        scantext_field(entry->d_name, strlen(entry->d_name), 0, name, size);
        closedir(list);
        return 1;
      }
  }
  error = errno;
  closedir(list);
  errno = error;
  return error ? -1 : 0;
}
