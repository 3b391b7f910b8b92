/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A session that smtpfront passes to qmail-smtpd, as bytes: what the client has said that still counts, what it has
 * said that nobody has answered, and what was counted of it. smtpfront writes it, the launcher checks it and passes
 * it on, and qmail-smtpd reads it. All of it is a stranger's; nothing in it is believed beyond that.
 *
 *   "MGH1", five numbers of 32 bits, the lowest byte first, and the two texts; "MGH2" for a client that is greylisted, and
 *   handed over for a domain that takes its mail all the same (domainrules.h):
 *   refusals   answered so far
 *   spent      on commands, in tenths of one (limitcount.h)
 *   misses     recipients that are not in validrcptto.cdb
 *   said       length of the first text: a line of HELO or EHLO or none, and a line of MAIL, both already answered
 *   unanswered length of the second text: it begins with a line of RCPT
 *
 * A session that has not begun has neither text and no counts. Pure; valid as gnu89 and as C99.
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#define HANDOVER_HEADER 24
#define HANDOVER_MAX 32768   /* bytes of all of it; a pipe takes as many without a reader */

struct handover {
  uint32_t refusals;
  uint32_t spent;
  uint32_t misses;
  const char *said;
  size_t said_len;
  const char *unanswered;
  size_t unanswered_len;
  int greylisted;
};

/* Writes it into out[HANDOVER_MAX]. Returns the length, 0 if it does not fit. */
extern size_t handover_write(char *out, const struct handover *h);

/* Reads it; the texts point into the bytes. Returns 0 if it is not exactly as described above. */
extern int handover_read(struct handover *h, const char *bytes, size_t len);

#endif
