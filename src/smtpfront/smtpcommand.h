/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reads commands of an SMTP client from a stream of bytes, as qmail-smtpd's commands() does: a line ends with LF,
 * one CR before it is dropped, a NUL becomes byte 1, the verb ends at the first blank, and the blanks behind it are
 * skipped. No side effects.
 */
#ifndef SMTPCOMMAND_H
#define SMTPCOMMAND_H

#include <stddef.h>

#define SMTPCOMMAND_LINE_MAX 10000   /* bytes before the LF; a line of as many ends the session */

enum smtpcommand_line { SMTPCOMMAND_MORE, SMTPCOMMAND_LINE, SMTPCOMMAND_TOO_LONG };

/* Whether the bytes begin with a whole line; length is then its length, LF included. from is where the search for the
 * LF begins: the bytes before were searched already. */
extern enum smtpcommand_line smtpcommand_line(const char *bytes, size_t len, size_t from, size_t *length);

enum smtpcommand_verb {
  SMTPCOMMAND_UNKNOWN,
  SMTPCOMMAND_HELO,
  SMTPCOMMAND_EHLO,
  SMTPCOMMAND_MAIL,
  SMTPCOMMAND_RCPT,
  SMTPCOMMAND_DATA,
  SMTPCOMMAND_RSET,
  SMTPCOMMAND_NOOP,
  SMTPCOMMAND_HELP,
  SMTPCOMMAND_VRFY,
  SMTPCOMMAND_STARTTLS,
  SMTPCOMMAND_QUIT
};

struct smtpcommand {
  enum smtpcommand_verb verb;
  const char *arg;                       /* into text, ended by a NUL */
  char text[SMTPCOMMAND_LINE_MAX + 1];
};

/* Reads a line, its LF included, of at most SMTPCOMMAND_LINE_MAX bytes. */
extern void smtpcommand_read(struct smtpcommand *command, const char *line, size_t len);

#endif
