/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <time.h>
#include "check.h"
#include "datatime.h"

TEST(a_stalling_client_is_too_slow_after_a_minute)
{
  struct datatime t;

  datatime_begin(&t, 0, 0, 0);
  CHECK(datatime_judge(&t, 59999, 1) == DATATIME_GOOD);
  CHECK(datatime_patience_ms(&t) == 1);
  CHECK(datatime_judge(&t, 1, 0) == DATATIME_TOO_SLOW);
}

TEST(five_hundred_bytes_a_second_are_enough)
{
  struct datatime t;
  int minute;
  int second;

  datatime_begin(&t, 0, 0, 0);
  for (minute = 0; minute < 29; ++minute)
    for (second = 0; second < 60; ++second)
      CHECK(datatime_judge(&t, 1000, 500) == DATATIME_GOOD);
  for (second = 0; second < 59; ++second)
    CHECK(datatime_judge(&t, 1000, 500) == DATATIME_GOOD);
  CHECK(datatime_patience_ms(&t) == 1000);
  CHECK(datatime_judge(&t, 999, 500) == DATATIME_GOOD);
  CHECK(datatime_judge(&t, 1, 1000000) == DATATIME_TOO_LONG);
}

TEST(four_hundred_and_ninety_nine_are_not)
{
  struct datatime t;
  int second;

  datatime_begin(&t, 0, 0, 0);
  for (second = 0; second < 59; ++second)
    CHECK(datatime_judge(&t, 1000, 499) == DATATIME_GOOD);
  CHECK(datatime_judge(&t, 1000, 499) == DATATIME_TOO_SLOW);
}

TEST(a_fast_client_may_pause)
{
  struct datatime t;

  datatime_begin(&t, 0, 0, 0);
  CHECK(datatime_judge(&t, 0, 40000) == DATATIME_GOOD);
  CHECK(datatime_judge(&t, 61000, 0) == DATATIME_GOOD);
  CHECK(datatime_judge(&t, 59000, 1) == DATATIME_GOOD);
  CHECK(datatime_judge(&t, 1000, 1) == DATATIME_TOO_SLOW);
}

TEST(time_without_waiting_does_not_count)
{
  struct datatime t;
  int i;

  datatime_begin(&t, "1", "1000000", "1");
  for (i = 0; i < 100000; ++i)
    CHECK(datatime_judge(&t, 0, 1) == DATATIME_GOOD);
}

TEST(limits_are_read_from_the_environment)
{
  struct datatime t;

  datatime_begin(&t, "7", "20", "3");
  CHECK(t.whole_ms == 7000 && t.window_ms == 3000 && t.window_bytes == 60);
  datatime_begin(&t, "x", "-1", "");
  CHECK(t.whole_ms == 1800000 && t.window_ms == 60000 && t.window_bytes == 30000);
  datatime_begin(&t, "0", "0", "0");
  CHECK(t.whole_ms == 0 && t.window_ms == 60000 && t.window_bytes == 0);
  CHECK(datatime_judge(&t, 100000000, 0) == DATATIME_GOOD);
  datatime_begin(&t, "999999999", "999999999", "999999999");
  CHECK(t.whole_ms == 999999999000u && t.window_bytes == (uint64_t) 999999999 * 999999999);
  CHECK(datatime_patience_ms(&t) == 3600000);
}

TEST(it_waits_no_longer_than_it_may)
{
  struct datatime t;
  int pair[2];

  CHECK(pipe(pair) == 0);
  datatime_begin(&t, "0", "0", "0");
  CHECK(datatime_wait(&t, pair[0], 1) == DATATIME_SILENT);
  datatime_begin(&t, "1", "0", "0");
  CHECK(datatime_wait(&t, pair[0], 100) == DATATIME_TOO_LONG);
  datatime_begin(&t, "0", "5", "1");
  CHECK(datatime_wait(&t, pair[0], 100) == DATATIME_TOO_SLOW);
  datatime_begin(&t, "0", "5", "1");
  CHECK(write(pair[1], "x", 1) == 1);
  CHECK(datatime_wait(&t, pair[0], 100) == DATATIME_GOOD);
  close(pair[1]);
  CHECK(read(pair[0], &pair[1], 1) == 1);
  CHECK(datatime_wait(&t, pair[0], 100) == DATATIME_GOOD);
  close(pair[0]);
  CHECK(datatime_wait(&t, pair[0], 100) == DATATIME_GOOD);
}

TEST(the_time_until_bytes_come_counts)
{
  struct datatime t;
  struct timespec pause = { 0, 300000000 };
  int pair[2];
  pid_t child;

  CHECK(pipe(pair) == 0);
  datatime_begin(&t, 0, 0, 0);
  child = fork();
  CHECK(child != -1);
  if (child == 0) {
    nanosleep(&pause, 0);
    _exit(write(pair[1], "x", 1) != 1);
  }
  CHECK(datatime_wait(&t, pair[0], 100) == DATATIME_GOOD);
  CHECK(t.waited_ms >= 100 && t.in_window_ms == t.waited_ms && t.bytes_in_window == 0);
  CHECK(waitpid(child, 0, 0) == child);
}

TEST(each_verdict_has_its_word)
{
  CHECK(!strcmp(datatime_word(DATATIME_GOOD), "good"));
  CHECK(!strcmp(datatime_word(DATATIME_TOO_SLOW), "too-slow"));
  CHECK(!strcmp(datatime_word(DATATIME_TOO_LONG), "too-long"));
  CHECK(!strcmp(datatime_word(DATATIME_SILENT), "silent"));
}

static const struct test tests[] = {
  { "a_stalling_client_is_too_slow_after_a_minute", a_stalling_client_is_too_slow_after_a_minute },
  { "five_hundred_bytes_a_second_are_enough", five_hundred_bytes_a_second_are_enough },
  { "four_hundred_and_ninety_nine_are_not", four_hundred_and_ninety_nine_are_not },
  { "a_fast_client_may_pause", a_fast_client_may_pause },
  { "time_without_waiting_does_not_count", time_without_waiting_does_not_count },
  { "limits_are_read_from_the_environment", limits_are_read_from_the_environment },
  { "it_waits_no_longer_than_it_may", it_waits_no_longer_than_it_may },
  { "the_time_until_bytes_come_counts", the_time_until_bytes_come_counts },
  { "each_verdict_has_its_word", each_verdict_has_its_word },
};
MAIN(tests)
