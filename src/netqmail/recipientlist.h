/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The recipients of a message as qmail-smtpd stores them: 'T', the address and a NUL, one after the other.
 * Pure; valid as gnu89 and as C99.
 */
#ifndef RECIPIENTLIST_H
#define RECIPIENTLIST_H

#include <stddef.h>

/* 1 when the address is in the list: its local part byte by byte, what is behind its last @ without regard to
 * the case of ASCII letters. An address without @ is all local part. */
extern int recipientlist_holds(const char *list, size_t length, const char *address);

#endif
