/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "replycode.h"

TEST(a_text_gets_its_status_code_once)
{
  static const struct { const char *code, *text, *before; } rows[] = {
    {"553", "go away", "553 5.7.1 "}, {"451", "later", "451 4.7.1 "}, {"554 x", "no", "554 5.7.1 "}, {"421", "", "421 4.7.1 "},
    {"553", "5.7.1 go away", "553 "}, {"553", "5.7.606 go away", "553 "}, {"451", "4.7.1", "451 "},
    {"553", "4.7.1 go away", "553 5.7.1 "}, {"553", "5.7 go away", "553 5.7.1 "}, {"553", "5.7.1000 x", "553 5.7.1 "},
    {"553", "5.7.1x", "553 5.7.1 "}, {"553", "5 7 1", "553 5.7.1 "}, {"553", "5.", "553 5.7.1 "}, {"553", "5.1234.1 x", "553 5.7.1 "},
  };
  char before[REPLYCODE_MAX + 1];
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].text;
    CHECK(strcmp(replycode(before, rows[i].code, rows[i].text), rows[i].before) == 0);
  }
}

static const struct test tests[] = {
  {"a_text_gets_its_status_code_once", a_text_gets_its_status_code_once},
};
MAIN(tests)
