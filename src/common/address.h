/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Addresses of clients, and the networks that they belong to.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stddef.h>

#define ADDRESS_TEXT_MAX 64   /* room for any address with its prefix, and the NUL */

struct address {
  int bits;                   /* 32 or 128 */
  unsigned char bytes[16];
};

/* Reads an address as tcpserver gives it; one of IPv4 written as IPv6 becomes that of IPv4. Returns 0 if it is not
 * valid. */
extern int address_parse(struct address *a, const char *text);

/* Clears the bits behind the prefix; one longer than the address is the whole address. Returns the prefix's length. */
extern int address_network(struct address *a, int prefix);

/* Writes ADDRESS SEPARATOR PREFIX, such as 198.51.100.0/24, into out[ADDRESS_TEXT_MAX]. */
extern void address_text(char *out, const struct address *a, char separator, int prefix);

/* Reads a network such as 127.0.0.0/8 or 2001:db8::/32, whose bits behind the prefix must be 0; without a prefix it is
 * one address. IPv4 written as IPv6 becomes IPv4, its prefix, too. */
extern int address_parse_network(struct address *a, int *prefix, const char *text);

extern int address_inside(const struct address *a, const struct address *network, int prefix);
extern int address_equal(const struct address *a, const struct address *b);

#endif
