/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "scantext.h"

static char name[40];

static enum scantext_virus said(const char *text, int status)
{
  check_where = text;
  return scantext_clamdscan(text, strlen(text), status, name, sizeof name);
}

TEST(clean_takes_the_word_and_the_status)
{
  CHECK(said("/work/1.2.3/message: OK\n", 0) == SCANTEXT_CLEAN);
  CHECK(said("/work/1.2.3/message: OK", 0) == SCANTEXT_CLEAN);
  CHECK(said("/work/1.2.3/message: OK\n", 1) == SCANTEXT_UNCLEAR);
  CHECK(said("/work/1.2.3/message: OK\n", 2) == SCANTEXT_UNCLEAR);
  CHECK(said("/work/1.2.3/message: OK\n", 127) == SCANTEXT_UNCLEAR);
  CHECK(said("", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("\n\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("/work/1.2.3/message: Excluded\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("/work/1.2.3/message: Empty file\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("/work/1.2.3/message: NOT OK\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("OK\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("a: OK\nb: OK\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("a: OK\nb: lstat() failed: No such file. ERROR\n", 0) == SCANTEXT_UNCLEAR);
}

TEST(a_virus_takes_the_word_and_the_status)
{
  CHECK(said("/work/1.2.3/message: Eicar-Test FOUND\n", 1) == SCANTEXT_VIRUS && !strcmp(name, "Eicar-Test"));
  CHECK(said("a: b: Eicar-Test FOUND\n", 1) == SCANTEXT_VIRUS && !strcmp(name, "Eicar-Test"));
  CHECK(said("a: Eicar-Test FOUND\na: Other FOUND\n", 1) == SCANTEXT_VIRUS && !strcmp(name, "Eicar-Test"));
  CHECK(said("a:  FOUND\n", 1) == SCANTEXT_VIRUS && !strcmp(name, "unknown"));
  CHECK(said("a: x:y\033 z FOUND\n", 1) == SCANTEXT_VIRUS && !strcmp(name, "x_y_ z"));
  CHECK(said("a: Eicar-Test FOUND\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("a: Eicar-Test FOUND\n", 2) == SCANTEXT_UNCLEAR);
  CHECK(said("a: Eicar-Test FOUND\na: OK\n", 1) == SCANTEXT_UNCLEAR);
  CHECK(said("", 1) == SCANTEXT_UNCLEAR);
  CHECK(said("FOUND\n", 1) == SCANTEXT_UNCLEAR);
  CHECK(said("a: FOUNDATION\n", 1) == SCANTEXT_UNCLEAR);
}

TEST(a_warning_is_no_verdict)
{
  CHECK(said("WARNING: one thing\na: OK\n", 0) == SCANTEXT_CLEAN);
  CHECK(said("a: OK\nLibClamAV Warning: another: OK\n", 0) == SCANTEXT_CLEAN);
  CHECK(said("WARNING: one thing\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("WARNING: one thing: OK\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("WARNING: a: Eicar FOUND\na: OK\n", 0) == SCANTEXT_CLEAN);
  CHECK(said("WARNING: one thing\na: Eicar FOUND\n", 1) == SCANTEXT_VIRUS && !strcmp(name, "Eicar"));
  CHECK(said("WARN: one thing\na: OK\n", 0) == SCANTEXT_UNCLEAR);
}

static int error(const char *text)
{
  check_where = text;
  return scantext_error(text, strlen(text));
}

TEST(an_error_is_more_than_a_warning)
{
  CHECK(!error("") && !error("WARNING: Ignoring deprecated option X at /etc/clamav/clamd.conf:25\n"));
  CHECK(!error("LibClamAV Warning: ****\n") && !error("clamdscan: ERROR of no sort\n"));
  CHECK(error("ERROR: Communication error\n") && error("WARNING: x\nERROR: y") && error("LibClamAV Error: x\n"));
}

TEST(what_is_no_virus_has_its_own_verdict)
{
  CHECK(said("a: Heuristics.Limits.Exceeded.MaxFiles FOUND\n", 1) == SCANTEXT_LIMIT);
  CHECK(!strcmp(name, "Heuristics.Limits.Exceeded.MaxFiles"));
  CHECK(said("a: Heuristics.Limits.Exceeded FOUND\n", 1) == SCANTEXT_LIMIT);
  CHECK(said("a: Heuristics.Limits.Exceeded.EmailLineFoldcnt FOUND\n", 1) == SCANTEXT_LIMIT);
  CHECK(said("a: Heuristics.Limits.Exceeded.MaxScanTime FOUND\n", 1) == SCANTEXT_LATE);
  CHECK(said("a: Heuristics.Phishing.Email.SpoofedDomain FOUND\n", 1) == SCANTEXT_HEURISTIC);
  CHECK(said("a: Heuristics.Phishing.Email.SSL-Spoof FOUND\n", 1) == SCANTEXT_HEURISTIC);
  CHECK(said("a: Heuristics.Encrypted.Zip FOUND\n", 1) == SCANTEXT_HEURISTIC);
  CHECK(said("a: Heuristics.OLE2.ContainsMacros.VBA FOUND\n", 1) == SCANTEXT_HEURISTIC);
  CHECK(said("a: Heuristics.Limits.Exceeded.MaxFiles FOUND\n", 0) == SCANTEXT_UNCLEAR);
  CHECK(said("a: Heuristics.W32.Parite.B FOUND\n", 1) == SCANTEXT_VIRUS);
  CHECK(said("a: Heuristics.Exploit.CVE_2006_0001 FOUND\n", 1) == SCANTEXT_VIRUS);
  CHECK(said("a: Win.Heuristics.Phishing.x FOUND\n", 1) == SCANTEXT_VIRUS);
  CHECK(said("a: heuristics.phishing.x FOUND\n", 1) == SCANTEXT_VIRUS);
  CHECK(said("a: Heuristics.Limits.Exceeded.MaxFiles FOUND\na: Eicar FOUND\n", 1) == SCANTEXT_VIRUS && !strcmp(name, "Eicar"));
  CHECK(said("a: Eicar FOUND\na: Heuristics.Limits.Exceeded.MaxFiles FOUND\n", 1) == SCANTEXT_VIRUS && !strcmp(name, "Eicar"));
}

TEST(a_long_name_is_cut)
{
  CHECK(said("a: 0123456789012345678901234567890123456789 FOUND\n", 1) == SCANTEXT_VIRUS);
  CHECK(strlen(name) == sizeof name - 1);
}

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

TEST(a_header_ends_at_the_first_empty_line)
{
  CHECK(scantext_header_length("A: b\n\nc\n\n", 9) == 6);
  CHECK(scantext_header_length("\nc\n\n", 4) == 1);
  CHECK(scantext_header_length("A: b\n", 5) == 5);
  CHECK(scantext_header_length("A: b\n\r\nc\n\n", 10) == 10);
  CHECK(scantext_header_length("A\0\n\nb", 5) == 4);
  CHECK(scantext_header_length("", 0) == 0);
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
  {"clean_takes_the_word_and_the_status", clean_takes_the_word_and_the_status},
  {"a_virus_takes_the_word_and_the_status", a_virus_takes_the_word_and_the_status},
  {"a_warning_is_no_verdict", a_warning_is_no_verdict},
  {"an_error_is_more_than_a_warning", an_error_is_more_than_a_warning},
  {"what_is_no_virus_has_its_own_verdict", what_is_no_virus_has_its_own_verdict},
  {"a_long_name_is_cut", a_long_name_is_cut},
  {"a_field_is_one_field", a_field_is_one_field},
  {"lower_case_is_ascii", lower_case_is_ascii},
  {"a_score_is_read", a_score_is_read},
  {"what_is_no_score_is_none", what_is_no_score_is_none},
  {"a_header_ends_at_the_first_empty_line", a_header_ends_at_the_first_empty_line},
  {"a_suffix_is_what_windows_takes_for_one", a_suffix_is_what_windows_takes_for_one},
};
MAIN(tests)
