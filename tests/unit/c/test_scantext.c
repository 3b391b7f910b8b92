/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "scantext.h"

TEST(a_field_is_one_field)
{
  char field[8];

  CHECK(scantext_field("a:b,c", 5, 0, field, sizeof field) == 5 && !strcmp(field, "a_b,c"));
  CHECK(scantext_field("a:b,c", 5, 1, field, sizeof field) == 5 && !strcmp(field, "a_b_c"));
  CHECK(scantext_field("\033\0\n\r\t\177\200", 7, 0, field, sizeof field) == 7 && !strcmp(field, "_______"));
  CHECK(scantext_field("0123456789", 10, 0, field, sizeof field) == 7 && !strcmp(field, "0123456"));
  CHECK(scantext_field("", 0, 0, field, sizeof field) == 0 && field[0] == 0);
}

TEST(lower_case_is_ascii)
{
  char s[] = "ABZ@[az\304";

  scantext_lower(s, strlen(s));
  CHECK(!strcmp(s, "abz@[az\304"));
}

static struct scantext_score score;

static int status(const char *header)
{
  check_where = header;
  score.spam = -1;
  score.score = score.required = -1000;
  return scantext_status(header, strlen(header), &score);
}

TEST(a_score_is_read)
{
  CHECK(status("X-Spam-Status: Yes, score=12.3 required=5.0 tests=A,B\n\n") == 0);
  CHECK(score.spam == 1 && score.score > 12.29 && score.score < 12.31 && score.required > 4.9 && score.required < 5.1);
  CHECK(status("A: b\nX-Spam-Status: No, score=-1.5 required=5.0\n\n") == 0 && score.spam == 0 && score.score == -1.5);
  CHECK(status("x-spam-status: NO, score=0 required=5\n") == 0 && score.score == 0);
  CHECK(status("X-Spam-Status: Yes, score=12.3\n\trequired=5.0\n\n") == 0 && score.required == 5);
  CHECK(status("X-Spam-Status: Yes, hits=7 required=5.0\n\n") == 0 && score.score == 7);
  CHECK(status("X-Spam-Status: Yes,\n score=.5\n required=5.0\n\n") == 0 && score.score == 0.5);
  CHECK(status("X-Spam-Status: No, score=1 required=5\nX-Spam-Status: Yes, score=99 required=5\n\n") == 0);
  CHECK(score.score == 1);
}

TEST(what_is_no_score_is_none)
{
  CHECK(status("") == -1);
  CHECK(status("\n\n") == -1);
  CHECK(status("A: b\n\nX-Spam-Status: No, score=1 required=5\n") == -1);
  CHECK(status("X-Spam-Status: No\n\n") == -1);
  CHECK(status("X-Spam-Status: No, score=1\n\n") == -1);
  CHECK(status("X-Spam-Status: No, required=5\n\n") == -1);
  CHECK(status("X-Spam-Status: Maybe, score=1 required=5\n\n") == -1);
  CHECK(status("X-Spam-Status: No, score=nan required=5\n\n") == -1);
  CHECK(status("X-Spam-Status: No, score=inf required=5\n\n") == -1);
  CHECK(status("X-Spam-Status: No, score=-inf required=5\n\n") == -1);
  CHECK(status("X-Spam-Status: No, score=-nan required=5\n\n") == -1);
  CHECK(status("X-Spam-Status: No, score=1e999 required=5\n\n") == -1);
  CHECK(status("X-Spam-Status: No, score= required=5\n\n") == -1);
  CHECK(status("X-Spam-Status: No, score=1x required=5\n\n") == -1);
  CHECK(status("X-Spam-Status: No, score=1\nrequired=5\n\n") == -1);
  CHECK(status("X-Spam-Status: No, underscore=1 required=5\n\n") == -1);
  CHECK(status("X-Spam-Statusx: No, score=1 required=5\n\n") == -1);
  CHECK(status(" X-Spam-Status: No, score=1 required=5\n\n") == -1);
}

TEST(a_suffix_is_what_windows_takes_for_one)
{
  CHECK(scantext_suffix("evil.exe", ".exe"));
  CHECK(scantext_suffix("EVIL.EXE", ".exe"));
  CHECK(scantext_suffix("evil.exe.", ".exe"));
  CHECK(scantext_suffix("evil.exe . .", ".exe"));
  CHECK(scantext_suffix("evil.exe", ".EXE"));
  CHECK(scantext_suffix(".exe", ".exe"));
  CHECK(!scantext_suffix("exe", ".exe"));
  CHECK(!scantext_suffix("evil.exe.txt", ".exe"));
  CHECK(!scantext_suffix("evilexe", ".exe"));
  CHECK(!scantext_suffix("e", ".exe"));
  CHECK(!scantext_suffix("", ".exe"));
  CHECK(!scantext_suffix("evil.exe", ""));
}

static const struct test tests[] = {
  {"a_field_is_one_field", a_field_is_one_field},
  {"lower_case_is_ascii", lower_case_is_ascii},
  {"a_score_is_read", a_score_is_read},
  {"what_is_no_score_is_none", what_is_no_score_is_none},
  {"a_suffix_is_what_windows_takes_for_one", a_suffix_is_what_windows_takes_for_one},
};
MAIN(tests)
