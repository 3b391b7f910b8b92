/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "handover.h"
#include "recipientrule.h"
#include "refusal.h"
#include "replay.h"

#define ONE "rule\nreject 4\ndomain one.example\n"
#define TWO "rule\nreject 20\nsuffix .exe\ndomain two.example\ndomain zwei.example\n"

static char logged[2000];
static char list[2000];
static size_t length;

static void keep(const char *line, size_t len)
{
  strncat(logged, line, len);
}

static void write_rules(const char *text)
{
  FILE *file;

  mkdir("control", 0700);
  file = fopen("control/domainrules", "w");
  CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void begin(void)
{
  refusal_write = keep;
  logged[0] = 0;
  length = 0;
}

/* As qmail-smtpd does: what goes together is a recipient from then on. */
static enum recipientrule_answer rcpt(const char *recipient, int relay)
{
  enum recipientrule_answer answer = recipientrule(list, length, recipient, relay, "ann@sender.example", "192.0.2.1");

  check_where = recipient;
  if (answer == RECIPIENTRULE_TOGETHER)
    length += (size_t) sprintf(list + length, "T%s", recipient) + 1;
  return answer;
}

TEST(recipients_of_one_rule_go_together)
{
  write_rules(ONE TWO "end\n");
  begin();
  CHECK(rcpt("a@two.example", 0) == RECIPIENTRULE_TOGETHER && rcpt("b@two.example", 0) == RECIPIENTRULE_TOGETHER);
  CHECK(rcpt("b@ZWEI.example", 0) == RECIPIENTRULE_TOGETHER && !*logged);
  begin();
  CHECK(rcpt("a@site.example", 0) == RECIPIENTRULE_TOGETHER && rcpt("b@other.example", 0) == RECIPIENTRULE_TOGETHER);
  CHECK(rcpt("postmaster", 0) == RECIPIENTRULE_TOGETHER && rcpt("a@[192.0.2.1]", 0) == RECIPIENTRULE_TOGETHER && !*logged);
}

TEST(those_of_other_rules_come_by_themselves)
{
  static const char line[] =
    "qmail-smtpd: rcpt refused: other-rule for b@two.example from ann@sender.example at 192.0.2.1\n";

  write_rules(ONE TWO "end\n");
  begin();
  CHECK(rcpt("a@one.example", 0) == RECIPIENTRULE_TOGETHER && rcpt("b@two.example", 0) == RECIPIENTRULE_OTHER);
  CHECK(rcpt("b@site.example", 0) == RECIPIENTRULE_OTHER && rcpt("c@one.example", 0) == RECIPIENTRULE_TOGETHER);
  CHECK(strcmp(logged, line) == 0);   /* once a message */
  begin();
  CHECK(rcpt("b@two.example", 0) == RECIPIENTRULE_TOGETHER && rcpt("a@one.example", 0) == RECIPIENTRULE_OTHER && *logged);
  begin();
  CHECK(rcpt("b@site.example", 0) == RECIPIENTRULE_TOGETHER && rcpt("a@one.example", 0) == RECIPIENTRULE_OTHER && *logged);
}

TEST(relay_clients_are_parted_by_attachments_alone)
{
  write_rules(ONE TWO "end\n");
  begin();
  CHECK(rcpt("a@one.example", 1) == RECIPIENTRULE_TOGETHER && rcpt("b@elsewhere.example", 1) == RECIPIENTRULE_TOGETHER);
  CHECK(rcpt("b@two.example", 1) == RECIPIENTRULE_OTHER);
}

TEST(without_a_file_there_is_one_rule)
{
  begin();
  CHECK(rcpt("a@one.example", 0) == RECIPIENTRULE_TOGETHER && rcpt("b@two.example", 0) == RECIPIENTRULE_TOGETHER && !*logged);
}

TEST(a_file_that_cannot_be_used_puts_off_everybody)
{
  static const char line[] = "qmail-smtpd: domainrules trouble: unreadable, or with a line that is wrong\n";

  write_rules(ONE TWO);
  begin();
  CHECK(rcpt("a@one.example", 0) == RECIPIENTRULE_UNSURE && strcmp(logged, line) == 0);
  CHECK(rcpt("a@site.example", 0) == RECIPIENTRULE_UNSURE && rcpt("a@site.example", 1) == RECIPIENTRULE_UNSURE);
  write_rules(ONE TWO "end\n");
  CHECK(rcpt("a@one.example", 0) == RECIPIENTRULE_TOGETHER);   /* mended within the session */
}

TEST(a_new_file_holds_from_the_next_message_on)
{
  write_rules(ONE TWO "end\n");
  begin();
  CHECK(rcpt("a@one.example", 0) == RECIPIENTRULE_TOGETHER);
  write_rules("end\n");
  CHECK(rcpt("b@two.example", 0) == RECIPIENTRULE_OTHER);
  begin();
  CHECK(rcpt("a@one.example", 0) == RECIPIENTRULE_TOGETHER && rcpt("b@two.example", 0) == RECIPIENTRULE_TOGETHER);
}

/* As smtpfront hands a session over, which is not this test's own. */
static void hand_over(int greylisted)
{
  static char bytes[HANDOVER_MAX];
  static struct limitcount counts;
  struct handover h = {0, 0, 0, "mail\n", 5, "rcpt\n", 5, 0};
  char number[16];
  size_t len;
  int ends[2];

  h.greylisted = greylisted;
  len = handover_write(bytes, &h);
  CHECK(len && pipe(ends) == 0 && write(ends[1], bytes, len) == (ssize_t) len && close(ends[1]) == 0);
  sprintf(number, "%d", ends[0]);
  CHECK(setenv("HANDOVER", number, 1) == 0 && replay_begin(&counts));
}

TEST(a_client_let_through_for_one_domain_is_greylisted_for_others)
{
  static const char line[] =
    "qmail-smtpd: rcpt refused: greylisted for b@two.example from ann@sender.example at 192.0.2.1\n";

  write_rules("rule\nno_greylist\ndomain one.example\nend\n");
  hand_over(1);
  begin();
  CHECK(rcpt("a@one.example", 0) == RECIPIENTRULE_TOGETHER && rcpt("b@two.example", 0) == RECIPIENTRULE_LATER);
  CHECK(rcpt("c@two.example", 0) == RECIPIENTRULE_LATER && strcmp(logged, line) == 0);
  begin();   /* the next message of the session */
  CHECK(rcpt("b@two.example", 0) == RECIPIENTRULE_LATER && rcpt("a@one.example", 0) == RECIPIENTRULE_TOGETHER);
  write_rules("end\n");
  begin();
  CHECK(rcpt("a@one.example", 0) == RECIPIENTRULE_LATER);
}

TEST(other_sessions_are_not_greylisted)
{
  write_rules("rule\nno_greylist\ndomain one.example\nend\n");
  hand_over(0);
  begin();
  CHECK(rcpt("b@two.example", 0) == RECIPIENTRULE_TOGETHER && rcpt("a@one.example", 0) == RECIPIENTRULE_OTHER);
}

static const struct test tests[] = {
  {"a_client_let_through_for_one_domain_is_greylisted_for_others", a_client_let_through_for_one_domain_is_greylisted_for_others},
  {"other_sessions_are_not_greylisted", other_sessions_are_not_greylisted},
  {"recipients_of_one_rule_go_together", recipients_of_one_rule_go_together},
  {"those_of_other_rules_come_by_themselves", those_of_other_rules_come_by_themselves},
  {"relay_clients_are_parted_by_attachments_alone", relay_clients_are_parted_by_attachments_alone},
  {"without_a_file_there_is_one_rule", without_a_file_there_is_one_rule},
  {"a_file_that_cannot_be_used_puts_off_everybody", a_file_that_cannot_be_used_puts_off_everybody},
  {"a_new_file_holds_from_the_next_message_on", a_new_file_holds_from_the_next_message_on},
};
MAIN(tests)
