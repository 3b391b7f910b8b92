/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Limits of one session: refusals of any kind, and commands since its last message. Beyond them it is closed.
 * Pure; valid as gnu89 and as C99.
 */
#ifndef LIMITCOUNT_H
#define LIMITCOUNT_H

#define LIMITCOUNT_REFUSALS 100    /* refused recipients, senders and commands of a session */
#define LIMITCOUNT_COMMANDS 1000   /* commands since the last message that was accepted */
#define LIMITCOUNT_RECIPIENTS 500  /* of one message; RFC 5321, 4.5.3.1.8, asks for 100 at least */

/* A recipient counts as a tenth of another command: a message may have many. */
#define LIMITCOUNT_COST 10
#define LIMITCOUNT_COST_RECIPIENT 1

struct limitcount {
  unsigned long refusals_max;   /* 0: no limit */
  unsigned long commands_max;   /* 0: no limit */
  unsigned long refusals;
  unsigned long spent;          /* on commands, in tenths of one */
};

/* The texts are numbers as limitcount_number() reads them, or null. */
extern void limitcount_begin(struct limitcount *c, const char *refusals_max, const char *commands_max);

/* One more refusal: 1 when the session has to end instead. */
extern int limitcount_refused(struct limitcount *c);

/* One more command of this cost: 1 when the session has to end instead. */
extern int limitcount_command(struct limitcount *c, unsigned long cost);

/* A message was accepted. */
extern void limitcount_message(struct limitcount *c);

/* A plain decimal number of at most nine digits; anything else is the default, so that a typing error never switches a
 * limit off. */
extern unsigned long limitcount_number(const char *text, unsigned long otherwise);

#endif
