/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "refusal.h"
#include "requiretls.h"
#include "smtpreply.h"

static enum requiretls_answer judge(const char *text, const char *ip, const char *sender, const char *recipient)
{
  struct requiretls r;
  struct address client;
  size_t len = strlen(text);
  enum requiretls_answer answer;

  check_where = text;
  r.state = 1;
  r.len = len;
  r.text = malloc(len ? len : 1);   /* without a NUL behind it: nothing may be read there */
  memcpy(r.text, text, len);
  CHECK(!ip || address_parse(&client, ip));
  answer = requiretls_judge(&r, ip ? &client : 0, sender, recipient);
  free(r.text);
  return answer;
}

TEST(a_domain_of_a_sender)
{
  static const char text[] = "# banks\n\nsender bank.example\r\nsender .below.example";

  CHECK(judge(text, "192.0.2.1", "a@bank.example", "b@our.example") == REQUIRETLS_SENDER);
  CHECK(judge(text, "192.0.2.1", "a@BANK.Example", "b@our.example") == REQUIRETLS_SENDER);
  CHECK(judge(text, "192.0.2.1", "a@bank.example.", "b@our.example") == REQUIRETLS_SENDER);
  CHECK(judge(text, "192.0.2.1", "a@x@bank.example", "b@our.example") == REQUIRETLS_SENDER);
  CHECK(judge(text, "192.0.2.1", "a@x.below.example", "b@our.example") == REQUIRETLS_SENDER);
  CHECK(judge(text, 0, "a@bank.example", "b@our.example") == REQUIRETLS_SENDER);
  CHECK(judge(text, "192.0.2.1", "a@below.example", "b@our.example") == REQUIRETLS_NO);
  CHECK(judge(text, "192.0.2.1", "a@xbelow.example", "b@our.example") == REQUIRETLS_NO);
  CHECK(judge(text, "192.0.2.1", "a@mybank.example", "b@our.example") == REQUIRETLS_NO);
  CHECK(judge(text, "192.0.2.1", "a@bank.example.net", "b@our.example") == REQUIRETLS_NO);
  CHECK(judge(text, "192.0.2.1", "bank.example", "b@our.example") == REQUIRETLS_NO);
  CHECK(judge(text, "192.0.2.1", "", "b@bank.example") == REQUIRETLS_NO);
  CHECK(judge(text, "192.0.2.1", "bank.example@", "b@our.example") == REQUIRETLS_NO);
}

TEST(a_domain_of_a_recipient)
{
  CHECK(judge("recipient our.example\n", "192.0.2.1", "", "b@Our.example") == REQUIRETLS_RECIPIENT);
  CHECK(judge("\trecipient  our.example \n", "192.0.2.1", "a@x.example", "b@our.example") == REQUIRETLS_RECIPIENT);
  CHECK(judge("recipient our.example\n", "192.0.2.1", "a@our.example", "b@x.example") == REQUIRETLS_NO);
  CHECK(judge("recipient our.example\n", "192.0.2.1", "", "postmaster") == REQUIRETLS_NO);
}

TEST(a_network_of_clients)
{
  CHECK(judge("client 198.51.100.0/24", "198.51.100.9", "", "b@our.example") == REQUIRETLS_CLIENT);
  CHECK(judge("client 198.51.100.0/24", "::ffff:198.51.100.9", "", "b@our.example") == REQUIRETLS_CLIENT);
  CHECK(judge("client 2001:db8::/32", "2001:db8:1::9", "", "b@our.example") == REQUIRETLS_CLIENT);
  CHECK(judge("client 198.51.100.9", "198.51.100.8", "", "b@our.example") == REQUIRETLS_NO);
  CHECK(judge("client 198.51.100.9", 0, "", "b@our.example") == REQUIRETLS_NO);
}

TEST(this_host_is_never_asked)
{
  static const char text[] = "client 0.0.0.0/0\nclient ::/0\nrecipient our.example\n";

  CHECK(judge(text, "127.0.0.1", "", "b@our.example") == REQUIRETLS_NO);
  CHECK(judge(text, "127.0.0.2", "", "b@our.example") == REQUIRETLS_CLIENT);
  CHECK(judge(text, "::1", "", "b@our.example") == REQUIRETLS_NO);
  CHECK(judge(text, "::2", "", "b@our.example") == REQUIRETLS_CLIENT);
  CHECK(judge(text, "10.0.0.1", "", "b@our.example") == REQUIRETLS_CLIENT);
}

TEST(a_line_that_is_wrong_leaves_every_question_open)
{
  static const char *const bad[] = {
    "sender", "sender ", "sender bank.example x", "sendr bank.example", "Sender bank.example", "sender bank.example.",
    "sender *.bank.example", "sender bank_example\001", "sender .", "client", "client bank.example", "client 1.2.3.4/24",
    "client 1.2.3.4/33", "recipient b@our.example", "sender b\xc3\xa4nk.example", "x", "sender bank.example #x",
  };
  char text[1000];
  size_t i;

  for (i = 0; i < sizeof bad / sizeof *bad; ++i) {
    CHECK(judge(bad[i], "192.0.2.1", "a@x.example", "b@y.example") == REQUIRETLS_UNSURE);
    snprintf(text, sizeof text, "sender x.example\n%s\n", bad[i]);
    CHECK(judge(text, "192.0.2.1", "a@x.example", "b@y.example") == REQUIRETLS_UNSURE);
    CHECK(judge(text, "127.0.0.1", "a@x.example", "b@y.example") == REQUIRETLS_NO);
  }
  memset(text, 'a', sizeof text - 1);
  text[sizeof text - 1] = 0;
  memcpy(text, "sender ", 7);
  CHECK(judge(text, "192.0.2.1", "a@x.example", "b@y.example") == REQUIRETLS_UNSURE);
  memset(text, ' ', 400);
  CHECK(judge(text, "192.0.2.1", "a@x.example", "b@y.example") == REQUIRETLS_UNSURE);
}

TEST(a_nul_does_not_hide_a_line)
{
  static const char text[] = "sender a.example\0\nsender bank.example\n";
  struct requiretls r = {1, (char *) text, sizeof text - 1};

  CHECK(requiretls_judge(&r, 0, "a@bank.example", "b@y.example") == REQUIRETLS_UNSURE);
}

static void write_file(const char *name, const char *text, size_t len)
{
  FILE *file = fopen(name, "w");

  CHECK(file && fwrite(text, 1, len, file) == len && fclose(file) == 0);
}

TEST(the_file)
{
  static char large[REQUIRETLS_FILE_MAX + 1];
  struct requiretls r;

  memset(&r, 0, sizeof r);
  requiretls_read(&r, "requiretls");
  CHECK(r.state == 0 && requiretls_judge(&r, 0, "a@bank.example", "b@y.example") == REQUIRETLS_NO);
  write_file("requiretls", "sender bank.example\n", 20);
  requiretls_read(&r, "requiretls");
  CHECK(r.state == 1 && requiretls_judge(&r, 0, "a@bank.example", "b@y.example") == REQUIRETLS_SENDER);
  write_file("requiretls", "", 0);
  requiretls_read(&r, "requiretls");
  CHECK(r.state == 1 && requiretls_judge(&r, 0, "a@bank.example", "b@y.example") == REQUIRETLS_NO);
  memset(large, '\n', sizeof large);
  write_file("requiretls", large, sizeof large - 1);
  requiretls_read(&r, "requiretls");
  CHECK(r.state == 1 && r.len == sizeof large - 1);
  write_file("requiretls", large, sizeof large);
  requiretls_read(&r, "requiretls");
  CHECK(r.state == -1 && requiretls_judge(&r, 0, "a@x.example", "b@y.example") == REQUIRETLS_UNSURE);
  CHECK(unlink("requiretls") == 0 && mkdir("requiretls", 0700) == 0);
  requiretls_read(&r, "requiretls");
  CHECK(r.state == -1 && requiretls_judge(&r, 0, "a@x.example", "b@y.example") == REQUIRETLS_UNSURE);
  CHECK(rmdir("requiretls") == 0 && symlink("requiretls", "requiretls") == 0);
  requiretls_read(&r, "requiretls");
  CHECK(r.state == -1);
  requiretls_free(&r);
  CHECK(r.state == 0 && !r.text);
}

static char logged[1000];

static void keep(const char *line, size_t len)
{
  strncat(logged, line, len);
}

static const char *refuse(enum requiretls_answer answer)
{
  logged[0] = 0;
  refusal_write = keep;
  return requiretls_refuse(answer, "b@our.example", "a@bank.example", "192.0.2.1");
}

TEST(replies_and_lines_of_the_log)
{
  CHECK(!refuse(REQUIRETLS_NO) && !*logged);
  CHECK(strcmp(refuse(REQUIRETLS_SENDER), SMTPREPLY_TLS_FOR_SENDER) == 0);
  CHECK(strcmp(logged, "qmail-smtpd: rcpt refused: no-tls-of-sender for b@our.example from a@bank.example at 192.0.2.1\n") == 0);
  CHECK(strcmp(refuse(REQUIRETLS_RECIPIENT), SMTPREPLY_TLS_FOR_RECIPIENT) == 0 && strstr(logged, "no-tls-for-recipient for "));
  CHECK(strcmp(refuse(REQUIRETLS_CLIENT), SMTPREPLY_TLS_FOR_CLIENT) == 0 && strstr(logged, "no-tls-of-client for "));
  CHECK(strcmp(refuse(REQUIRETLS_UNSURE), SMTPREPLY_UNCERTAIN) == 0);
  CHECK(strcmp(logged, "qmail-smtpd: requiretls trouble: unreadable, or with a line that is wrong\n") == 0);
}

static const struct test tests[] = {
  {"a_domain_of_a_sender", a_domain_of_a_sender},
  {"a_domain_of_a_recipient", a_domain_of_a_recipient},
  {"a_network_of_clients", a_network_of_clients},
  {"this_host_is_never_asked", this_host_is_never_asked},
  {"a_line_that_is_wrong_leaves_every_question_open", a_line_that_is_wrong_leaves_every_question_open},
  {"a_nul_does_not_hide_a_line", a_nul_does_not_hide_a_line},
  {"the_file", the_file},
  {"replies_and_lines_of_the_log", replies_and_lines_of_the_log},
};

MAIN(tests)
