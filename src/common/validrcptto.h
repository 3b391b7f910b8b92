/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looks up a recipient in control/validrcptto.cdb. Keys and their order are those of the validrcptto patch of
 * 2006-08-23: the whole address; then, for each '-' of the local part from the right, the part before it with
 * "-default" and the domain; then "@domain". Addresses are compared in lower case, so keys must be lower case.
 * Any value counts. What cannot be read reliably is VALIDRCPTTO_TROUBLE, never a miss (see cdbread.h).
 * Valid as gnu89 and as C99.
 */
#ifndef VALIDRCPTTO_H
#define VALIDRCPTTO_H

#include <stddef.h>
#include "cdbread.h"

#define VALIDRCPTTO_TROUBLE (-1)   /* answer 451, the session goes on */
#define VALIDRCPTTO_MISSING 0      /* answer 550 */
#define VALIDRCPTTO_FOUND 1
#define VALIDRCPTTO_EXCESS 2       /* the miss that reaches the limit: answer 421 and hang up */

#define VALIDRCPTTO_FILE "control/validrcptto.cdb"
#define VALIDRCPTTO_ADDRESS_MAX 1000   /* bytes; qmail-smtpd takes no address of more than 900 */
#define VALIDRCPTTO_LIMIT_DEFAULT 10

struct validrcptto {
  char key[VALIDRCPTTO_ADDRESS_MAX + sizeof "-default"];   /* the last key tried, ended by a NUL */
  const char *trouble;                                     /* a fixed text, set with VALIDRCPTTO_TROUBLE */
};

/* VALIDRCPTTO_FOUND (v->key is the key), VALIDRCPTTO_MISSING or VALIDRCPTTO_TROUBLE (v->trouble says why). */
extern int validrcptto_find(struct validrcptto *v, const char *path, const char *address);

/* The same in a file that is open. */
extern int validrcptto_find_in(struct validrcptto *v, struct cdbread *c, const char *address);

/* The number of misses that ends a session, 0 for none. text is the value of VALIDRCPTTO_LIMIT or null; anything but a
 * plain decimal number of at most nine digits is the default, so a typing error never switches the limit off. */
extern unsigned long validrcptto_limit(const char *text);

/* Begins with the misses that the session has had already. */
extern void validrcptto_begin(unsigned long misses);

/* What qmail-smtpd does at RCPT: looks the recipient up, counts the misses of this process, and writes the log
 * lines of refusal.h. Reads VALIDRCPTTO_LIMIT and VALIDRCPTTO_LOG from the environment. */
extern int validrcptto_check(const char *recipient, const char *sender, const char *ip);

#endif
