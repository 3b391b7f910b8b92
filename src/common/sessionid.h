/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The id of an SMTP session, and of its messages.
 *
 * A session has a number of 48 bits: when it began, in seconds modulo 2^28 (eight years), and 20 random bits. Its id is
 * that number in ten characters, digits and lower-case letters without i, l, o and u; the first one is a digit. The id
 * of a message is that of its session, a dot, and the message's number in the session, from 1:
 *
 *   7k2m9x4qbt      7k2m9x4qbt.1
 *
 * Whoever begins a session makes its number: smtpfront, or else the launcher, or else qmail-smtpd. All but
 * sessionid_new() are pure. Valid as gnu89 and as C99.
 */
#ifndef SESSIONID_H
#define SESSIONID_H

#include <stdint.h>

#define SESSIONID_CHARACTERS 10
#define SESSIONID_BITS 48
#define SESSIONID_MESSAGE_MAX 24       /* bytes of a message's id, with its NUL */
#define SESSIONID_AGE_SECONDS 3600     /* a session that is handed over has begun at most so long ago */

/* The number of a session that begins now, above the last one of this process unless the clock was set back. */
extern uint64_t sessionid_number(uint64_t seconds, uint32_t random, uint64_t last);

/* The same, with the clock's time and a random number of the kernel. */
extern uint64_t sessionid_new(uint64_t last);

/* Whether a session with that number can have begun in the last SESSIONID_AGE_SECONDS. */
extern int sessionid_recent(uint64_t number, uint64_t seconds);

/* Writes the id into out[SESSIONID_CHARACTERS + 1]. */
extern void sessionid_text(char *out, uint64_t number);

/* Writes the id of the message into out[SESSIONID_MESSAGE_MAX]. */
extern void sessionid_message(char *out, const char *session, unsigned long message);

/* Whether the text is the id of a session, or of a message, and nothing else. */
extern int sessionid_is_session(const char *text);
extern int sessionid_is_message(const char *text);

#endif
