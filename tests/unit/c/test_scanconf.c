/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "scanconf.h"

#define REST                                                                                           \
  "spam_failure refuse\nspam_limit_bytes 2097152\nreject_score 10\nspamd_socket /run/spamd.sock\n"
#define WHOLE "deadline_seconds 120\n" REST

static struct scanconf conf;
static char why[200];

static int settings(const char *text)
{
  check_where = text;
  memset(&conf, 0, sizeof conf);
  strcpy(why, "");
  return scanconf_settings(&conf, text, strlen(text), why, sizeof why);
}

TEST(settings_are_read)
{
  CHECK(settings(WHOLE) == 0);
  CHECK(conf.deadline_seconds == 120 && conf.deliver_unchecked == 0 && conf.spam_limit_bytes == 2097152);
  CHECK(conf.reject_score == 10 && !strcmp(conf.clamd_socket, "/run/clamav/clamd.ctl"));
  CHECK(!strcmp(conf.spamd_socket, "/run/spamd.sock"));
  CHECK(settings("# a comment\n\n  \ndeadline_seconds 1\t\r\n" REST) == 0 && conf.deadline_seconds == 1);
  CHECK(settings("deadline_seconds 300\nspam_failure deliver\nspam_limit_bytes 1\nreject_score 7.5\n"
                 "spamd_socket /b\nclamd_socket /a") == 0);
  CHECK(conf.deadline_seconds == 300 && conf.deliver_unchecked == 1 && conf.reject_score == 7.5);
  CHECK(!strcmp(conf.clamd_socket, "/a"));
}

TEST(the_settings_of_the_version_before_are_enough)
{
  CHECK(settings(WHOLE "clamd_config /etc/clamav/clamd.conf\nstate_directory /s\n") == 0);
  CHECK(!strcmp(conf.clamd_socket, SCANCONF_CLAMD));
}

TEST(the_share_is_a_percentage)
{
  CHECK(settings(WHOLE) == 0 && conf.work_share_percent == SCANCONF_SHARE);
  CHECK(settings(WHOLE "work_share_percent 1\n") == 0 && conf.work_share_percent == 1);
  CHECK(settings(WHOLE "work_share_percent 100\n") == 0 && conf.work_share_percent == 100);
  CHECK(settings(WHOLE "work_share_percent 0\n") == -1 && settings(WHOLE "work_share_percent 101\n") == -1);
}

TEST(what_clamd_needs_is_bounded)
{
  CHECK(settings(WHOLE) == 0 && !strcmp(conf.clamd_temporary_directory, "") && !strcmp(conf.state_directory, ""));
  CHECK(conf.clamd_reserve_bytes == SCANCONF_RESERVE_BYTES && conf.clamd_reserve_files == SCANCONF_RESERVE_FILES);
  CHECK(settings(WHOLE "clamd_temporary_directory /tmp\nclamd_reserve_bytes 0\nclamd_reserve_files 9\nstate_directory /s\n") == 0);
  CHECK(!strcmp(conf.clamd_temporary_directory, "/tmp") && conf.clamd_reserve_bytes == 0 && conf.clamd_reserve_files == 9);
  CHECK(!strcmp(conf.state_directory, "/s"));
  CHECK(settings(WHOLE "clamd_reserve_bytes -1\n") == -1 && settings(WHOLE "clamd_reserve_files many\n") == -1);
  CHECK(settings(WHOLE "clamd_temporary_directory tmp\n") == -1 && settings(WHOLE "state_directory x\n") == -1);
}

TEST(copies_of_spam_are_kept_where_the_settings_say_so)
{
  CHECK(settings(WHOLE) == 0 && !strcmp(conf.keep_directory, "") && conf.keep_viruses == 0);
  CHECK(conf.keep_bytes == SCANCONF_KEEP_BYTES && conf.keep_files == SCANCONF_KEEP_FILES);
  CHECK(settings(WHOLE "keep_directory /k\nkeep_bytes 5\nkeep_files 7\nkeep_viruses yes\n") == 0);
  CHECK(!strcmp(conf.keep_directory, "/k") && conf.keep_bytes == 5 && conf.keep_files == 7 && conf.keep_viruses == 1);
  CHECK(settings(WHOLE "keep_viruses no\n") == 0 && conf.keep_viruses == 0);
  CHECK(settings(WHOLE "keep_directory k\n") == -1 && settings(WHOLE "keep_bytes 0\n") == -1);
  CHECK(settings(WHOLE "keep_files 0\n") == -1 && settings(WHOLE "keep_viruses maybe\n") == -1);
}

TEST(the_deadline_is_bounded)
{
  CHECK(settings("deadline_seconds 0\n" REST) == -1 && !strcmp(why, "control/simscan line 1 cannot be understood"));
  CHECK(settings("deadline_seconds 301\n" REST) == -1 && settings("deadline_seconds 600\n" REST) == -1);
  CHECK(settings("deadline_seconds -1\n" REST) == -1);
  CHECK(settings("deadline_seconds 99999999999999999999\n" REST) == -1);
  CHECK(settings("deadline_seconds 5s\n" REST) == -1);
  CHECK(settings("deadline_seconds\n" REST) == -1);
  CHECK(settings("deadline_seconds  5\n" REST) == -1);
  CHECK(settings("deadline_seconds \n" REST) == -1);
}

TEST(nothing_is_left_unsaid_or_said_twice)
{
  CHECK(settings("") == -1 && !strcmp(why, "control/simscan does not say deadline_seconds"));
  CHECK(settings(REST) == -1);
  CHECK(settings("deadline_seconds 5\n") == -1 && !strcmp(why, "control/simscan does not say spam_failure"));
  CHECK(settings(WHOLE "deadline_seconds 5\n") == -1 && !strcmp(why, "control/simscan line 6 cannot be understood"));
  CHECK(settings(WHOLE "colour blue\n") == -1);
}

TEST(what_cannot_be_meant_is_refused)
{
  CHECK(settings("deadline_seconds 5\nspam_failure Deliver\n" REST) == -1);
  CHECK(settings("spam_failure pass\n") == -1);
  CHECK(settings("spam_limit_bytes 0\n") == -1);
  CHECK(settings("spam_limit_bytes 99999999999\n") == -1);
  CHECK(settings("reject_score 0\n") == -1);
  CHECK(settings("reject_score nan\n") == -1);
  CHECK(settings("reject_score inf\n") == -1);
  CHECK(settings("reject_score 10x\n") == -1);
  CHECK(settings("clamd_socket etc\n") == -1 && settings(WHOLE "clamd_socket run\n") == -1);
  CHECK(settings("spamd_socket /0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
                 "2345678901234567890123456789\n") == -1);
  CHECK(strstr(why, "line 1 cannot be understood"));
}

TEST(a_nul_and_a_long_line_are_refused)
{
  static char text[1000];

  memset(text, '#', sizeof text);
  CHECK(scanconf_settings(&conf, text, sizeof text, why, sizeof why) == -1);
  CHECK(scanconf_settings(&conf, "deadline_seconds 5\0\n", 20, why, sizeof why) == -1);
}

static int suffixes(const char *text)
{
  check_where = text;
  memset(&conf, 0, sizeof conf);
  return scanconf_suffixes(&conf, text, strlen(text), why, sizeof why);
}

TEST(suffixes_are_read)
{
  char many[SCANCONF_SUFFIXES * 3 + 4];
  int i;

  CHECK(suffixes("") == 0 && conf.suffix_count == 0);
  CHECK(suffixes("# none\n\n") == 0 && conf.suffix_count == 0);
  CHECK(suffixes(".exe\n.tar.gz\r\n.bat") == 0 && conf.suffix_count == 3);
  CHECK(!strcmp(conf.suffixes[0], ".exe") && !strcmp(conf.suffixes[1], ".tar.gz") && !strcmp(conf.suffixes[2], ".bat"));
  for (i = 0; i <= SCANCONF_SUFFIXES; ++i) memcpy(many + 3 * i, ".a\n", 3);
  many[3 * SCANCONF_SUFFIXES] = 0;
  CHECK(suffixes(many) == 0 && conf.suffix_count == SCANCONF_SUFFIXES);
  memcpy(many + 3 * SCANCONF_SUFFIXES, ".a\n", 4);
  CHECK(suffixes(many) == -1);
  CHECK(suffixes(".exe .bat\n") == -1 && !strcmp(why, "control/ssattach line 1 cannot be understood"));
  CHECK(suffixes(".exe:.bat\n") == -1);
  CHECK(suffixes("\n0123456789012345678901234567890123456789012345678901234567890123\n") == -1);
  CHECK(strstr(why, "line 2"));
}

TEST(a_domains_rule_stands_in_the_place_of_the_sites)
{
  static struct domainrule rule;

  CHECK(settings(WHOLE) == 0 && scanconf_suffixes(&conf, ".exe\n.bat\n", 10, why, sizeof why) == 0);
  scanconf_rule(&conf, &rule);
  CHECK(conf.reject_score == 10 && conf.mark_score == 0 && !conf.tags && conf.suffix_count == 2);
  rule.reject = 4.5;
  rule.mark = 2;
  rule.tags = 1;
  strcpy(rule.tag, "[S]");
  scanconf_rule(&conf, &rule);
  CHECK(conf.reject_score == 4.5 && conf.mark_score == 2 && conf.tags && !strcmp(conf.tag, "[S]") && conf.suffix_count == 2);
  rule.suffixes = rule.suffix_count = 1;
  strcpy(rule.suffix[0], ".iso");
  scanconf_rule(&conf, &rule);
  CHECK(conf.suffix_count == 1 && !strcmp(conf.suffixes[0], ".iso"));
  rule.suffix_count = 0;
  scanconf_rule(&conf, &rule);
  CHECK(conf.suffix_count == 0);
}

static void file(const char *path, const char *text)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

  CHECK(fd != -1 && write(fd, text, strlen(text)) == (ssize_t) strlen(text) && close(fd) == 0);
}

TEST(both_files_must_be_there)
{
  CHECK(mkdir("c", 0700) == 0);
  CHECK(scanconf_read(&conf, "c", why, sizeof why) == -1 && strstr(why, "c/simscan cannot be read: No such file"));
  file("c/simscan", WHOLE);
  CHECK(scanconf_read(&conf, "c", why, sizeof why) == -1 && strstr(why, "c/ssattach cannot be read: No such file"));
  file("c/ssattach", ".exe\n");
  CHECK(scanconf_read(&conf, "c", why, sizeof why) == 0 && conf.suffix_count == 1 && conf.deadline_seconds == 120);
  CHECK(unlink("c/ssattach") == 0 && mkdir("c/ssattach", 0700) == 0);
  CHECK(scanconf_read(&conf, "c", why, sizeof why) == -1 && strstr(why, "c/ssattach cannot be read: Is a directory"));
}

TEST(a_file_too_large_is_refused)
{
  static char text[70000];

  CHECK(mkdir("c", 0700) == 0);
  memset(text, '\n', sizeof text - 1);
  file("c/simscan", text);
  CHECK(scanconf_read(&conf, "c", why, sizeof why) == -1 && strstr(why, "File too large"));
}

static const struct test tests[] = {
  {"settings_are_read", settings_are_read},
  {"the_settings_of_the_version_before_are_enough", the_settings_of_the_version_before_are_enough},
  {"the_share_is_a_percentage", the_share_is_a_percentage}, {"what_clamd_needs_is_bounded", what_clamd_needs_is_bounded},
  {"copies_of_spam_are_kept_where_the_settings_say_so", copies_of_spam_are_kept_where_the_settings_say_so},
  {"the_deadline_is_bounded", the_deadline_is_bounded},
  {"nothing_is_left_unsaid_or_said_twice", nothing_is_left_unsaid_or_said_twice},
  {"what_cannot_be_meant_is_refused", what_cannot_be_meant_is_refused},
  {"a_nul_and_a_long_line_are_refused", a_nul_and_a_long_line_are_refused},
  {"suffixes_are_read", suffixes_are_read},
  {"a_domains_rule_stands_in_the_place_of_the_sites", a_domains_rule_stands_in_the_place_of_the_sites},
  {"both_files_must_be_there", both_files_must_be_there},
  {"a_file_too_large_is_refused", a_file_too_large_is_refused},
};
MAIN(tests)
