/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "logqueue.h"

void logqueue_begin(struct logqueue *q, int fd)
{
  memset(q, 0, sizeof *q);
  q->fd = fd;
}

static void tell_dropped(struct logqueue *q)
{
  char line[100];
  int n = snprintf(line, sizeof line, "smtpfront: dropped %lu lines of the log\n", q->dropped);

  if (q->len + (size_t) n > sizeof q->bytes / 2)
    return;
  memcpy(q->bytes + q->len, line, (size_t) n);
  q->len += (size_t) n;
  q->dropped = 0;
}

void logqueue_line(struct logqueue *q, const char *line, size_t len)
{
  if (q->dropped)
    tell_dropped(q);
  if (q->dropped || len > LOGQUEUE_WRITE_MAX || q->len + len > sizeof q->bytes) {
    ++q->dropped;
    ++q->dropped_ever;
    return;
  }
  memcpy(q->bytes + q->len, line, len);
  q->len += len;
}

/* The length of as many whole lines as one write may have. */
static size_t whole_lines(const struct logqueue *q)
{
  size_t n = q->len < LOGQUEUE_WRITE_MAX ? q->len : LOGQUEUE_WRITE_MAX;

  while (n > 0 && q->bytes[n - 1] != '\n')
    --n;
  return n;
}

int logqueue_flush(struct logqueue *q)
{
  ssize_t n;

  for (;;) {
    if (q->dropped)   /* there may be room again */
      tell_dropped(q);
    if (q->len == 0 || q->fd == -1)
      break;
    n = write(q->fd, q->bytes, whole_lines(q));
    if (n == -1 && errno == EINTR)
      continue;
    if (n == -1 && errno != EAGAIN)
      return -1;
    if (n <= 0)
      break;
    q->len -= (size_t) n;
    memmove(q->bytes, q->bytes + n, q->len);
  }
  return q->len > 0;
}
