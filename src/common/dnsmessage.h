/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Questions to a resolver and its answers (RFC 1035, 4). An answer comes from the owner of a zone: nothing in it is
 * trusted before it is checked.
 */
#ifndef DNSMESSAGE_H
#define DNSMESSAGE_H

#include <stddef.h>
#include "address.h"

#define DNSMESSAGE_NAME_MAX 256     /* a name as text, without a dot at its end; with its NUL */
#define DNSMESSAGE_QUERY_MAX 300
#define DNSMESSAGE_DATAGRAM_MAX 4096
#define DNSMESSAGE_RECORDS_MAX 4400  /* more addresses than a message of 65535 bytes has room for */

enum { DNSMESSAGE_A = 1, DNSMESSAGE_CNAME = 5, DNSMESSAGE_PTR = 12, DNSMESSAGE_AAAA = 28 };

enum dnsmessage {
  DNSMESSAGE_STRANGE,   /* not an answer to this question */
  DNSMESSAGE_ANSWER,    /* the name exists, or it is known not to exist */
  DNSMESSAGE_CUT,       /* an incomplete answer: it says so (TC), or it ends within its records */
  DNSMESSAGE_TROUBLE    /* the resolver reports an error */
};

/* Writes the question for that name into out[DNSMESSAGE_QUERY_MAX]. Returns its length, 0 if the name is not valid. */
extern size_t dnsmessage_query(unsigned char *out, const char *name, int type, unsigned id);

extern enum dnsmessage dnsmessage_check(const unsigned char *answer, size_t len, const unsigned char *query,
                                        size_t query_len);

/* The addresses (A, AAAA) or the names (PTR) of a checked answer to that question, following its aliases; at most so
 * many. A name with other characters than letters, digits, "-", "_" and "." is left out; letters become small.
 * A malformed record ends the list. */
extern int dnsmessage_addresses(const unsigned char *answer, size_t len, struct address *out, int most);
extern int dnsmessage_names(const unsigned char *answer, size_t len, char (*out)[DNSMESSAGE_NAME_MAX], int most);

/* The name of an address in a tree of reversed ones, such as 7.100.51.198.list.example. Returns 0 if it is too long. */
extern int dnsmessage_reversed(char *out, size_t size, const struct address *a, const char *tree);

#endif
