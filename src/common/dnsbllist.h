/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The file of DNS lists. One list a line:
 *
 *   ZONE NETWORK TEXT...      such as: zen.example 127.0.0.0/24 see https://zen.example/
 *
 * An address is listed when its reversed name in ZONE has an address inside NETWORK, which is within 127.0.0.0/8.
 * Never counted are 127.0.0.1, which no list may use (RFC 5782, 2.1), and 127.255.255.0/24, where lists put "your
 * resolver is blocked". Empty lines and those that begin with # are comments.
 */
#ifndef DNSBLLIST_H
#define DNSBLLIST_H

#include "address.h"

#define DNSBLLIST_LINE_MAX 512
#define DNSBLLIST_TEXT_MAX 201
#define DNSBLLIST_ZONE_MAX 190   /* with a reversed IPv6 address before it, still a name */

struct dnsbllist {
  char zone[DNSBLLIST_ZONE_MAX];
  struct address network;
  int prefix;
  char text[DNSBLLIST_TEXT_MAX];   /* printable; may be empty */
};

enum dnsbllist_line { DNSBLLIST_LIST, DNSBLLIST_COMMENT, DNSBLLIST_WRONG };

/* Reads one line, with or without its newline; sets wrong to the reason when the line is not valid. */
extern enum dnsbllist_line dnsbllist_parse(struct dnsbllist *list, const char *line, const char **wrong);

extern int dnsbllist_counts(const struct dnsbllist *list, const struct address *answer);

#endif
