/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The name under which an attempt of a pool is remembered: a hash, always of the same length, of the organizational
 * domain of the client's name, the envelope sender and the recipient. A retry is of the same message, so both addresses
 * are the same, apart from what some hosts make again for each try: the tags of SRS and BATV in the sender are left
 * out. VERP senders, which differ from message to message, and the null sender count as they are. Letters of both
 * cases are the same. No side effects.
 */
#ifndef POOLKEY_H
#define POOLKEY_H

#include "sha256.h"

#define POOLKEY_MAX (5 + 2 * SHA256_BYTES + 1)   /* with its NUL */
#define POOLKEY_TEXT_MAX 1024                    /* of one of the two addresses; a longer one has no key */

/* Writes the key. Returns 0 when an address is too long. */
extern int poolkey(char key[POOLKEY_MAX], const char *domain, const char *sender, const char *recipient);

#endif
