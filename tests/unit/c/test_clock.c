/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include <time.h>
#include "check.h"

static int played_clock(clockid_t clock, struct timespec *now);

#define clock_gettime played_clock
#include "clock.c"

static struct timespec played;
static int broken;

static int played_clock(clockid_t clock, struct timespec *now)
{
  CHECK(clock == CLOCK_MONOTONIC);
  *now = played;
  return broken ? -1 : 0;
}

TEST(it_counts_milliseconds)
{
  CHECK(clock_ms() == 0);
  played.tv_nsec = 999999;
  CHECK(clock_ms() == 0);
  played.tv_nsec = 999999999;
  CHECK(clock_ms() == 999);
  played.tv_sec = 2147483648LL;   /* more than 32 bits of milliseconds, and of seconds */
  CHECK(clock_ms() == 2147483648999LL);
}

TEST(without_a_clock_time_stands_still)
{
  played.tv_sec = 5;
  broken = 1;
  CHECK(clock_ms() == 0);
}

static const struct test tests[] = {
  { "it_counts_milliseconds", it_counts_milliseconds },
  { "without_a_clock_time_stands_still", without_a_clock_time_stands_still },
};
MAIN(tests)
