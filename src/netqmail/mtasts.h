/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A domain's policy of MTA-STS (RFC 8461), as postfix-mta-sts-resolver tells it over a socket: netstrings, one question
 * and one answer, as in Postfix's socketmap_table(5).
 *
 *   mta-sts DOMAIN
 *   OK secure match=mx.example.com:.example.com servername=hostname   mode enforce; ".example.com" was "*.example.com"
 *   NOTFOUND                                                          no policy, or mode testing or none
 *   TEMP WHY, PERM WHY, TIMEOUT WHY                                   not known
 *
 * Any other answer is "not known", too; of the words behind "secure" only match= counts. Pure.
 * Valid as gnu89 and as C99.
 */
#ifndef MTASTS_H
#define MTASTS_H

#include <stddef.h>

#define MTASTS_DOMAIN_MAX 253                    /* bytes of a domain */
#define MTASTS_QUESTION_MAX (MTASTS_DOMAIN_MAX + 16)
#define MTASTS_ANSWER_MAX 70000                  /* bytes; a policy has 64 KiB at most (RFC 8461, 3.3) */

enum mtasts_state {
  MTASTS_MORE,     /* the answer is not whole yet */
  MTASTS_NONE,     /* there is no policy that is enforced */
  MTASTS_ENFORCED, /* mail goes to hosts that mtasts_lists() alone, with a valid certificate of the host's name */
  MTASTS_UNKNOWN
};

struct mtasts {
  size_t length;                   /* bytes of the answer so far */
  char answer[MTASTS_ANSWER_MAX];
  const char *patterns;            /* in the answer, with ':' between two; where the state is MTASTS_ENFORCED */
  size_t patterns_length;
};

/*
 * Writes the question into MTASTS_QUESTION_MAX bytes, without a NUL. Returns its length; 0 where it is not asked, as there
 * can be no policy: an address in brackets, a name that is too long, or has too long a label or other bytes than a host
 * name's.
 */
extern size_t mtasts_question(char *to, const char *domain, size_t length);

/* Reads the answer as far as it has come: bytes have been added to it, and to its length. */
extern enum mtasts_state mtasts_read(struct mtasts *policy);

/*
 * Whether the policy lists a host (RFC 8461, 4.1): a pattern is the host's name in any case, or its first character is a
 * dot, and the name has one label in front of it. A dot at the end of the name does not count.
 */
extern int mtasts_lists(const struct mtasts *policy, const char *host);

#endif
