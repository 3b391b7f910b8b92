/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Several questions put to the resolver at once, under one deadline.
 *
 * By UDP datagrams of our own, not by libc's resolver: that asks one question after the other with waits of its own
 * (5 s, twice, for each server), and it does not link into a static program, which starts a fifth faster.
 * The servers are those of /etc/resolv.conf, or of DNSCACHEIP as with djbdns's own programs.
 * A datagram that is cut is no answer: the question is put to that server again by TCP (RFC 7766, 5), under the same
 * deadline. What comes then is whole, or it is trouble.
 */
#ifndef DNSASK_H
#define DNSASK_H

#include <stddef.h>
#include "dnsmessage.h"
#include "dnsstream.h"

#define DNSASK_SERVERS_MAX 3
#define DNSASK_QUESTIONS_MAX 16   /* at once */

enum dnsask_state { DNSASK_WAITING, DNSASK_ANSWERED, DNSASK_TROUBLE };

struct dnsask {
  unsigned char query[DNSMESSAGE_QUERY_MAX];
  size_t query_len;
  int server;                    /* the last one that was asked */
  unsigned failed;               /* a bit for each server that cannot */
  long long next_ms;             /* when it is put again */
  int connection;                /* to that server, while it is asked by TCP; or -1 */
  size_t sent;                   /* bytes of the question there, its length before it included */
  struct dnsstream stream;
  enum dnsask_state state;
  const char *trouble;           /* TROUBLE: why */
  unsigned char *answer;         /* ANSWERED: from malloc, */
  size_t answer_len;             /* of that length; the caller frees it */
};

/* Prepares a question, with a number that nobody can guess; one about no name is in trouble at once. */
extern void dnsask_question(struct dnsask *ask, const char *name, int type);

/* Puts the questions, DNSASK_QUESTIONS_MAX at most, until each is decided, the time is over, or enough(), asked after each answer, is not 0. */
extern void dnsask_all(struct dnsask *asks, int n, long long milliseconds, int (*enough)(int, void *), void *arg);

#endif
