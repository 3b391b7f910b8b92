/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE
#include <limits.h>
#include <signal.h>
#include <sys/socket.h>
#include "check.h"
#include "refusal.h"

static char line[8192];
static int from = -1;

/* Puts a socket in the place of descriptor 2 that keeps each write apart. */
static void listen_to_log(void)
{
  int pair[2];

  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0 && dup2(pair[1], 2) == 2);
  from = pair[0];
}

/* The next write to descriptor 2, which must be one whole line, or "" when there was none. */
static const char *said(void)
{
  ssize_t n = recv(from, line, sizeof line - 1, MSG_DONTWAIT);

  line[n > 0 ? n : 0] = 0;
  if (n > 0) {
    CHECK(strlen(line) == (size_t) n);
    CHECK(strchr(line, '\n') == line + n - 1);
    CHECK(n <= REFUSAL_LINE_MAX && n <= PIPE_BUF);
  }
  return line;
}

TEST(every_byte_has_its_escape)
{
  char field[REFUSAL_FIELD_MAX + 5];
  char text[2] = "";
  char want[8];
  int b;

  for (b = 1; b < 256; ++b) {
    text[0] = (char) b;
    if (b > ' ' && b <= '~' && !strchr("\\<>", b))
      snprintf(want, sizeof want, "%c", b);
    else
      snprintf(want, sizeof want, "\\x%02x", (unsigned) b);
    CHECK(refusal_field(field, text) == strlen(want) && strcmp(field, want) == 0);
  }
  CHECK(refusal_field(field, "") == 2 && strcmp(field, "<>") == 0);
  CHECK(refusal_field(field, "<>") == 8 && strcmp(field, "\\x3c\\x3e") == 0);
}

TEST(a_long_field_is_cut_between_characters_and_marked)
{
  char field[REFUSAL_FIELD_MAX + 5];
  static char text[5000];
  size_t n;
  size_t len;

  for (n = REFUSAL_FIELD_MAX - 10; n < REFUSAL_FIELD_MAX + 10; ++n) {
    memset(text, 'a', n);
    text[n] = 0;
    len = refusal_field(field, text);
    CHECK(len == strlen(field));
    CHECK(n <= REFUSAL_FIELD_MAX ? strcmp(field, text) == 0 : len == REFUSAL_FIELD_MAX + 4);
    CHECK((strcmp(field + len - 4, "\\...") == 0) == (n > REFUSAL_FIELD_MAX));
    memset(text, '\n', n);
    len = refusal_field(field, text);
    CHECK(len == REFUSAL_FIELD_MAX / 4 * 4 + 4 && strcmp(field + len - 8, "\\x0a\\...") == 0);
    text[0] = 'a';
    len = refusal_field(field, text);
    CHECK(len == 1 + (REFUSAL_FIELD_MAX - 1) / 4 * 4 + 4 && strcmp(field + len - 8, "\\x0a\\...") == 0);
  }
}

TEST(the_lines_are_those_of_the_header)
{
  listen_to_log();
  refusal_validrcptto("nobody@example.test", "", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: not in validrcptto: nobody@example.test from <> at 192.0.2.7\n"));
  refusal_excess("192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: excessive validrcptto violations, hanging up on 192.0.2.7\n"));
  refusal_badmailfrom("bad@spam.test", "joe@example.test", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: badmailfrom: bad@spam.test to joe@example.test at 192.0.2.7\n"));
  refusal_rcpthosts("joe@else.test", "", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: rcpthosts: joe@else.test from <> at 192.0.2.7\n"));
  refusal_command("mail", "control-byte", 0, "a\rb", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: mail refused: control-byte from a\\x0db at 192.0.2.7\n"));
  refusal_command("rcpt", "not-a-host-name", "joe@a b", "", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: rcpt refused: not-a-host-name for joe@a\\x20b from <> at 192.0.2.7\n"));
  refusal_command("data", "bare-lf", 0, "", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: data refused: bare-lf from <> at 192.0.2.7\n"));
  refusal_hangup("refusals", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: excessive refusals, hanging up on 192.0.2.7\n"));
  refusal_shared("192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: client trouble: somebody else takes part in the session of 192.0.2.7\n"));
  refusal_trouble("validrcptto.cdb", "no such file");
  CHECK(!strcmp(said(), "qmail-smtpd: validrcptto.cdb trouble: no such file\n"));
  refusal_rcpt("JOE@example.test");
  CHECK(!strcmp(said(), "qmail-smtpd: validrcptto RCPT TO: JOE@example.test\n"));
  refusal_found("joe@example.test");
  CHECK(!strcmp(said(), "qmail-smtpd: validrcptto found: joe@example.test\n"));
  CHECK(!strcmp(said(), ""));
}

TEST(a_line_about_the_client_names_its_session)
{
  listen_to_log();
  refusal_session("6kz3rt9qm4", 0);   /* as smtpfront */
  refusal_rcpthosts("joe@else.test", "", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: rcpthosts: joe@else.test from <> at 192.0.2.7 id 6kz3rt9qm4\n"));
  refusal_session("6kz3rt9qm4.2", 4711);
  refusal_hangup("commands", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: excessive commands, hanging up on 192.0.2.7 id 6kz3rt9qm4.2 pid 4711\n"));
  refusal_accepted("a b@example.test", "192.0.2.7", 4713);
  CHECK(!strcmp(said(), "qmail-smtpd: accepted: from a\\x20b@example.test at 192.0.2.7 id 6kz3rt9qm4.2 pid 4711 qp 4713\n"));
  refusal_trouble("rcpthosts", "missing");
  CHECK(!strcmp(said(), "qmail-smtpd: rcpthosts trouble: missing\n"));
  refusal_found("joe@example.test");
  CHECK(!strcmp(said(), "qmail-smtpd: validrcptto found: joe@example.test\n"));
  refusal_session("", 4711);
  refusal_excess("192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: excessive validrcptto violations, hanging up on 192.0.2.7\n"));
}

TEST(a_line_about_a_client_with_tls_says_so_at_its_end)
{
  listen_to_log();
  refusal_session("6kz3rt9qm4", 0);
  refusal_tls("TLSv1.3", "TLS_AES_256_GCM_SHA384");
  refusal_validrcptto("joe@else.test", "", "192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: not in validrcptto: joe@else.test from <> at 192.0.2.7 id 6kz3rt9qm4 tls=TLSv1.3/TLS_AES_256_GCM_SHA384\n"));
  refusal_session("6kz3rt9qm4.2", 4711);
  refusal_accepted("", "192.0.2.7", 4713);
  CHECK(!strcmp(said(), "qmail-smtpd: accepted: from <> at 192.0.2.7 id 6kz3rt9qm4.2 pid 4711 qp 4713 tls=TLSv1.3/TLS_AES_256_GCM_SHA384\n"));
  refusal_trouble("rcpthosts", "missing");
  CHECK(!strcmp(said(), "qmail-smtpd: rcpthosts trouble: missing\n"));
  refusal_tls("", "");
  refusal_excess("192.0.2.7");
  CHECK(!strcmp(said(), "qmail-smtpd: excessive validrcptto violations, hanging up on 192.0.2.7 id 6kz3rt9qm4.2 pid 4711\n"));
}

TEST(the_longest_line_is_whole)
{
  static char text[5000];

  listen_to_log();
  memset(text, '\n', sizeof text - 1);
  refusal_session("7zzzzzzzzz.999999999", 4194303);
  refusal_tls("TLSvLONGER.THAN.ANY", "A_NAME_OF_A_CIPHER_THAT_IS_LONGER_THAN_ANY_OF_THOSE_THAT_ARE_THERE");
  refusal_command("rcpt", "not-a-host-name", text, text, text);
  CHECK(strstr(said(), "\\... id 7zzzzzzzzz.999999999 pid 4194303 tls=TLSvLONGER.THAN./A_NAME_OF_A_CIPHER_THAT_IS_LONGER_THAN_ANY_OF_THOSE_THAT_ARE_THE\n"));
}

TEST(no_text_breaks_or_forges_a_line)
{
  static const char *const evil[] = {
    "x at 203.0.113.9\nqmail-smtpd: not in validrcptto: y", "x at 203.0.113.9@example.test", "\r\n", "\x1b[2J\x07",
    "a\\x20at\\x20b", "\xc3\xa9\xff", " ", "a to b from c at d",
  };
  size_t i;
  size_t words;
  const char *s;

  listen_to_log();
  for (i = 0; i < sizeof evil / sizeof *evil; ++i) {
    check_where = evil[i];
    refusal_badmailfrom(evil[i], evil[i], evil[i]);
    for (words = 1, s = said(); *s; ++s) {
      words += *s == ' ';
      CHECK((*s >= ' ' && *s <= '~') || (*s == '\n' && !s[1]));
    }
    CHECK(words == 7);
    CHECK(strstr(line, "203.0.113.9 ") == 0 && *said() == 0);
  }
}

TEST(the_longest_line_fits)
{
  static char text[4000];

  listen_to_log();
  memset(text, 'x', sizeof text - 1);
  refusal_badmailfrom(text, text, text);
  CHECK(strlen(said()) > 3 * REFUSAL_FIELD_MAX && strstr(line, "x\\...\n"));
  memset(text, '\xff', sizeof text - 1);
  refusal_rcpthosts(text, text, text);
  CHECK(strstr(said(), "\\xff\\...\n"));
  memset(text, 'y', sizeof text - 1);
  refusal_command(text, text, text, text, text);
  CHECK(strlen(said()) > 3 * REFUSAL_FIELD_MAX && strstr(line, "y\\...\n"));
  refusal_hangup(text, text);
  CHECK(strstr(said(), "y\\...\n") && strlen(line) < 2 * REFUSAL_FIELD_MAX);
  refusal_trouble(text, text);
  CHECK(strlen(said()) < 200);
  CHECK(REFUSAL_FIELD_MAX == 200);
}

TEST(errno_is_kept_and_a_closed_log_is_harmless)
{
  signal(SIGPIPE, SIG_IGN);
  listen_to_log();
  errno = 77;
  refusal_found("x");
  CHECK(errno == 77);
  close(from);
  refusal_found("x");
  CHECK(errno == 77);
  close(2);
  refusal_found("x");
  CHECK(errno == 77);
}

/* As in a gateway whose multilog is stopped; descriptor 2 itself may wait. */
TEST(a_log_that_nobody_reads_holds_nobody_up)
{
  static char block[4096];
  char heard[2 * REFUSAL_LINE_MAX];
  int ends[2];
  int flags;
  ssize_t n;
  int i;

  CHECK(pipe(ends) == 0 && dup2(ends[1], 2) == 2);
  from = ends[0];
  flags = fcntl(2, F_GETFL);
  CHECK(fcntl(2, F_SETFL, flags | O_NONBLOCK) == 0);
  while (write(2, block, sizeof block) > 0)
    ;
  CHECK(fcntl(2, F_SETFL, flags) == 0);
  for (i = 0; i < 17; ++i)
    refusal_found("x");
  for (i = 0; i < 2; ++i)   /* room for two lines: a part of a page is not written to */
    CHECK(read(from, block, sizeof block) == (ssize_t) sizeof block);
  refusal_found("y");
  while ((n = read(from, heard, 1)) == 1 && heard[0] == 0)
    ;
  CHECK(n == 1 && (n = read(from, heard + 1, sizeof heard - 2)) > 0);
  heard[n + 1] = 0;
  CHECK(strcmp(heard, "qmail-smtpd: dropped 17 lines of the log\nqmail-smtpd: validrcptto found: y\n") == 0);
}

static const struct test tests[] = {
  { "every_byte_has_its_escape", every_byte_has_its_escape },
  { "a_long_field_is_cut_between_characters_and_marked", a_long_field_is_cut_between_characters_and_marked },
  { "the_lines_are_those_of_the_header", the_lines_are_those_of_the_header },
  { "no_text_breaks_or_forges_a_line", no_text_breaks_or_forges_a_line },
  { "the_longest_line_fits", the_longest_line_fits },
  { "errno_is_kept_and_a_closed_log_is_harmless", errno_is_kept_and_a_closed_log_is_harmless },
  { "a_log_that_nobody_reads_holds_nobody_up", a_log_that_nobody_reads_holds_nobody_up },
  {"a_line_about_the_client_names_its_session", a_line_about_the_client_names_its_session},
  {"a_line_about_a_client_with_tls_says_so_at_its_end", a_line_about_a_client_with_tls_says_so_at_its_end},
  {"the_longest_line_is_whole", the_longest_line_is_whole},
};
MAIN(tests)
