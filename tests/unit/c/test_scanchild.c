/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The other tests of scanchild.c run simscan as a whole, in test_simscan.py.
 */
#define _GNU_SOURCE
#include <time.h>
#include <unistd.h>

/* As on a busy machine: others run as soon as something is written, and this process later. */
static ssize_t write_and_wait(int fd, const void *bytes, size_t n)
{
  struct timespec pause = { 0, 50000000 };
  ssize_t w = write(fd, bytes, n);

  nanosleep(&pause, 0);
  return w;
}

#define write write_and_wait
#include "scanchild.c"
#undef write
#include "check.h"

/* As qmail-queue with the envelope: it ends with the last byte, not with the end of the pipe. */
static int run(const char *bytes, const char *script, struct scanchild_result *result)
{
  char *argv[] = { "sh", "-c", (char *) script, 0 };
  char *environment[] = { "PATH=/usr/bin:/bin", 0 };
  struct scanfeed feed = { 0 };
  struct scanchild child = { 0 };

  feed.bytes = bytes;
  feed.count = strlen(bytes);
  child.program = "/bin/sh";
  child.argv = argv;
  child.environment = environment;
  child.input = -1;
  child.feeds[0] = &feed;
  scanchild_run(&child, clock_ms() + 60000, result);
  return result->end == SCANCHILD_EXITED && result->code == 0;
}

TEST(a_child_that_ends_with_the_last_byte_has_had_all_of_it)
{
  struct scanchild_result result;

  CHECK(scanchild_prepare() == 0);
  CHECK(run("0123456789", "exec head -c 10 >/dev/null", &result) && result.fed);
}

TEST(a_child_that_reads_nothing_has_not)
{
  static char much[300000];
  struct scanchild_result result;

  memset(much, 'x', sizeof much - 1);
  CHECK(run(much, "exit 0", &result) && !result.fed);
}

static const struct test tests[] = {
  {"a_child_that_ends_with_the_last_byte_has_had_all_of_it", a_child_that_ends_with_the_last_byte_has_had_all_of_it},
  {"a_child_that_reads_nothing_has_not", a_child_that_reads_nothing_has_not},
};
MAIN(tests)
