/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include "check.h"
#include "logqueue.h"

static struct logqueue q;
static char heard[1 << 20];
static int ends[2];

static void begin(void)
{
  CHECK(pipe(ends) == 0);
  CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
  logqueue_begin(&q, ends[1]);
}

static size_t hear(void)
{
  size_t len = 0;
  ssize_t n;

  while ((n = read(ends[0], heard + len, sizeof heard - len)) > 0)
    len += (size_t) n;
  heard[len] = 0;
  return len;
}

TEST(lines_come_whole_and_in_order)
{
  begin();
  logqueue_line(&q, "one\n", 4);
  logqueue_line(&q, "two\n", 4);
  CHECK(!logqueue_flush(&q));
  CHECK(hear() == 8 && strcmp(heard, "one\ntwo\n") == 0);
}

/* A pipe takes 64 kB, and the queue as many. */
TEST(a_log_that_nobody_reads_never_blocks)
{
  char line[101];
  unsigned long taken = 0;
  unsigned long dropped = 0;
  char *at;
  int i;

  begin();
  memset(line, 'x', sizeof line);
  line[99] = '\n';
  for (i = 0; i < 5000; ++i) {
    logqueue_line(&q, line, 100);
    logqueue_flush(&q);
  }
  CHECK(q.dropped > 3000 && q.dropped == q.dropped_ever);
  while (logqueue_flush(&q) || q.len) {
    hear();
    for (at = heard; (at = strchr(at, '\n')) != 0; ++at)
      ++taken;
  }
  CHECK(logqueue_flush(&q) == 0);
  hear();
  for (at = heard; (at = strchr(at, '\n')) != 0; ++at)
    ++taken;
  at = strstr(heard, "smtpfront: dropped ");
  CHECK(at && sscanf(at, "smtpfront: dropped %lu lines of the log\n", &dropped) == 1);
  CHECK(dropped == q.dropped_ever && taken == 5000 - dropped + 1 && q.dropped == 0);
}

/* Nobody flushes again before the next line, which may be a long time away. */
TEST(what_was_dropped_is_told_when_all_lines_are_written)
{
  char line[100];

  begin();
  CHECK(fcntl(ends[1], F_SETPIPE_SZ, 4 * LOGQUEUE_BYTES) > 0);   /* a reader reads meanwhile */
  memset(line, 'x', sizeof line);
  line[99] = '\n';
  while (!q.dropped)
    logqueue_line(&q, line, sizeof line);
  CHECK(logqueue_flush(&q) == 0);
  hear();
  CHECK(strstr(heard, "\nsmtpfront: dropped 1 lines of the log\n"));
}

TEST(nobody_listens)
{
  int i;

  logqueue_begin(&q, -1);
  for (i = 0; i < 20000; ++i)
    logqueue_line(&q, "one\n", 4);
  CHECK(logqueue_flush(&q) == 1 && q.dropped_ever > 0 && q.len <= LOGQUEUE_BYTES);
}

TEST(a_log_without_a_reader_is_given_up)
{
  begin();
  CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR && close(ends[0]) == 0);
  logqueue_line(&q, "one\n", 4);
  CHECK(logqueue_flush(&q) == -1 && q.len == 4);
}

static const struct test tests[] = {
  {"lines_come_whole_and_in_order", lines_come_whole_and_in_order},
  {"a_log_that_nobody_reads_never_blocks", a_log_that_nobody_reads_never_blocks},
  {"what_was_dropped_is_told_when_all_lines_are_written", what_was_dropped_is_told_when_all_lines_are_written},
  {"nobody_listens", nobody_listens},
  {"a_log_without_a_reader_is_given_up", a_log_without_a_reader_is_given_up},
};
MAIN(tests)
