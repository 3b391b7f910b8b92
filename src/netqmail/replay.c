/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "handover.h"
#include "replay.h"
#include "validrcptto.h"

#define DESCRIPTOR_MAX 1000

static struct {
  char bytes[HANDOVER_MAX + 1];
  struct handover session;
  struct limitcount *counts;
  size_t at;
  int quiet;
} replay;

/* Reads everything up to the end; one byte more than fits shows that it is too long. */
static size_t read_all(int fd)
{
  size_t len = 0;
  ssize_t n;

  while (len < sizeof replay.bytes) {
    n = read(fd, replay.bytes + len, sizeof replay.bytes - len);
    if (n == -1 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    len += (size_t) n;
  }
  return len;
}

int replay_begin(struct limitcount *counts)
{
  const char *text = getenv("HANDOVER");
  unsigned long fd = limitcount_number(text, DESCRIPTOR_MAX);
  size_t len;

  if (!text)
    return 1;
  if (fd < 3 || fd >= DESCRIPTOR_MAX)
    return 0;
  len = read_all((int) fd);
  close((int) fd);
  if (unsetenv("HANDOVER") == -1 || !handover_read(&replay.session, replay.bytes, len))
    return 0;
  if (!replay.session.said_len)
    return 1;
  replay.counts = counts;
  replay.quiet = 1;
  return unsetenv("RELAYCLIENT") == 0;
}

int replay_quiet(void)
{
  return replay.quiet;
}

int replay_greylisted(void)
{
  return replay.session.greylisted;
}

void replay_speak(void)
{
  replay.quiet = 0;
}

static int take(const char *bytes, size_t length, char *buf, int len)
{
  size_t n = length - replay.at;

  if (len <= 0 || n == 0)
    return 0;
  if (n > (size_t) len)
    n = (size_t) len;
  memcpy(buf, bytes + replay.at, n);
  replay.at += n;
  return (int) n;
}

int replay_left(void)
{
  return replay.quiet || replay.at < replay.session.unanswered_len;
}

int replay_read(char *buf, int len)
{
  if (replay.quiet) {
    if (replay.at < replay.session.said_len)
      return take(replay.session.said, replay.session.said_len, buf, len);
    replay.quiet = 0;
    replay.at = 0;
    replay.counts->refusals = replay.session.refusals;
    replay.counts->spent = replay.session.spent;
    validrcptto_begin(replay.session.misses);
  }
  return take(replay.session.unanswered, replay.session.unanswered_len, buf, len);
}
