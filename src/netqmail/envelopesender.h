/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The envelope sender, in a form that is safe in a Received line, where SpamAssassin's SPF test looks for it.
 */
#ifndef ENVELOPESENDER_H
#define ENVELOPESENDER_H

#include <stddef.h>

#define ENVELOPESENDER_MAX 320 /* local part 64 and domain 255 (RFC 5321, 4.5.3.1) and the '@' */

/*
 * Copies the address to safe, which holds size bytes, with '?' for every byte that could end the comment,
 * the brackets or the line: control bytes, space, 8-bit bytes and <>()"\.
 * Returns 0, and an empty text, for the null sender and for an address that does not fit.
 */
int envelopesender(const char *address, char *safe, size_t size);

#endif
