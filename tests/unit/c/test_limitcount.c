/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "limitcount.h"

TEST(the_hundredth_refusal_ends_the_session)
{
  struct limitcount c;
  int i;

  memset(&c, 0x55, sizeof c);
  limitcount_begin(&c, 0, 0);
  CHECK(c.refusals == 0 && c.spent == 0);
  for (i = 1; i < 100; ++i)
    CHECK(!limitcount_refused(&c));
  limitcount_message(&c);
  CHECK(limitcount_refused(&c));
}

TEST(the_thousandth_command_without_a_message_ends_the_session)
{
  struct limitcount c;
  int round;
  int i;

  limitcount_begin(&c, 0, 0);
  for (round = 0; round < 3; ++round) {
    for (i = 1; i < 1000; ++i)
      CHECK(!limitcount_command(&c, LIMITCOUNT_COST));
    if (round < 2)
      limitcount_message(&c);
  }
  CHECK(limitcount_command(&c, LIMITCOUNT_COST));
}

TEST(a_message_may_have_thousands_of_recipients)
{
  struct limitcount c;
  int i;

  limitcount_begin(&c, 0, 0);
  CHECK(!limitcount_command(&c, LIMITCOUNT_COST));
  for (i = 0; i < 9989; ++i)
    CHECK(!limitcount_command(&c, LIMITCOUNT_COST_RECIPIENT));
  CHECK(limitcount_command(&c, LIMITCOUNT_COST_RECIPIENT));
}

TEST(settings)
{
  static const struct { const char *text; unsigned long value; } rows[] = {
    { 0, 7 }, { "", 7 }, { "0", 0 }, { "1", 1 }, { "999999999", 999999999 }, { "1000000000", 7 }, { "-1", 7 }, { "1x", 7 }, { " 1", 7 },
    { "007", 7 }, { "+3", 7 },
  };
  struct limitcount c;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i)
    CHECK(limitcount_number(rows[i].text, 7) == rows[i].value);
  limitcount_begin(&c, "0", "0");
  for (i = 0; i < 100000; ++i)
    CHECK(!limitcount_refused(&c) && !limitcount_command(&c, LIMITCOUNT_COST));
  limitcount_begin(&c, "1", "1");
  CHECK(limitcount_refused(&c) && limitcount_command(&c, LIMITCOUNT_COST));
  limitcount_begin(&c, "all", "-5");
  CHECK(c.refusals_max == 100 && c.commands_max == 1000);
}

static const struct test tests[] = {
  { "the_hundredth_refusal_ends_the_session", the_hundredth_refusal_ends_the_session },
  { "the_thousandth_command_without_a_message_ends_the_session", the_thousandth_command_without_a_message_ends_the_session },
  { "a_message_may_have_thousands_of_recipients", a_message_may_have_thousands_of_recipients },
  { "settings", settings },
};
MAIN(tests)
