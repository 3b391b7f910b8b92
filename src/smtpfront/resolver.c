/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>
#include "resolver.h"

#ifndef RESOLVER_PORT
#define RESOLVER_PORT 53
#endif
#ifndef RESOLVER_CONF
#define RESOLVER_CONF "/etc/resolv.conf"
#endif

#define AGAIN_MS 1000
#define AGAIN_BY_TCP_MS 2000
#define LINES_MAX 200
#define PACKETS_MAX 16   /* of one question, before others have their turn */

static void ready(struct watch *watch, uint32_t events);

void resolver_begin(struct resolver *r, int epoll)
{
  int i;

  memset(r, 0, sizeof *r);
  r->epoll = epoll;
  for (i = 0; i < RESOLVER_MOST; ++i) {
    r->question[i].watch.fd = -1;
    r->question[i].watch.ready = ready;
    r->question[i].watch.owner = r;
  }
  resolver_servers(r);
}

static void add_server(struct resolver *r, const char *text)
{
  struct sockaddr_in *four;
  struct sockaddr_in6 *six;

  if (r->servers == RESOLVER_SERVERS)
    return;
  memset(&r->server[r->servers], 0, sizeof r->server[0]);
  four = (struct sockaddr_in *) &r->server[r->servers];
  six = (struct sockaddr_in6 *) &r->server[r->servers];
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(RESOLVER_PORT);
    r->server_len[r->servers++] = sizeof *four;
  } else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(RESOLVER_PORT);
    r->server_len[r->servers++] = sizeof *six;
  }
}

void resolver_servers(struct resolver *r)
{
  const char *own = getenv("DNSCACHEIP");
  char line[256];
  char word[64];
  int lines = 0;
  FILE *f;

  if (r->servers && ((own && *own) || !fileseen_changed(&r->conf, RESOLVER_CONF)))
    return;
  r->servers = 0;
  if (own && *own) {
    add_server(r, own);
  } else {
    f = fopen(RESOLVER_CONF, "re");
    while (f && lines++ < LINES_MAX && fgets(line, sizeof line, f))
      if (sscanf(line, "nameserver %63s", word) == 1)
        add_server(r, word);
    if (f)
      fclose(f);
    else
      r->conf.looked = 0;   /* perhaps only now */
  }
  if (!r->servers)
    add_server(r, "127.0.0.1");
}

static void hang_up(struct resolver *r, struct resolver_question *q)
{
  if (q->watch.fd != -1) {
    watch_set(r->epoll, &q->watch, 0);
    close(q->watch.fd);
  }
  q->watch.fd = -1;
  if (q->by_tcp)
    dnsstream_end(&q->stream);
  q->by_tcp = 0;
}

static void end(struct resolver *r, struct resolver_question *q, const unsigned char *answer, size_t len, const char *trouble)
{
  hang_up(r, q);
  q->used = 0;
  --r->outstanding;
  q->done(q->arg, q->which, answer, len, trouble);
}

/* A socket to that server; returns 0 when there is none. */
static int connect_to(struct resolver *r, struct resolver_question *q, int server, int type, uint32_t events)
{
  q->server = server;
  q->watch.fd = socket(r->server[server].ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return q->watch.fd != -1
         && (connect(q->watch.fd, (struct sockaddr *) &r->server[server], r->server_len[server]) == 0 || errno == EINPROGRESS)
         && watch_set(r->epoll, &q->watch, events);
}

/* Puts the question to the next server that has not failed. */
static void put(struct resolver *r, struct resolver_question *q, long now)
{
  int server = q->server;

  do
    server = (server + 1) % r->servers;
  while (q->failed & (1u << server));
  q->next_ms = now + AGAIN_MS;
  if (server != q->server || q->watch.fd == -1) {   /* on the same socket a late answer still counts */
    hang_up(r, q);
    if (!connect_to(r, q, server, SOCK_DGRAM, EPOLLIN))
      return;
  }
  if (send(q->watch.fd, q->query, q->query_len, MSG_NOSIGNAL) == -1)   /* an error from the kernel is about an earlier datagram */
    q->next_ms = now + AGAIN_MS / 10;
}

/* Its server failed: asks the others at once, or ends the question. */
static void failed(struct resolver *r, struct resolver_question *q, const char *why)
{
  q->failed |= 1u << q->server;
  hang_up(r, q);
  if (q->failed == (1u << r->servers) - 1)
    end(r, q, 0, 0, why);
  else
    q->next_ms = 0;
}

static void begin_tcp(struct resolver *r, struct resolver_question *q, long now)
{
  int server = q->server;

  hang_up(r, q);
  q->by_tcp = 1;
  q->sent = 0;
  q->next_ms = now + AGAIN_BY_TCP_MS;
  dnsstream_begin(&q->stream);
  if (!connect_to(r, q, server, SOCK_STREAM, EPOLLOUT))
    failed(r, q, "no connection to the resolver by TCP");
}

static void take_datagrams(struct resolver *r, struct resolver_question *q)
{
  unsigned char packet[DNSMESSAGE_DATAGRAM_MAX];
  enum dnsmessage what;
  ssize_t n;
  int packets;

  for (packets = 0; packets < PACKETS_MAX; ++packets) {
    n = recv(q->watch.fd, packet, sizeof packet, MSG_TRUNC);
    if (n == -1) {
      if (errno == ECONNREFUSED)
        failed(r, q, "no resolver listens");
      return;
    }
    what = dnsmessage_check(packet, n < DNSMESSAGE_DATAGRAM_MAX ? (size_t) n : DNSMESSAGE_DATAGRAM_MAX, q->query, q->query_len);
    if (what == DNSMESSAGE_STRANGE)
      continue;
    if (what == DNSMESSAGE_ANSWER && n > DNSMESSAGE_DATAGRAM_MAX)
      what = DNSMESSAGE_CUT;
    if (what == DNSMESSAGE_ANSWER)
      end(r, q, packet, (size_t) n, 0);
    else if (what == DNSMESSAGE_CUT)
      begin_tcp(r, q, q->next_ms - AGAIN_MS);
    else
      failed(r, q, "the resolver has no answer");
    return;
  }
}

static void speak(struct resolver *r, struct resolver_question *q)
{
  unsigned char all[2 + DNSMESSAGE_QUERY_MAX];
  ssize_t n;

  all[0] = (unsigned char) (q->query_len >> 8);
  all[1] = (unsigned char) q->query_len;
  memcpy(all + 2, q->query, q->query_len);
  n = send(q->watch.fd, all + q->sent, 2 + q->query_len - q->sent, MSG_NOSIGNAL);
  if (n > 0)
    q->sent += (size_t) n;
  if (n == -1 && errno != EAGAIN && errno != EINTR)
    failed(r, q, "no connection to the resolver by TCP");
  else if (q->sent == 2 + q->query_len && !watch_set(r->epoll, &q->watch, EPOLLIN))
    failed(r, q, "no connection to the resolver by TCP");
}

static void take_stream(struct resolver *r, struct resolver_question *q)
{
  unsigned char piece[4096];
  enum dnsstream_state state;
  ssize_t n = recv(q->watch.fd, piece, sizeof piece, 0);

  if (n == -1 && (errno == EAGAIN || errno == EINTR))
    return;
  state = n > 0 ? dnsstream_feed(&q->stream, piece, (size_t) n) : DNSSTREAM_WRONG;
  if (state == DNSSTREAM_MORE)
    return;
  if (state == DNSSTREAM_WHOLE
      && dnsmessage_check(q->stream.message, q->stream.len, q->query, q->query_len) == DNSMESSAGE_ANSWER) {
    unsigned char *answer = q->stream.message;
    size_t len = q->stream.len;

    q->stream.message = 0;
    end(r, q, answer, len, 0);
    free(answer);
    return;
  }
  failed(r, q, n > 0 ? "no answer to the question by TCP" : "the resolver hung up by TCP");
}

static void ready(struct watch *watch, uint32_t events)
{
  struct resolver *r = watch->owner;
  struct resolver_question *q = (struct resolver_question *) watch;   /* its first member */

  (void) events;
  if (!q->used)
    return;
  if (!q->by_tcp)
    take_datagrams(r, q);
  else if (q->sent < 2 + q->query_len)
    speak(r, q);
  else
    take_stream(r, q);
}

int resolver_ask(struct resolver *r, const char *name, int type, long now, long end_ms, resolver_done *done, void *arg,
                 int which)
{
  struct resolver_question *q = r->question;
  unsigned char id[2];

  if (r->outstanding == RESOLVER_MOST || getrandom(id, sizeof id, GRND_NONBLOCK) != (ssize_t) sizeof id)
    return 0;
  while (q->used)
    ++q;
  q->query_len = dnsmessage_query(q->query, name, type, (unsigned) id[0] << 8 | id[1]);
  q->used = 1;
  q->by_tcp = 0;
  q->server = -1;
  q->failed = 0;
  q->end_ms = q->query_len ? end_ms : now;   /* an invalid name is in trouble at its time */
  q->done = done;
  q->arg = arg;
  q->which = which;
  q->next_ms = now;
  ++r->outstanding;
  if (q->query_len)
    put(r, q, now);
  return 1;
}

void resolver_forget(struct resolver *r, const void *arg)
{
  int i;

  for (i = 0; i < RESOLVER_MOST; ++i)
    if (r->question[i].used && r->question[i].arg == arg) {
      hang_up(r, &r->question[i]);
      r->question[i].used = 0;
      --r->outstanding;
    }
}

/* Repeats or ends a question that is due. */
static void look_after(struct resolver *r, struct resolver_question *q, long now)
{
  if (now >= q->end_ms)
    end(r, q, 0, 0, "no answer in time");
  else if (now < q->next_ms)
    return;
  else if (!q->by_tcp)
    put(r, q, now);
  else if ((q->failed | 1u << q->server) == (1u << r->servers) - 1)
    q->next_ms = q->end_ms;
  else
    failed(r, q, "no answer by TCP in time");
}

long resolver_time(struct resolver *r, long now)
{
  long next = -1;
  int i;

  if (!r->outstanding)
    return -1;
  for (i = 0; i < RESOLVER_MOST; ++i)
    if (r->question[i].used)
      look_after(r, &r->question[i], now);
  for (i = 0; i < RESOLVER_MOST; ++i) {   /* with those that were asked meanwhile, when others ended */
    const struct resolver_question *q = &r->question[i];

    if (q->used && (next == -1 || q->next_ms < next))
      next = q->next_ms;
    if (q->used && q->end_ms < next)
      next = q->end_ms;
  }
  return next;
}
