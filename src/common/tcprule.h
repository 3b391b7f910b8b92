/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rule of a client in the file that tcprules compiles, as tcpserver -H -R finds it: by the address; by its parts
 * that end in a dot, the longest first; by the empty key. The first that is there decides alone. Names of hosts and
 * words of ident are not looked at, as tcpserver knows neither with those options. An address of IPv6 has no rule but
 * the one of the empty key.
 */
#ifndef TCPRULE_H
#define TCPRULE_H

#include <stddef.h>
#include "address.h"
#include "cdbread.h"

#define TCPRULE_DATA_MAX 4096
#define TCPRULE_VARIABLES_MAX 64

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

/* Reads the data of one rule, len bytes in found->data: 'D' for a denial, '+' and NAME=VALUE, each ended by a NUL. What
 * is neither is passed over, as tcpserver does. */
extern enum tcprule tcprule_read(struct tcprule_found *found, size_t len);

/* The value of that variable, or null. Of two, the last counts. */
extern const char *tcprule_value(const struct tcprule_found *found, const char *name);

#endif
