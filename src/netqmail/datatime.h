/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How long a client may take for its message in total, and how many bytes it has to send in each minute. Only
 * the time counts in which the session waits for the client, never what the scanner or a disk takes.
 * Valid as gnu89 and as C99.
 */
#ifndef DATATIME_H
#define DATATIME_H

#include <stddef.h>
#include <stdint.h>

#define DATATIME_WHOLE_SECONDS 1800
#define DATATIME_WINDOW_SECONDS 60
#define DATATIME_BYTES_PER_SECOND 500

enum datatime_verdict {
  DATATIME_GOOD = 0,
  DATATIME_TOO_SLOW,   /* too few bytes in one window */
  DATATIME_TOO_LONG,   /* the whole takes too long */
  DATATIME_SILENT      /* no byte for the time that a client may be silent; datatime_wait() only */
};

struct datatime {
  uint64_t whole_ms;             /* limits */
  uint64_t window_ms;
  uint64_t window_bytes;
  uint64_t waited_ms;            /* since the data began */
  uint64_t in_window_ms;         /* since the window began */
  uint64_t bytes_in_window;
};

/* A message begins. The texts are numbers of seconds, bytes a second and seconds, as limitcount_number() reads them;
 * null or unreadable for the defaults above, 0 for no limit (a window of 0 is the default's). */
extern void datatime_begin(struct datatime *t, const char *whole_seconds, const char *bytes_per_second, const char *window_seconds);

/* The session has waited so long, and then so many bytes came: GOOD, TOO_SLOW or TOO_LONG. Pure. */
extern enum datatime_verdict datatime_judge(struct datatime *t, uint64_t waited_ms, uint64_t bytes);

/* Milliseconds until a client that sends nothing has to be judged again, at least 1. Pure. */
extern uint64_t datatime_patience_ms(const struct datatime *t);

/* Waits until fd can be read, or has an end or an error: GOOD. Otherwise the reason why the session has to end. */
extern enum datatime_verdict datatime_wait(struct datatime *t, int fd, unsigned long silent_seconds);

/* One word for the log, a fixed text: too-slow, too-long, silent; good if there is no fault. */
extern const char *datatime_word(enum datatime_verdict verdict);

#endif
