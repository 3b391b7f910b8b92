/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rule of a client in the file that 'mailgate rules compile' makes. The first key that is there decides alone:
 * - of IPv4, as tcpserver -H -R finds it in a file of tcprules: the address; its parts that end in a dot, the longest
 *   first; the empty key;
 * - of IPv6: the networks around the address from /128 to /0; the empty key.
 *
 * The key of an IPv6 network is '[BITS]/LENGTH': the bytes that hold the prefix in lower-case hexadecimal, with the
 * bits behind it 0, and the prefix length in decimal: '[20010db8]/32', '[20010db800]/33', '[]/0'. No key of tcprules
 * begins with '['. The record '[]' holds the prefix lengths that occur, one byte each, the longest first: only these
 * are looked up, and none without that record. formats/rule_keys.py writes the same.
 *
 * Names of hosts and words of ident are not looked at, as tcpserver knows neither with those options.
 */
#ifndef TCPRULE_H
#define TCPRULE_H

#include <stddef.h>
#include "address.h"
#include "cdbread.h"

#define TCPRULE_DATA_MAX 4096
#define TCPRULE_VARIABLES_MAX 64
#define TCPRULE_IPV6_KEY_MAX 40       /* '[', 32 digits, ']/128' and the NUL */
#define TCPRULE_IPV6_LENGTHS_MAX 129

enum tcprule {
  TCPRULE_TROUBLE,   /* nobody knows: the client is dropped */
  TCPRULE_DENY,
  TCPRULE_ALLOW      /* with the variables; no rule at all is this, without any */
};

struct tcprule_found {
  char data[TCPRULE_DATA_MAX];
  const char *variable[TCPRULE_VARIABLES_MAX];   /* NAME=VALUE, into data */
  int variables;
  const char *trouble;                           /* TROUBLE: a fixed text */
};

extern enum tcprule tcprule_find(struct tcprule_found *found, struct cdbread *c, const struct address *client);

/* Writes the key of the network of that prefix length around a client of IPv6 into key[TCPRULE_IPV6_KEY_MAX]; returns
 * its length. */
extern size_t tcprule_ipv6_key(char *key, const struct address *client, int prefix);

/* Reads the data of one rule, len bytes in found->data: 'D' for a denial, '+' and NAME=VALUE, each ended by a NUL. What
 * is neither is passed over, as tcpserver does. */
extern enum tcprule tcprule_read(struct tcprule_found *found, size_t len);

/* The value of that variable, or null. Of two, the last counts. */
extern const char *tcprule_value(const struct tcprule_found *found, const char *name);

#endif
