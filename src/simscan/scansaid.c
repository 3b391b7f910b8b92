/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What clamd repeats with each message is logged once, and again when its text changes or clamd was started again. One
 * small file remembers it. When the file cannot be read or written, the words are logged.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "scan.h"

#define KEY 17 /* 16 hexadecimal digits and NUL */

static uint64_t add(uint64_t hash, const void *bytes, size_t length)
{
  const unsigned char *byte = bytes;

  while (length-- > 0) hash = (hash ^ *byte++) * UINT64_C(1099511628211); /* FNV-1a: a collision is of no use to anybody */
  return hash;
}

static uint64_t add_identity(uint64_t hash, const char *path)
{
  struct stat what;
  long long numbers[4] = {0};

  if (stat(path, &what) == 0) {
    numbers[0] = (long long) what.st_ino;
    numbers[1] = (long long) what.st_size;
    numbers[2] = (long long) what.st_mtim.tv_sec;
    numbers[3] = (long long) what.st_mtim.tv_nsec;
  }
  return add(hash, numbers, sizeof numbers);
}

static int is_kept(const char *path, const char *key)
{
  char kept[KEY] = "";
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  ssize_t got;

  if (fd == -1) return 0;
  got = read(fd, kept, sizeof kept - 1);
  close(fd);
  return got == KEY - 1 && strcmp(kept, key) == 0;
}

static void keep(const char *path, const char *key)
{
  char fresh[600];
  int fd;

  snprintf(fresh, sizeof fresh, "%s.%ld", path, (long) getpid());
  fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd == -1) return;
  if (scanfile_write(fd, key, KEY - 1) == -1 || close(fd) == -1 || rename(fresh, path) == -1) unlink(fresh);
}

int scan_words_are_new(const struct scan *scan, const char *words)
{
  uint64_t hash = UINT64_C(14695981039346656037);
  char path[500];
  char key[KEY];

  if (scan->conf.state_directory[0] == 0) return 1;
  hash = add(hash, words, strlen(words));
  hash = add_identity(hash, scan->conf.clamd_socket);
  snprintf(key, sizeof key, "%016llx", (unsigned long long) hash);
  snprintf(path, sizeof path, "%s/said", scan->conf.state_directory);
  if (is_kept(path, key)) return 0;
  keep(path, key);
  return 1;
}
