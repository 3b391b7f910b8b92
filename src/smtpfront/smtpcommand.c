/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include <strings.h>
#include "smtpcommand.h"

enum smtpcommand_line smtpcommand_line(const char *bytes, size_t len, size_t from, size_t *length)
{
  const char *end = from < len ? memchr(bytes + from, '\n', len - from) : 0;

  if (end && (size_t) (end - bytes) < SMTPCOMMAND_LINE_MAX) {
    *length = (size_t) (end - bytes) + 1;
    return SMTPCOMMAND_LINE;
  }
  return end || len >= SMTPCOMMAND_LINE_MAX ? SMTPCOMMAND_TOO_LONG : SMTPCOMMAND_MORE;
}

static enum smtpcommand_verb verb_of(const char *word)
{
  static const struct { const char *word; enum smtpcommand_verb verb; } verbs[] = {
    { "rcpt", SMTPCOMMAND_RCPT }, { "mail", SMTPCOMMAND_MAIL }, { "data", SMTPCOMMAND_DATA },
    { "quit", SMTPCOMMAND_QUIT }, { "helo", SMTPCOMMAND_HELO }, { "ehlo", SMTPCOMMAND_EHLO },
    { "rset", SMTPCOMMAND_RSET }, { "help", SMTPCOMMAND_HELP }, { "noop", SMTPCOMMAND_NOOP },
    { "vrfy", SMTPCOMMAND_VRFY }, { "starttls", SMTPCOMMAND_STARTTLS },
  };
  size_t i;

  for (i = 0; i < sizeof verbs / sizeof *verbs; ++i)
    if (strcasecmp(word, verbs[i].word) == 0)
      return verbs[i].verb;
  return SMTPCOMMAND_UNKNOWN;
}

void smtpcommand_read(struct smtpcommand *command, const char *line, size_t len)
{
  size_t i;
  char *blank;

  if (len > SMTPCOMMAND_LINE_MAX)
    len = SMTPCOMMAND_LINE_MAX;
  if (len > 0 && line[len - 1] == '\n')
    --len;
  if (len > 0 && line[len - 1] == '\r')
    --len;
  for (i = 0; i < len; ++i)
    command->text[i] = line[i] ? line[i] : 1;
  command->text[len] = 0;
  blank = strchr(command->text, ' ');
  if (blank) {
    *blank++ = 0;
    while (*blank == ' ')
      ++blank;
    command->arg = blank;
  } else {
    command->arg = command->text + len;
  }
  command->verb = verb_of(command->text);
}
