/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <limits.h>
#include "check.h"
#include "number.h"

#define NONE (-1LL)

static long long parsed(const char *text, long long least, long long most)
{
  long long number = NONE;

  CHECK(number_parse(&number, text, least, most) == (number != NONE));
  return number;
}

TEST(digits_alone_are_a_number)
{
  static const struct { const char *text; long long value; } rows[] = {
    { "0", 0 }, { "7", 7 }, { "007", 7 }, { "999", 999 }, { "1000", 1000 }, { "", NONE }, { "-0", NONE }, { "-1", NONE },
    { "+1", NONE }, { " 1", NONE }, { "1 ", NONE }, { "1x", NONE }, { "0x1", NONE }, { "1.0", NONE }, { "1e3", NONE },
    { "1001", NONE }, { "/", NONE }, { ":", NONE }, { "\xb2", NONE }, { "1\n", NONE },
  };
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].text;
    CHECK(parsed(rows[i].text, 0, 1000) == rows[i].value);
  }
}

TEST(the_bounds_belong_to_it)
{
  CHECK(parsed("4", 5, 15) == NONE);
  CHECK(parsed("5", 5, 15) == 5);
  CHECK(parsed("15", 5, 15) == 15);
  CHECK(parsed("16", 5, 15) == NONE);
  CHECK(parsed("20", 5, 15) == NONE);
  CHECK(parsed("0", 0, 0) == 0);
  CHECK(parsed("1", 0, 0) == NONE);
}

TEST(no_number_is_too_long_to_be_refused)
{
  CHECK(parsed("9223372036854775807", 0, LLONG_MAX) == LLONG_MAX);
  CHECK(parsed("9223372036854775808", 0, LLONG_MAX) == NONE);
  CHECK(parsed("18446744073709551617", 0, LLONG_MAX) == NONE);
  CHECK(parsed("99999999999999999999999999999999999999999999999999", 0, 15) == NONE);
  CHECK(parsed("00000000000000000000000000000000000000000000000012", 0, 15) == 12);
}

static const struct test tests[] = {
  { "digits_alone_are_a_number", digits_alone_are_a_number },
  { "the_bounds_belong_to_it", the_bounds_belong_to_it },
  { "no_number_is_too_long_to_be_refused", no_number_is_too_long_to_be_refused },
};
MAIN(tests)
