/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdlib.h>
#include "check.h"
#include "say.h"

static int from;

static void listen_to_log(void)
{
  int ends[2];

  CHECK(pipe(ends) == 0 && dup2(ends[1], 2) == 2);
  from = ends[0];
}

TEST(a_line_is_printable_and_one_write)
{
  char heard[2 * SAY_MAX];
  char long_text[2 * SAY_MAX];
  char expected[100];
  ssize_t n;

  listen_to_log();
  errno = 77;
  say("program", "a\n%s", "b\xff\r");
  CHECK(errno == 77);
  n = read(from, heard, sizeof heard - 1);
  CHECK(n > 0);
  heard[n] = 0;
  sprintf(expected, "program[%ld]: a?b??\n", (long) getpid());
  CHECK(strcmp(heard, expected) == 0);
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = 0;
  say("program", "%s", long_text);
  CHECK(read(from, heard, sizeof heard) <= SAY_MAX);
}

/* Descriptor 2 itself may wait. */
TEST(a_log_that_nobody_reads_holds_nobody_up)
{
  static char block[4096];
  int flags;
  int i;

  listen_to_log();
  flags = fcntl(2, F_GETFL);
  CHECK(fcntl(2, F_SETFL, flags | O_NONBLOCK) == 0);
  while (write(2, block, sizeof block) > 0)
    ;
  CHECK(fcntl(2, F_SETFL, flags) == 0);
  errno = 77;
  for (i = 0; i < 17; ++i)
    say("program", "lost");
  CHECK(errno == 77);
}

static const struct test tests[] = {
  {"a_line_is_printable_and_one_write", a_line_is_printable_and_one_write},
  {"a_log_that_nobody_reads_holds_nobody_up", a_log_that_nobody_reads_holds_nobody_up},
};
MAIN(tests)
