/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Questions to the resolver for an event loop: nothing here waits. As dnsask.h, each question has a socket and so a
 * port of its own, is sent after a second to the next server, and by TCP where an answer is truncated. At most
 * RESOLVER_MOST are outstanding; those beyond wait for a place until their time is over.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include <stddef.h>
#include <sys/socket.h>
#include "dnsmessage.h"
#include "dnsstream.h"
#include "fileseen.h"
#include "watch.h"

#define RESOLVER_MOST 150      /* dnscache holds 200 */
#define RESOLVER_SERVERS 3

/* The end of a question: the answer, checked, or null and the reason. */
typedef void resolver_done(void *arg, int which, const unsigned char *answer, size_t len, const char *trouble);

struct resolver_question {
  struct watch watch;            /* its socket: UDP, or TCP when by_tcp; -1 while it has none */
  int used;
  int by_tcp;
  unsigned char query[DNSMESSAGE_QUERY_MAX];
  size_t query_len;
  int server;
  unsigned failed;               /* a bit for each server that failed */
  long next_ms;
  long end_ms;
  size_t sent;
  struct dnsstream stream;
  resolver_done *done;
  void *arg;
  int which;
};

struct resolver {
  int epoll;
  struct fileseen conf;
  int servers;
  struct sockaddr_storage server[RESOLVER_SERVERS];
  socklen_t server_len[RESOLVER_SERVERS];
  int outstanding;
  struct resolver_question question[RESOLVER_MOST];
};

extern void resolver_begin(struct resolver *r, int epoll);

/* Reads the servers from DNSCACHEIP, or from resolv.conf when it has changed. */
extern void resolver_servers(struct resolver *r);

/* Asks a question; returns 0 when there is no place for it now. done is called later, never from here, and not after
 * resolver_forget(); it may ask again. */
extern int resolver_ask(struct resolver *r, const char *name, int type, long now, long end, resolver_done *done, void *arg,
                        int which);

/* Ends all questions of that arg; done is not called. */
extern void resolver_forget(struct resolver *r, const void *arg);

/* Repeats or ends the questions that are due. Returns when to call it next, or -1. */
extern long resolver_time(struct resolver *r, long now);

#endif
