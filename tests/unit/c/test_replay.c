/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "handover.h"
#include "replay.h"

static struct limitcount counts;

/* A session in a pipe, whose descriptor HANDOVER names; bytes are cut off its end, or added to it. */
static int begin(const char *said, const char *unanswered, int more)
{
  static char bytes[HANDOVER_MAX + 1];
  struct handover h = {3, 70, 2, said, strlen(said), unanswered, strlen(unanswered), 0};
  char number[16];
  size_t len;
  int ends[2];

  if (!*said)
    h.refusals = h.spent = h.misses = 0;
  len = handover_write(bytes, &h);
  CHECK(len && pipe(ends) == 0);
  len = (size_t) ((long) len + more);
  CHECK(write(ends[1], bytes, len) == (ssize_t) len && close(ends[1]) == 0);
  sprintf(number, "%d", ends[0]);
  CHECK(setenv("HANDOVER", number, 1) == 0 && setenv("RELAYCLIENT", "", 1) == 0);
  limitcount_begin(&counts, 0, 0);
  return replay_begin(&counts);
}

TEST(without_a_session_nothing_changes)
{
  char buf[10];

  CHECK(unsetenv("HANDOVER") == 0 && setenv("RELAYCLIENT", "", 1) == 0);
  CHECK(replay_begin(&counts) && !replay_quiet() && replay_read(buf, 10) == 0 && !replay_left() && getenv("RELAYCLIENT"));
}

TEST(what_was_said_is_quiet_and_the_counts_come_behind_it)
{
  char buf[100];
  int n;

  CHECK(begin("EHLO a\r\nMAIL FROM:<>\r\n", "RCPT TO:<x>\r\nDATA\r\n", 0));
  CHECK(!getenv("HANDOVER") && !getenv("RELAYCLIENT") && replay_quiet());
  CHECK(replay_read(buf, 10) == 10 && memcmp(buf, "EHLO a\r\nMA", 10) == 0 && replay_quiet());
  n = replay_read(buf, 100);
  CHECK(n == 12 && memcmp(buf, "IL FROM:<>\r\n", 12) == 0 && replay_quiet() && counts.refusals == 0);
  n = replay_read(buf, 100);
  CHECK(n == 19 && memcmp(buf, "RCPT TO:<x>\r\nDATA\r\n", 19) == 0 && !replay_quiet());
  CHECK(counts.refusals == 3 && counts.spent == 70 && !replay_left());
  CHECK(replay_read(buf, 100) == 0 && replay_read(buf, 100) == 0);
}

TEST(a_session_that_has_not_begun_is_loud_and_may_relay)
{
  char buf[10];

  CHECK(begin("", "", 0));
  CHECK(!getenv("HANDOVER") && getenv("RELAYCLIENT") && !replay_quiet() && replay_read(buf, 10) == 0);
}

TEST(what_is_left_is_known)
{
  char buf[100];

  CHECK(begin("MAIL FROM:<>\r\n", "RCPT TO:<x>\r\nRSET\r\nSTARTTLS\r\nMAIL", 0) && replay_left());
  CHECK(replay_read(buf, 100) == 14 && replay_left());
  CHECK(replay_read(buf, 30) == 30 && memcmp(buf + 19, "STARTTLS\r\nM", 11) == 0 && replay_left());
  CHECK(replay_read(buf, 100) == 3 && !replay_left());
}

TEST(an_end_before_its_time_is_said)
{
  CHECK(begin("MAIL FROM:<>\r\n", "RCPT TO:<x>\r\n", 0) && replay_quiet() && replay_left());
  replay_speak();
  CHECK(!replay_quiet());
}

TEST(what_is_no_session_is_refused)
{
  CHECK(!begin("MAIL FROM:<>\r\n", "RCPT TO:<x>\r\n", -1));
  CHECK(!begin("MAIL FROM:<>\r\n", "RCPT TO:<x>\r\n", 1));
  CHECK(!begin("MAIL FROM:<>\r\n", "DATA\r\n", 0));
  CHECK(!begin("", "", -1));
  CHECK(setenv("HANDOVER", "999", 1) == 0 && !replay_begin(&counts));   /* closed */
  CHECK(setenv("HANDOVER", "0", 1) == 0 && !replay_begin(&counts));     /* the client itself */
  CHECK(setenv("HANDOVER", "", 1) == 0 && !replay_begin(&counts));
  CHECK(setenv("HANDOVER", "3x", 1) == 0 && !replay_begin(&counts));
}

static const struct test tests[] = {
  {"without_a_session_nothing_changes", without_a_session_nothing_changes},
  {"what_was_said_is_quiet_and_the_counts_come_behind_it", what_was_said_is_quiet_and_the_counts_come_behind_it},
  {"a_session_that_has_not_begun_is_loud_and_may_relay", a_session_that_has_not_begun_is_loud_and_may_relay},
  {"what_is_left_is_known", what_is_left_is_known},
  {"an_end_before_its_time_is_said", an_end_before_its_time_is_said},
  {"what_is_no_session_is_refused", what_is_no_session_is_refused},
};
MAIN(tests)
