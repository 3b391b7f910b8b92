/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Asks the resolver several questions at once, with one deadline.
 *
 * It sends UDP datagrams itself instead of using libc's resolver, which asks one question after the other with waits
 * of its own (5 s, twice, for each server) and which cannot be linked statically; a static program starts a fifth faster.
 * The servers are those of /etc/resolv.conf, or of DNSCACHEIP as with djbdns's own programs. A truncated datagram is
 * not an answer: that server is asked again by TCP (RFC 7766, 5), with the same deadline. That answer is complete,
 * or the question is in trouble.
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
  unsigned failed;               /* a bit for each server that failed */
  long long next_ms;             /* when it is asked again */
  int connection;                /* to that server, while it is asked by TCP; or -1 */
  size_t sent;                   /* bytes of the question there, its length before it included */
  struct dnsstream stream;
  enum dnsask_state state;
  const char *trouble;           /* TROUBLE: the reason */
  unsigned char *answer;         /* ANSWERED: from malloc, */
  size_t answer_len;             /* of that length; the caller frees it */
};

/* Prepares a question, with a number that cannot be guessed; a question with an invalid name is in trouble at once. */
extern void dnsask_question(struct dnsask *ask, const char *name, int type);

/* Puts the questions, DNSASK_QUESTIONS_MAX at most, until each is decided, the time is over, or enough(), asked
 * after each answer, is not 0. */
extern void dnsask_all(struct dnsask *asks, int n, long long milliseconds, int (*enough)(int, void *), void *arg);

#endif
