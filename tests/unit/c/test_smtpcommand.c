/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "smtpcommand.h"

TEST(lines)
{
  static const struct { const char *bytes; enum smtpcommand_line line; size_t length; } rows[] = {
    {"", SMTPCOMMAND_MORE, 0},
    {"NOOP", SMTPCOMMAND_MORE, 0},
    {"NOOP\r", SMTPCOMMAND_MORE, 0},
    {"\n", SMTPCOMMAND_LINE, 1},
    {"NOOP\r\nQUIT\r\n", SMTPCOMMAND_LINE, 6},
  };
  size_t length;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    length = 0;
    CHECK(smtpcommand_line(rows[i].bytes, strlen(rows[i].bytes), 0, &length) == rows[i].line);
    CHECK(length == rows[i].length);
  }
}

TEST(a_line_of_ten_thousand_bytes_is_too_long)
{
  static char bytes[SMTPCOMMAND_LINE_MAX + 2];
  size_t length;

  memset(bytes, 'x', sizeof bytes);
  CHECK(smtpcommand_line(bytes, SMTPCOMMAND_LINE_MAX - 1, 0, &length) == SMTPCOMMAND_MORE);
  CHECK(smtpcommand_line(bytes, SMTPCOMMAND_LINE_MAX, SMTPCOMMAND_LINE_MAX - 1, &length) == SMTPCOMMAND_TOO_LONG);
  bytes[SMTPCOMMAND_LINE_MAX] = '\n';
  CHECK(smtpcommand_line(bytes, sizeof bytes, 0, &length) == SMTPCOMMAND_TOO_LONG);
  bytes[SMTPCOMMAND_LINE_MAX - 1] = '\n';
  CHECK(smtpcommand_line(bytes, sizeof bytes, 0, &length) == SMTPCOMMAND_LINE && length == SMTPCOMMAND_LINE_MAX);
}

TEST(commands)
{
  static const struct { const char *line; size_t len; enum smtpcommand_verb verb; const char *arg; } rows[] = {
#define ROW(line, verb, arg) {line, sizeof line - 1, verb, arg}
    ROW("HELO\r\n", SMTPCOMMAND_HELO, ""),
    ROW("ehlo  a b\r\n", SMTPCOMMAND_EHLO, "a b"),
    ROW("MaIl FROM:<a@b>\n", SMTPCOMMAND_MAIL, "FROM:<a@b>"),
    ROW("RCPT\tTO:<a@b>\r\n", SMTPCOMMAND_UNKNOWN, ""),
    ROW("RCPT TO:<a>\r\r\n", SMTPCOMMAND_RCPT, "TO:<a>\r"),
    ROW("RCPT \0\r\n", SMTPCOMMAND_RCPT, "\1"),
    ROW("QUIT\0\r\n", SMTPCOMMAND_UNKNOWN, ""),
    ROW(" QUIT\r\n", SMTPCOMMAND_UNKNOWN, "QUIT"),
    ROW("QUITS\r\n", SMTPCOMMAND_UNKNOWN, ""),
    ROW("\r\n", SMTPCOMMAND_UNKNOWN, ""),
    ROW("DATA\n", SMTPCOMMAND_DATA, ""),
    ROW("rset x\n", SMTPCOMMAND_RSET, "x"),
    ROW("NOOP\n", SMTPCOMMAND_NOOP, ""),
    ROW("HELP\n", SMTPCOMMAND_HELP, ""),
    ROW("VRFY\n", SMTPCOMMAND_VRFY, ""),
  };
  static struct smtpcommand command;
  size_t i;

  for (i = 0; i < sizeof rows / sizeof *rows; ++i) {
    check_where = rows[i].line;
    smtpcommand_read(&command, rows[i].line, rows[i].len);
    CHECK(command.verb == rows[i].verb && strcmp(command.arg, rows[i].arg) == 0);
  }
}

static const struct test tests[] = {
  {"lines", lines},
  {"a_line_of_ten_thousand_bytes_is_too_long", a_line_of_ten_thousand_bytes_is_too_long},
  {"commands", commands},
};
MAIN(tests)
