/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "dialogue.h"
#include "refusal.h"
#include "validrcptto.h"

#define IP "198.51.100.7"
#define UNKNOWN "550 5.1.1 sorry, this recipient is not known here\r\n"

static char logged[20000];
static char heard[20000];
static enum dialogue_event last_event;

static void keep(const char *line, size_t len)
{
  strncat(logged, line, len);
}

static int bad_sender(void *arg, const char *sender)
{
  (void) arg;
  return strcmp(sender, "bad@sender.example") == 0;
}

static enum dialogue_answer of_domain(void *arg, const char *recipient)
{
  (void) arg;
  if (strstr(recipient, "unsure"))
    return DIALOGUE_UNSURE;
  return strstr(recipient, "@example.com") ? DIALOGUE_YES : DIALOGUE_NO;
}

static enum dialogue_answer known(void *arg, const char *recipient)
{
  (void) arg;
  if (strstr(recipient, "doubt"))
    return DIALOGUE_UNSURE;
  return strncmp(recipient, "ann@", 4) == 0 ? DIALOGUE_YES : DIALOGUE_NO;
}

static int tls_offered;

static int offers_tls(void *arg)
{
  (void) arg;
  return tls_offered;
}

static struct dialogue_lists lists = {0, bad_sender, of_domain, known, 0, 0};

/* Feeds lines until the end or a hand-over; everything that is said is in heard. refusal is the client's, or null. */
static void talk(struct dialogue *d, const char *lines, const char *refusal)
{
  char recipient[SMTPCOMMAND_LINE_MAX + 1];
  struct dialogue_reply reply;
  size_t length = 0;

  heard[0] = logged[0] = 0;
  refusal_write = keep;
  for (; *lines; lines += length) {
    CHECK(smtpcommand_line(lines, strlen(lines), 0, &length) == SMTPCOMMAND_LINE);
    last_event = dialogue_line(d, &lists, IP, lines, length, recipient, &reply);
    if (last_event == DIALOGUE_RECIPIENT)
      last_event = refusal ? dialogue_refuse(d, IP, refusal, &reply)
                           : dialogue_recipient(d, &lists, IP, recipient, &reply);
    if (last_event == DIALOGUE_ACCEPTABLE || last_event == DIALOGUE_STARTTLS)
      return;
    strcat(heard, reply.before);
    if (reply.greeting)
      strcat(heard, "mx.test");
    strcat(heard, reply.after);
    if (last_event == DIALOGUE_END)
      return;
  }
}

TEST(replies_are_those_of_qmail_smtpd)
{
  static const struct { const char *line, *reply; } rows[] = {
    {"HELO a\r\n", "250 mx.test\r\n"},
    {"EHLO a\r\n", "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 8BITMIME\r\n"},
    {"MAIL FROM:<a@b.example>\r\n", "250 ok\r\n"},
    {"MAIL FROM:<>\r\n", "250 ok\r\n"},
    {"MAIL\r\n", "250 ok\r\n"},
    {"MAIL FROM:<> SIZE=1125\r\n", "250 ok\r\n"},
    {"MAIL FROM:<> SIZE=1126\r\nRCPT TO:<ann@example.com>\r\n",
     "552 5.3.4 sorry, that message size exceeds my databytes limit\r\n503 5.5.1 MAIL first\r\n"},
    {"MAIL FROM:<a@b c>\r\n", "553 5.1.7 sorry, that is not an address that mail can come from\r\n"},
    {"RCPT TO:<ann@example.com>\r\n", "503 5.5.1 MAIL first\r\n"},
    {"DATA\r\n", "503 5.5.1 MAIL first\r\n"},
    {"MAIL FROM:<>\r\nDATA\r\n", "250 ok\r\n503 5.5.1 RCPT first\r\n"},
    {"MAIL FROM:<>\r\nRSET\r\nRCPT TO:<ann@example.com>\r\n", "250 ok\r\n250 flushed\r\n503 5.5.1 MAIL first\r\n"},
    {"MAIL FROM:<>\r\nHELO b\r\nRCPT TO:<ann@example.com>\r\n", "250 ok\r\n250 mx.test\r\n503 5.5.1 MAIL first\r\n"},
    {"NOOP\r\n", "250 ok\r\n"},
    {"VRFY x\r\n", "252 send some mail, i'll try my best\r\n"},
    {"HELP\r\n", "214 netqmail home page: http://qmail.org/netqmail\r\n"},
    {"STARTTLS\r\n", "502 5.5.1 unimplemented\r\n"},
    {"\r\n", "502 5.5.1 unimplemented\r\n"},
    {"QUIT\r\n", "221 mx.test\r\n"},
    {"MAIL FROM:<>\r\nRCPT TO:<bob@example.com>\r\n", "250 ok\r\n" UNKNOWN},
    {"MAIL FROM:<>\r\nRCPT TO:<ann@other.example>\r\n",
     "250 ok\r\n553 5.7.1 sorry, that domain isn't in my list of allowed rcpthosts\r\n"},
    {"MAIL FROM:<>\r\nRCPT TO:<ann@unsure.example>\r\n", "250 ok\r\n451 4.3.0 unable to check recipient\r\n"},
    {"MAIL FROM:<>\r\nRCPT TO:<doubt@example.com>\r\n", "250 ok\r\n451 4.3.0 unable to check recipient\r\n"},
    {"MAIL FROM:<bad@sender.example>\r\nRCPT TO:<ann@example.com>\r\n",
     "250 ok\r\n553 5.7.1 sorry, your envelope sender is in my badmailfrom list\r\n"},
    {"MAIL FROM:<>\r\nRCPT TO:<ann@example.com x>\r\n",
     "250 ok\r\n553 5.1.3 sorry, that is no address that mail can be sent to\r\n"},
  };
  struct dialogue d;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].line;
    dialogue_begin(&d, 0, 0, 0);
    d.databytes = 1000;
    talk(&d, rows[i].line, 0);
    CHECK(strcmp(heard, rows[i].reply) == 0);
    CHECK((last_event == DIALOGUE_END) == (strcmp(rows[i].line, "QUIT\r\n") == 0));
    dialogue_end(&d);
  }
}

TEST(no_reply_accepts_a_recipient)
{
  static const char *const forms[] = {"RCPT TO:<ann@example.com>\r\n", "rcpt to: ann@example.com\r\n", "RCPT TO:<@r.example:ann@example.com>\r\n",
                                      "RCPT <\"ann\"@example.com>\r\n", "RCPT TO:<ann@example.com>\n"};
  struct dialogue d;
  size_t i;

  for (i = 0; i < sizeof forms / sizeof *forms; ++i) {
    check_where = forms[i];
    dialogue_begin(&d, 0, 0, 0);
    talk(&d, "MAIL FROM:<a@b.example>\r\n", 0);
    talk(&d, forms[i], 0);
    CHECK(last_event == DIALOGUE_ACCEPTABLE && !heard[0] && !logged[0]);
    dialogue_end(&d);
  }
}

TEST(what_counts_is_handed_over)
{
  static char bytes[HANDOVER_MAX];
  static char line[SMTPCOMMAND_LINE_MAX + 1];
  struct dialogue d;
  struct handover h;
  size_t len;

  dialogue_begin(&d, 0, 0, 0);
  CHECK(dialogue_handover(&d, bytes, "RCPT\n", 5) == 0);   /* without MAIL */
  memset(line, 'h', sizeof line - 1);
  memcpy(line, "EHLO ", 5);
  line[400] = '\n';
  line[401] = 0;
  talk(&d, line, 0);
  talk(&d, "MAIL FROM:<x@y.example>\r\nRCPT TO:<bob@example.com>\r\nfoo\r\nmail  FROM:<a@b.example> SIZE=1\r\n", 0);
  talk(&d, "RCPT TO:<ann@example.com>\r\nDATA\r\n", 0);
  CHECK(last_event == DIALOGUE_ACCEPTABLE);
  len = dialogue_handover(&d, bytes, "RCPT TO:<ann@example.com>\r\nDATA\r\n", 33);
  CHECK(handover_read(&h, bytes, len));
  CHECK(h.refusals == 2 && h.misses == 1);
  CHECK(h.spent == 31);   /* EHLO, MAIL, RCPT, MAIL; the recipient that is handed over is counted by qmail-smtpd */
  CHECK(h.said_len == 5 + 255 + 2 + 33 && memcmp(h.said, line, 5 + 255) == 0);
  CHECK(memcmp(h.said + 262, "mail  FROM:<a@b.example> SIZE=1\r\n", 33) == 0);
  CHECK(h.unanswered_len == 33 && memcmp(h.unanswered, "RCPT TO:", 8) == 0);
  dialogue_end(&d);
}

TEST(a_client_that_is_refused_hears_so_at_each_recipient)
{
  struct dialogue d;

  dialogue_begin(&d, 0, 0, 0);
  talk(&d, "MAIL FROM:<>\r\nRCPT TO:<ann@example.com>\r\nRCPT TO:<bob@other.example>\r\nDATA\r\n", "451 4.7.1 later\r\n");
  CHECK(strcmp(heard, "250 ok\r\n451 4.7.1 later\r\n451 4.7.1 later\r\n503 5.5.1 RCPT first\r\n") == 0);
  CHECK(d.count.refusals == 3 && d.misses == 0);
  dialogue_end(&d);
}

TEST(refusals_are_logged)
{
  struct dialogue d;

  dialogue_begin(&d, 0, 0, 0);
  d.databytes = 1000;
  talk(&d, "MAIL FROM:<a@b.example>\r\nRCPT TO:<bob@example.com>\r\nRCPT TO:<x@other.example>\r\n"
           "RCPT TO:<x@a b>\r\nMAIL FROM:<a@b.example> SIZE=1126\r\nMAIL FROM:<bad@sender.example>\r\nRCPT TO:<ann@example.com>\r\nMAIL FROM:<x@->\r\nMAIL FROM:<a@\x7f>\r\n", 0);
  CHECK(strcmp(logged,
               "qmail-smtpd: not in validrcptto: bob@example.com from a@b.example at " IP "\n"
               "qmail-smtpd: rcpthosts: x@other.example from a@b.example at " IP "\n"
               "qmail-smtpd: rcpt refused: not-a-host-name for x@a\\x20b from a@b.example at " IP "\n"
               "qmail-smtpd: mail refused: too-large from a@b.example at " IP "\n"
               "qmail-smtpd: badmailfrom: bad@sender.example to ann@example.com at " IP "\n"
               "qmail-smtpd: mail refused: control-byte from a@\\x7f at " IP "\n") == 0);
  dialogue_end(&d);
}

TEST(limits_end_the_session)
{
  static char many[9000];
  struct dialogue d;
  int i;

  dialogue_begin(&d, 0, 0, "3");
  talk(&d, "MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nNOOP\r\n", 0);
  CHECK(last_event == DIALOGUE_END);
  CHECK(strcmp(heard, "250 ok\r\n" UNKNOWN UNKNOWN "421 4.7.0 too many invalid addresses, goodbye\r\n") == 0);
  CHECK(strstr(logged, "qmail-smtpd: excessive validrcptto violations, hanging up on " IP "\n"));
  dialogue_end(&d);

  dialogue_begin(&d, "2", 0, 0);
  talk(&d, "x\r\ny\r\nNOOP\r\n", 0);
  CHECK(last_event == DIALOGUE_END);
  CHECK(strcmp(heard, "502 5.5.1 unimplemented\r\n421 4.7.0 too many commands or refusals, goodbye\r\n") == 0);
  CHECK(strcmp(logged, "qmail-smtpd: excessive refusals, hanging up on " IP "\n") == 0);
  dialogue_end(&d);

  for (i = 0, many[0] = 0; i < 1000; ++i)
    strcat(many, "NOOP\r\n");
  dialogue_begin(&d, 0, 0, 0);
  talk(&d, many, 0);
  CHECK(last_event == DIALOGUE_END && strlen(heard) == 999 * 8 + 50);
  CHECK(strcmp(logged, "qmail-smtpd: excessive commands, hanging up on " IP "\n") == 0);
  dialogue_end(&d);
}

TEST(starttls_is_known_where_there_is_tls_and_offered_while_it_is_there)
{
  struct dialogue d;

  dialogue_begin(&d, 0, 0, 0);
  talk(&d, "STARTTLS\r\n", 0);
  CHECK(last_event == DIALOGUE_REPLY && strcmp(heard, "502 5.5.1 unimplemented\r\n") == 0);
  CHECK(d.count.refusals == 1 && d.count.spent == 0);
  lists.tls = offers_tls;
  tls_offered = 0;
  talk(&d, "EHLO a\r\nSTARTTLS\r\n", 0);
  CHECK(last_event == DIALOGUE_REPLY && !strstr(heard, "STARTTLS\r\n") && strstr(heard, "\r\n454 4.7.0 "));
  CHECK(d.count.refusals == 1);   /* that is no fault of the client's */
  tls_offered = 1;
  talk(&d, "HELO a\r\nEHLO a\r\n", 0);
  CHECK(strcmp(heard, "250 mx.test\r\n250-mx.test\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-SIZE 0\r\n250 8BITMIME\r\n") == 0);
  talk(&d, "STARTTLS x\r\nSTARTTLS=\r\nSTARTTLS\tx\r\nMAIL FROM:<>\r\nStartTLS\r\n", 0);
  CHECK(strcmp(heard, "501 5.5.4 STARTTLS takes no parameter\r\n502 5.5.1 unimplemented\r\n502 5.5.1 unimplemented\r\n250 ok\r\n"
                      "503 5.5.1 no STARTTLS inside a transaction\r\n") == 0);
  talk(&d, "RSET\r\nStartTLS \r\nNOOP\r\n", 0);
  CHECK(last_event == DIALOGUE_STARTTLS && strcmp(heard, "250 flushed\r\n") == 0);
  dialogue_end(&d);
  lists.tls = 0;
}

TEST(with_tls_what_was_said_is_forgotten_and_what_was_counted_is_not)
{
  static char bytes[HANDOVER_MAX];
  struct dialogue d;
  struct handover h;
  size_t len;

  lists.tls = offers_tls;
  tls_offered = 1;
  dialogue_begin(&d, 0, 0, 0);
  d.databytes = 1000;
  talk(&d, "EHLO before\r\nMAIL FROM:<bad@sender.example>\r\nRCPT TO:<bob@example.com>\r\nMAIL FROM:<x@y.example>\r\n"
           "RCPT TO:<bob@example.com>\r\nRSET\r\nSTARTTLS\r\n", 0);
  CHECK(last_event == DIALOGUE_STARTTLS && d.helo);
  dialogue_secured(&d);
  CHECK(!d.helo && !d.mail && !d.sender && !d.barred);
  CHECK(d.misses == 1 && d.count.refusals == 2 && d.count.spent == 52 && d.databytes == 1000);
  talk(&d, "RCPT TO:<ann@example.com>\r\nSTARTTLS\r\nEHLO after\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ann@example.com>\r\n", 0);
  CHECK(last_event == DIALOGUE_ACCEPTABLE);
  CHECK(strcmp(heard, "503 5.5.1 MAIL first\r\n503 5.5.1 this session has TLS already\r\n"
                      "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 8BITMIME\r\n250 ok\r\n") == 0);
  len = dialogue_handover(&d, bytes, "RCPT TO:<ann@example.com>\r\n", 27);
  CHECK(handover_read(&h, bytes, len) && h.misses == 1 && h.refusals == 4);
  CHECK(memcmp(h.said, "EHLO after\r\nMAIL FROM:<a@b.example>\r\n", 37) == 0);
  dialogue_end(&d);
  lists.tls = 0;
}

static enum requiretls_answer wants_tls(void *arg, const char *ip, const char *sender, const char *recipient)
{
  (void) arg;
  CHECK(strcmp(ip, IP) == 0 && strcmp(recipient, "ann@example.com") == 0);
  if (strstr(sender, "unsure"))
    return REQUIRETLS_UNSURE;
  return strstr(sender, "@bank.example") ? REQUIRETLS_SENDER : REQUIRETLS_NO;
}

TEST(mail_that_is_taken_over_tls_only_is_put_off_in_plain_text)
{
  static const char letter[] = "MAIL FROM:<a@bank.example>\r\nRCPT TO:<ann@example.com>\r\n";
  struct dialogue d;

  lists.requiretls = wants_tls;
  dialogue_begin(&d, 0, 0, 0);
  talk(&d, letter, 0);
  CHECK(last_event == DIALOGUE_REPLY && strcmp(heard, "250 ok\r\n" SMTPREPLY_TLS_FOR_SENDER) == 0);
  CHECK(strstr(logged, "rcpt refused: no-tls-of-sender for ann@example.com from a@bank.example at " IP) && d.count.refusals == 1);
  talk(&d, "RCPT TO:<bob@example.com>\r\nRCPT TO:<ann@other.example>\r\n", 0);
  CHECK(strncmp(heard, UNKNOWN, strlen(UNKNOWN)) == 0 && strstr(heard, "553 5.7.1 "));
  talk(&d, "MAIL FROM:<unsure@b.example>\r\nRCPT TO:<ann@example.com>\r\n", 0);
  CHECK(last_event == DIALOGUE_REPLY && strcmp(heard, "250 ok\r\n" SMTPREPLY_UNCERTAIN) == 0);
  talk(&d, "MAIL FROM:<a@b.example>\r\nRCPT TO:<ann@example.com>\r\n", 0);
  CHECK(last_event == DIALOGUE_ACCEPTABLE);
  dialogue_secured(&d);
  talk(&d, letter, 0);
  CHECK(last_event == DIALOGUE_ACCEPTABLE);
  dialogue_end(&d);
  lists.requiretls = 0;
}

static const struct test tests[] = {
  {"replies_are_those_of_qmail_smtpd", replies_are_those_of_qmail_smtpd},
  {"no_reply_accepts_a_recipient", no_reply_accepts_a_recipient},
  {"what_counts_is_handed_over", what_counts_is_handed_over},
  {"a_client_that_is_refused_hears_so_at_each_recipient", a_client_that_is_refused_hears_so_at_each_recipient},
  {"refusals_are_logged", refusals_are_logged},
  {"limits_end_the_session", limits_end_the_session},
  {"starttls_is_known_where_there_is_tls_and_offered_while_it_is_there", starttls_is_known_where_there_is_tls_and_offered_while_it_is_there},
  {"mail_that_is_taken_over_tls_only_is_put_off_in_plain_text", mail_that_is_taken_over_tls_only_is_put_off_in_plain_text},
  {"with_tls_what_was_said_is_forgotten_and_what_was_counted_is_not", with_tls_what_was_said_is_forgotten_and_what_was_counted_is_not},
};
MAIN(tests)
