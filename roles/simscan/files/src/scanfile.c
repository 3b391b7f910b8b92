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

enum scanfile_stored scanfile_store(int fd, const char *name, struct scanheader *header, long long *length)
{
  static char in[BLOCK];
  static char out[BLOCK + SCANHEADER_HELD];
  enum scanfile_stored state = SCANFILE_STORED;
  int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int error = 0;
  ssize_t got;
  size_t n;

  *length = 0;
  if (file == -1) return SCANFILE_UNWRITTEN;
  scanheader_begin(header);
  for (;;) {
    do got = read(fd, in, sizeof in); while (got == -1 && errno == EINTR);
    if (got == -1) {
      error = errno;
      state = SCANFILE_UNREAD;
      break;
    }
    n = got > 0 ? scanheader_pass(header, in, (size_t) got, out) : scanheader_end(header, out);
    if (scanfile_write(file, out, n) == -1) {
      error = errno;
      state = SCANFILE_UNWRITTEN;
      break;
    }
    *length += (long long) n;
    if (got == 0) break;
  }
  if (close(file) == -1 && error == 0) {
    error = errno;
    state = SCANFILE_UNWRITTEN;
  }
  errno = error;
  return state;
}

static int read_at(int fd, char *to, size_t length, long long offset)
{
  ssize_t got;

  while (length > 0) {
    got = pread(fd, to, length, (off_t) offset);
    if (got == -1 && errno == EINTR) continue;
    if (got == 0) errno = EIO;
    if (got <= 0) return -1;
    to += got;
    offset += got;
    length -= (size_t) got;
  }
  return 0;
}

int scanfile_same_tail(int one, long long one_length, int other, long long other_length, long long length)
{
  static char a[BLOCK];
  static char b[BLOCK];
  size_t n;

  if (length > one_length || length > other_length) return 0;
  while (length > 0) {
    n = length < BLOCK ? (size_t) length : BLOCK;
    if (read_at(one, a, n, one_length - length) == -1) return -1;
    if (read_at(other, b, n, other_length - length) == -1) return -1;
    if (memcmp(a, b, n) != 0) return 0;
    length -= (long long) n;
  }
  return 1;
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
