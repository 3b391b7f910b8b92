/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The address of a MAIL or RCPT command, taken out of the command's argument as qmail-smtpd does it: what is
 * between the first < and the > outside of quotes, or behind the colon up to a blank; without a source route, quotes
 * and the backslashes of quoting. Whether it is allowed in an envelope is checked by envelopeaddress_check(). An
 * address literal is left as it is: qmail-smtpd replaces one of this host by its name. Pure; valid as gnu89 and as
 * C99.
 */
#ifndef ENVELOPEPATH_H
#define ENVELOPEPATH_H

#include <stddef.h>

/* Writes the address and a NUL into out[], which has as many bytes as arg, its NUL included. Returns its length. */
extern size_t envelopepath(char *out, const char *arg);

/* Where the command's parameters begin, behind the character that ends the address. */
extern const char *envelopepath_end(const char *arg);

#endif
