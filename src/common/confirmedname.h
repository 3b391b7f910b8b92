/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The confirmed name of a client: one of those that its address has by PTR records, and that has the address itself.
 * Whoever holds an address can give it any name, but only who holds the name can give it the address. What is asked,
 * and what an answer means; whoever asks does so in its own way. No side effects.
 */
#ifndef CONFIRMEDNAME_H
#define CONFIRMEDNAME_H

#include <stddef.h>
#include "address.h"

#define CONFIRMEDNAME_MOST 64   /* names of one client that are tried, the first ones */

/* Writes the name whose PTR records are the client's names. */
extern void confirmedname_reversed(char *out, size_t size, const struct address *client);

/* The type of a name's addresses of the client's kind: A or AAAA. */
extern int confirmedname_type(const struct address *client);

/* Whether the client's address is among those of a checked answer to the question for a name's addresses. */
extern int confirmedname_confirms(const unsigned char *answer, size_t len, const struct address *client);

#endif
