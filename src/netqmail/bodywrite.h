/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A message of the queue, whose lines end with LF, as SMTP carries it behind DATA (RFC 5321, 4.1.1.4 and 4.5.2):
 *
 *   a line ends with CRLF, and a dot that begins one is doubled;
 *   CR stands nowhere else: one before the end of a line goes, any other becomes a blank;
 *   NUL becomes a blank;
 *   the end is CRLF . CRLF, and it stands there once.
 *
 * The message may be handed over in any pieces. Pure; valid as gnu89 and as C99.
 */
#ifndef BODYWRITE_H
#define BODYWRITE_H

#include <stddef.h>

/* How much room what becomes of so many bytes may need. */
#define BODYWRITE_ROOM(bytes) (2 * (bytes) + 1)

/* What bodywrite_end() needs. */
#define BODYWRITE_END_ROOM 3

struct bodywrite {
  int midline;   /* whether the line has begun */
  int cr;        /* whether a CR waits for the byte behind it */
};

extern void bodywrite_begin(struct bodywrite *body);

/* Writes to out what becomes of the next piece of the message; returns how many bytes. */
extern size_t bodywrite(struct bodywrite *body, const char *in, size_t length, char *out);

/* The same for the end of the message. 0: its last line has no end, so that the message cannot be sent. */
extern size_t bodywrite_end(struct bodywrite *body, char *out);

#endif
