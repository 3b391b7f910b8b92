/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Names that a provider generates for the addresses of its customers, such as 198-51-100-7.dsl.isp.example: they say
 * nothing about who sends. They are known by the digits of the client's own address: at least three octets in a row in
 * either order, all four in any, the last two or the last one beside a word such as dsl; in decimal, also padded with
 * zeros or without separators, as one number, or in hexadecimal; of IPv6 three of the eight groups in a row, all that
 * are not zero, or the first or last 64 bits. A mail server's name may have one or two octets, such as
 * mail-7.example.com or a8-29.example.com: it is not generic. No side effects.
 */
#ifndef GENERICNAME_H
#define GENERICNAME_H

#include "address.h"

/* name: in small letters, shorter than DNSMESSAGE_NAME_MAX. */
extern int genericname(const char *name, const struct address *client);

#endif
