/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Keeps a copy of a message that is about to be refused. Whatever fails here, the message is refused all the same: nothing
 * is synced, nothing is waited for, and a limit that is reached means that there is no copy.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include "clock.h"
#include "scan.h"
#include "scancopy.h"
#include "scanfeed.h"

#define NAME 18          /* '.', 16 hexadecimal digits, NUL */
#define FREE_PERCENT 5   /* of the file system, which the queue may need */
#define KEEP_MS 2000     /* the refusal waits no longer for its copy */

/* A copy that is being written. */
struct writing {
  int directory;
  int file;
  char name[NAME]; /* with the dot */
  uint32_t crc;
  long long deadline;
};

/* 0 when the file system has room for so many bytes, and more for the queue; -1 with errno. */
static int has_room(const struct scanconf *conf, long long bytes)
{
  struct statvfs space;

  if (statvfs(conf->keep_directory, &space) == -1) return -1;
  if ((long long) space.f_bavail * (long long) space.f_frsize - bytes
        < (long long) (space.f_blocks / 100 * FREE_PERCENT) * (long long) space.f_frsize
      || (space.f_files > 0 && space.f_favail < space.f_files / 100 * FREE_PERCENT)) {
    errno = ENOSPC;
    return -1;
  }
  return 0;
}

/* 0 when the limits hold with what is there now, this copy with its room included; -1 with errno. */
static int fits(const struct scanconf *conf)
{
  struct scanfile_room used;

  if (scanfile_used(conf->keep_directory, &used) == -1) return -1;
  if (used.bytes > conf->keep_bytes || used.files > conf->keep_files) {
    errno = EDQUOT;
    return -1;
  }
  return has_room(conf, 0);
}

static int begin(struct writing *copy, const struct scanconf *conf, long long bytes)
{
  unsigned char random[SCANHASH_KEY];
  int i;

  copy->crc = 0;
  copy->file = -1;
  copy->directory = open(conf->keep_directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (copy->directory == -1 || scanhash_random_key(random) == -1) return -1;
  if (has_room(conf, bytes) == -1) return -1; /* nothing is taken from a queue that needs it, not for a moment */
  copy->name[0] = '.';
  for (i = 0; i < 8; ++i) snprintf(copy->name + 1 + 2 * i, 3, "%02x", random[i]);
  copy->file = openat(copy->directory, copy->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (copy->file == -1) return -1;
  /* with its room taken first, several sessions together do not exceed the limits */
  if (fallocate(copy->file, 0, 0, (off_t) bytes) == -1 && errno != EOPNOTSUPP && errno != ENOSYS) return -1;
  return fits(conf);
}

static int add(struct writing *copy, const char *bytes, size_t length)
{
  if (clock_ms() >= copy->deadline) {
    errno = ETIME;
    return -1;
  }
  copy->crc = scancopy_crc(copy->crc, bytes, length);
  return scanfile_write(copy->file, bytes, length);
}

/* Writes everything behind the first line, then that; -1 with errno. */
static int fill(struct writing *copy, const struct scan *scan, const char *head, size_t length)
{
  static struct scanfeed_reader reader;
  struct scanfeed message = scan_whole(scan);
  char first[SCANCOPY_FIRST + 1];
  int got;

  if (lseek(copy->file, SCANCOPY_FIRST, SEEK_SET) == -1 || add(copy, head, length) == -1
      || add(copy, scan->envelope.bytes, scan->envelope.length) == -1)
    return -1;
  scanfeed_begin(&reader, &message);
  for (; (got = scanfeed_fill(&reader)) == 1; reader.begin = reader.end)
    if (add(copy, reader.block, reader.end) == -1) return -1;
  if (got == -1) return -1;
  scancopy_first(copy->crc, first);
  return pwrite(copy->file, first, SCANCOPY_FIRST, 0) == SCANCOPY_FIRST ? 0 : -1;
}

/* Ends the copy, and what there is of it unless it is complete. Keeps errno. */
static int end(struct writing *copy, int state)
{
  int error;

  if (copy->file != -1 && close(copy->file) == -1) state = -1;
  if (state == 0) state = renameat(copy->directory, copy->name, copy->directory, copy->name + 1);
  error = errno;
  if (state == -1 && copy->file != -1) unlinkat(copy->directory, copy->name, 0);
  if (copy->directory != -1) close(copy->directory);
  errno = error;
  return state;
}

static const char *why(int error)
{
  if (error == EDQUOT) return "the limit is reached (keep_bytes, keep_files)";
  if (error == ETIME) return "it would take too long";
  return strerror(error);
}

void scan_keep(const struct scan *scan, const struct scantext_score *score, const char *rules, const char *virus)
{
  struct scancopy about = {virus != NULL, (long long) time(NULL), score, scan->conf.reject_score, rules, virus,
                           getenv("TCPREMOTEIP"), scan_mail_id(), (long long) scan->envelope.length,
                           scan->message.length};
  const char *wish = getenv(SCAN_KEEP);
  struct writing copy;
  char head[SCANCOPY_HEAD];
  size_t length;
  int state;

  if (scan->conf.keep_directory[0] == 0 || (virus && !scan->conf.keep_viruses) || (wish && strcmp(wish, "no") == 0))
    return;
  length = scancopy_head(&about, head);
  copy.deadline = clock_ms() + KEEP_MS;
  state = begin(&copy, &scan->conf, SCANCOPY_FIRST + (long long) length + about.envelope_bytes + about.message_bytes);
  if (state == 0) state = fill(&copy, scan, head, length);
  if (end(&copy, state) == 0) scan_log_note("kept as %s", copy.name + 1);
  else scan_log_note("no copy is kept: %s", why(errno));
}
