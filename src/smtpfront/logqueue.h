/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A queue of log lines. Whole lines are kept until the descriptor, which never blocks, accepts them; a line for which
 * there is no room is dropped and counted, and once there is room again the count is a line itself. A write is of whole
 * lines and below PIPE_BUF, so they do not mix with lines of other programs.
 */
#ifndef LOGQUEUE_H
#define LOGQUEUE_H

#include <stddef.h>

#define LOGQUEUE_BYTES 65536
#define LOGQUEUE_WRITE_MAX 4096   /* PIPE_BUF */

struct logqueue {
  int fd;                         /* -1: not connected */
  unsigned long dropped;          /* not logged yet */
  unsigned long dropped_ever;
  size_t len;
  char bytes[LOGQUEUE_BYTES];
};

/* The descriptor must not block. */
extern void logqueue_begin(struct logqueue *q, int fd);

/* Takes a line, its newline included. */
extern void logqueue_line(struct logqueue *q, const char *line, size_t len);

/* Writes what can be written now. Returns 1 when lines are left, -1 when nothing can be written there any more. */
extern int logqueue_flush(struct logqueue *q);

#endif
