/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A reply to a client of SMTP (RFC 5321, 4.2), byte by byte as it comes. A line is
 *
 *   a digit of 2 to 5, two digits, and the end of the line, or a blank and a text, or '-' and a text
 *
 * '-' says that another line follows. For the blank any byte may stand but a digit and NUL: servers write a tab or no
 * blank at all, firewalls turn a greeting to '*', and to put such a success off would make duplicates. A line ends with
 * LF; CRs in front of it do not count. All lines have codes with the same first digit. Everything else is no reply, and
 * no decision about the mail: an empty line, a page of HTTP, what a broken program says in another protocol, or the rest
 * of something that was lost.
 *
 * Pure. Valid as gnu89 and as C99.
 */
#ifndef REMOTEREPLY_H
#define REMOTEREPLY_H

#include <stddef.h>

#define REMOTEREPLY_MAX 65536     /* bytes of a whole reply */
#define REMOTEREPLY_HEARD_MAX 200 /* bytes that are kept of what is no reply */

enum remotereply_state {
  REMOTEREPLY_MORE,  /* another byte is needed */
  REMOTEREPLY_WHOLE,
  REMOTEREPLY_WRONG  /* it is no reply, and enough of it has come to say so */
};

struct remotereply {
  unsigned long code; /* of the first line, 200 to 599 where the reply is whole */
  const char *why;    /* once it is no reply, the reason, to be said behind "its reply"; else null */
  unsigned long line_code;
  size_t length;      /* bytes of the reply */
  size_t column;      /* bytes of the line */
  size_t heard_length;
  size_t line_heard;  /* where the line begins in heard */
  int lines;          /* whether a line is complete */
  int more;           /* whether another line follows this one */
  int bare;           /* whether the line has a code alone, and CRs */
  int cr;             /* whether a CR waits for the byte behind it */
  char heard[REMOTEREPLY_HEARD_MAX + 1];
};

extern void remotereply_begin(struct remotereply *reply);

/* Takes the next byte. Nothing may be passed behind WHOLE and WRONG. */
extern enum remotereply_state remotereply_byte(struct remotereply *reply, char byte);

/* Says, before its first byte, that it came before what it would be the reply to. */
extern void remotereply_early(struct remotereply *reply);

/*
 * What has come of what is no reply: the line that is wrong, behind the begin of the first line where it is another
 * one. In one line of printable ASCII; '?' stands for any other byte. Never empty.
 */
extern const char *remotereply_heard(struct remotereply *reply);

#endif
