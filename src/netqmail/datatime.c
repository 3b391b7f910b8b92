/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>
#include "datatime.h"
#include "limitcount.h"

#define PATIENCE_MAX_MS 3600000

void datatime_begin(struct datatime *t, const char *whole_seconds, const char *bytes_per_second, const char *window_seconds)
{
  uint64_t window = limitcount_number(window_seconds, DATATIME_WINDOW_SECONDS);

  if (window == 0)
    window = DATATIME_WINDOW_SECONDS;
  t->whole_ms = 1000 * (uint64_t) limitcount_number(whole_seconds, DATATIME_WHOLE_SECONDS);
  t->window_ms = 1000 * window;
  t->window_bytes = window * limitcount_number(bytes_per_second, DATATIME_BYTES_PER_SECOND);
  t->waited_ms = 0;
  t->in_window_ms = 0;
  t->bytes_in_window = 0;
}

enum datatime_verdict datatime_judge(struct datatime *t, uint64_t waited_ms, uint64_t bytes)
{
  t->waited_ms += waited_ms;
  t->in_window_ms += waited_ms;
  t->bytes_in_window += bytes;
  if (t->whole_ms && t->waited_ms >= t->whole_ms)
    return DATATIME_TOO_LONG;
  if (t->in_window_ms < t->window_ms)
    return DATATIME_GOOD;
  if (t->bytes_in_window < t->window_bytes)
    return DATATIME_TOO_SLOW;
  t->in_window_ms = 0;
  t->bytes_in_window = 0;
  return DATATIME_GOOD;
}

uint64_t datatime_patience_ms(const struct datatime *t)
{
  uint64_t left = t->window_ms > t->in_window_ms ? t->window_ms - t->in_window_ms : 1;

  if (t->whole_ms) {
    if (t->whole_ms <= t->waited_ms)
      return 1;
    if (t->whole_ms - t->waited_ms < left)
      left = t->whole_ms - t->waited_ms;
  }
  return left < PATIENCE_MAX_MS ? left : PATIENCE_MAX_MS;
}

/* Milliseconds of the monotonic clock. */
static uint64_t now_ms(void)
{
  struct timespec now;

  if (clock_gettime(CLOCK_MONOTONIC, &now) == -1)
    return 0;
  return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

enum datatime_verdict datatime_wait(struct datatime *t, int fd, unsigned long silent_seconds)
{
  struct pollfd one;
  uint64_t silence = 1000 * (uint64_t) silent_seconds;
  uint64_t begin;
  uint64_t waited;
  uint64_t wait;
  enum datatime_verdict verdict;
  int r;

  one.fd = fd;
  one.events = POLLIN;
  for (;;) {
    wait = datatime_patience_ms(t);
    if (silence < wait)
      wait = silence;
    begin = now_ms();
    r = poll(&one, 1, (int) wait);
    waited = now_ms() - begin;
    if (r == -1 && errno != EINTR)
      return DATATIME_GOOD; /* the read will report what is wrong */
    if (r > 0) {
      /* Bytes that have arrived count for the window that ends now. */
      t->waited_ms += waited;
      t->in_window_ms += waited;
      return DATATIME_GOOD;
    }
    verdict = datatime_judge(t, waited, 0);
    if (verdict != DATATIME_GOOD)
      return verdict;
    silence = silence > waited ? silence - waited : 0;
    if (silence == 0)
      return DATATIME_SILENT;
  }
}

const char *datatime_word(enum datatime_verdict verdict)
{
  switch (verdict) {
    case DATATIME_TOO_SLOW: return "too-slow";
    case DATATIME_TOO_LONG: return "too-long";
    case DATATIME_SILENT: return "silent";
    case DATATIME_GOOD: break;
  }
  return "good";
}
