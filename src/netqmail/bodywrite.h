/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Converts a message of the queue, whose lines end with LF, to what SMTP carries behind DATA (RFC 5321, 4.1.1.4 and
 * 4.5.2):
 *
 *   a line ends with CRLF, and a dot that begins one is doubled;
 *   there is no other CR: one before the end of a line is removed, any other becomes a blank;
 *   NUL becomes a blank;
 *   the end is CRLF . CRLF, and occurs only there.
 *
 * The message may be passed in pieces of any size. No side effects; valid as gnu89 and as C99.
 */
#ifndef BODYWRITE_H
#define BODYWRITE_H

#include <stddef.h>

/* The most bytes that so many bytes can become. */
#define BODYWRITE_ROOM(bytes) (2 * (bytes) + 1)

/* What bodywrite_end() needs. */
#define BODYWRITE_END_ROOM 3

struct bodywrite {
  int midline;   /* whether the line has begun */
  int cr;        /* whether a CR waits for the byte behind it */
};

extern void bodywrite_begin(struct bodywrite *body);

/* Converts the next piece of the message into out; returns the number of bytes. */
extern size_t bodywrite(struct bodywrite *body, const char *in, size_t length, char *out);

/* The same for the end of the message. Returns 0 when the last line has no end, so that the message cannot be sent. */
extern size_t bodywrite_end(struct bodywrite *body, char *out);

#endif
