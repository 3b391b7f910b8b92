/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "clock.h"
#include "dnsask.h"
#include "dnsmessage.h"

#ifndef DNSASK_PORT
#define DNSASK_PORT 53
#endif
#ifndef DNSASK_RESOLV_CONF
#define DNSASK_RESOLV_CONF "/etc/resolv.conf"
#endif

#define AGAIN_MS 1000
#define AGAIN_BY_TCP_MS 2000   /* where there is another server */
#define RESOLV_CONF_LINES 200
#define PACKETS_MAX 64   /* of one server, before the time is looked at */

union server_address {
  struct sockaddr any;
  struct sockaddr_in four;
  struct sockaddr_in6 six;
};

struct servers {
  union server_address address[DNSASK_SERVERS_MAX];
  socklen_t address_len[DNSASK_SERVERS_MAX];
  struct pollfd poll[DNSASK_SERVERS_MAX + DNSASK_QUESTIONS_MAX];   /* of the servers, then of the questions */
  int n;
};

void dnsask_question(struct dnsask *ask, const char *name, int type)
{
  unsigned char id[2];

  memset(ask, 0, sizeof *ask);
  ask->server = ask->connection = -1;
  if (getrandom(id, sizeof id, GRND_NONBLOCK) != (ssize_t) sizeof id) {
    ask->state = DNSASK_TROUBLE;
    ask->trouble = "no random number";
    return;
  }
  ask->query_len = dnsmessage_query(ask->query, name, type, (unsigned) id[0] << 8 | id[1]);
  if (!ask->query_len) {
    ask->state = DNSASK_TROUBLE;
    ask->trouble = "no name";
  }
}

/* A socket that receives from that server only; the kernel chooses its port at random. */
static void add_server(struct servers *servers, const char *text)
{
  union server_address to;
  socklen_t size = sizeof to.four;
  int fd;

  if (servers->n == DNSASK_SERVERS_MAX)
    return;
  memset(&to, 0, sizeof to);
  to.four.sin_family = AF_INET;
  to.four.sin_port = htons(DNSASK_PORT);
  if (inet_pton(AF_INET, text, &to.four.sin_addr) != 1) {
    memset(&to, 0, sizeof to);
    size = sizeof to.six;
    to.six.sin6_family = AF_INET6;
    to.six.sin6_port = htons(DNSASK_PORT);
    if (inet_pton(AF_INET6, text, &to.six.sin6_addr) != 1)
      return;
  }
  fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd == -1)
    return;
  if (connect(fd, &to.any, size) == -1) {
    close(fd);
    return;
  }
  servers->address[servers->n] = to;
  servers->address_len[servers->n] = size;
  servers->poll[servers->n].fd = fd;
  servers->poll[servers->n].events = POLLIN;
  ++servers->n;
}

static void find_servers(struct servers *servers)
{
  const char *own = getenv("DNSCACHEIP");
  char line[256];
  char word[64];
  int lines = 0;
  FILE *f;

  servers->n = 0;
  if (own && *own) {
    add_server(servers, own);
    return;
  }
  f = fopen(DNSASK_RESOLV_CONF, "re");
  if (f) {
    while (lines++ < RESOLV_CONF_LINES && fgets(line, sizeof line, f))
      if (sscanf(line, "nameserver %63s", word) == 1)
        add_server(servers, word);
    fclose(f);
  }
  if (!servers->n)
    add_server(servers, "127.0.0.1");
}

/* Puts a question to the next server that has not failed yet. An error from the kernel here is about an earlier
 * datagram. */
static void put(struct servers *servers, struct dnsask *ask, long long now)
{
  int rounds;

  do
    ask->server = (ask->server + 1) % servers->n;
  while (ask->failed & (1u << ask->server));
  for (rounds = 0; rounds < 2; ++rounds)
    if (send(servers->poll[ask->server].fd, ask->query, ask->query_len, MSG_NOSIGNAL) >= 0)
      break;
  ask->next_ms = now + AGAIN_MS;
}

static void hang_up(struct dnsask *ask)
{
  if (ask->connection != -1)
    close(ask->connection);
  ask->connection = -1;
  dnsstream_end(&ask->stream);
}

static void in_trouble(struct dnsask *ask, const char *why)
{
  hang_up(ask);
  ask->state = DNSASK_TROUBLE;
  ask->trouble = why;
}

/* That server failed: asks another one at once; when no other is left, the question is in trouble. */
static void failed(struct servers *servers, int number, struct dnsask *ask, const char *why, long long now)
{
  ask->failed |= 1u << number;
  if (ask->failed == (1u << servers->n) - 1) {
    in_trouble(ask, why);
  } else if (ask->server == number) {
    hang_up(ask);
    put(servers, ask, now);
  }
}

/* Keeps the answer, which malloc allocated. */
static void answered(struct dnsask *ask, unsigned char *answer, size_t len)
{
  hang_up(ask);
  ask->answer = answer;
  ask->answer_len = len;
  ask->state = DNSASK_ANSWERED;
}

/* Asks that server by TCP, after its datagram said that the answer does not fit into one. */
static void connect_to(struct servers *servers, int number, struct dnsask *ask, long long now)
{
  const union server_address *to = &servers->address[number];

  ask->server = number;
  ask->sent = 0;
  ask->next_ms = now + AGAIN_BY_TCP_MS;
  dnsstream_begin(&ask->stream);
  ask->connection = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (ask->connection == -1
      || (connect(ask->connection, &to->any, servers->address_len[number]) == -1 && errno != EINPROGRESS))
    failed(servers, number, ask, "no connection to the resolver by TCP", now);
}

/* Sends the rest of the question; returns 0 when it cannot be sent. */
static int speak(struct dnsask *ask)
{
  unsigned char all[2 + DNSMESSAGE_QUERY_MAX];
  ssize_t n;

  all[0] = (unsigned char) (ask->query_len >> 8);
  all[1] = (unsigned char) ask->query_len;
  memcpy(all + 2, ask->query, ask->query_len);
  n = send(ask->connection, all + ask->sent, 2 + ask->query_len - ask->sent, MSG_NOSIGNAL);
  if (n > 0)
    ask->sent += (size_t) n;
  return n >= 0 || errno == EAGAIN || errno == EINTR;
}

/* Reads what has come by TCP. A connection is for one question: anything but its answer ends the connection. */
static void listen_to(struct servers *servers, struct dnsask *ask, long long now)
{
  unsigned char piece[4096];
  const char *why = "the resolver hung up by TCP";
  enum dnsstream_state state;
  enum dnsmessage what;
  ssize_t n;

  n = recv(ask->connection, piece, sizeof piece, 0);
  if (n == -1 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n > 0) {
    state = dnsstream_feed(&ask->stream, piece, (size_t) n);
    if (state == DNSSTREAM_MORE)
      return;
    why = "no answer to the question by TCP";
    if (state == DNSSTREAM_WHOLE) {
      what = dnsmessage_check(ask->stream.message, ask->stream.len, ask->query, ask->query_len);
      if (what == DNSMESSAGE_ANSWER) {
        unsigned char *answer = ask->stream.message;
        size_t len = ask->stream.len;

        ask->stream.message = 0;
        answered(ask, answer, len);
        return;
      }
      if (what == DNSMESSAGE_CUT)
        why = "the answer is cut by TCP, too";
      if (what == DNSMESSAGE_TROUBLE)
        why = "the resolver has no answer";
    }
  }
  failed(servers, ask->server, ask, why, now);
}

static void go_on(struct servers *servers, struct dnsask *ask, short events, long long now)
{
  if (ask->sent < 2 + ask->query_len) {
    if (!speak(ask))
      failed(servers, ask->server, ask, "no connection to the resolver by TCP", now);
  } else if (events) {
    listen_to(servers, ask, now);
  }
}

/* Judges a datagram of that server. */
static void take(struct servers *servers, int number, struct dnsask *asks, int n, const unsigned char *packet,
                 size_t len, long long now)
{
  unsigned char *copy;
  int i;
  enum dnsmessage what;

  for (i = 0; i < n; ++i) {
    if (asks[i].state != DNSASK_WAITING)
      continue;
    what = dnsmessage_check(packet, len < DNSMESSAGE_DATAGRAM_MAX ? len : DNSMESSAGE_DATAGRAM_MAX, asks[i].query,
                            asks[i].query_len);
    if (what == DNSMESSAGE_STRANGE)
      continue;
    if (what == DNSMESSAGE_ANSWER && len > DNSMESSAGE_DATAGRAM_MAX)
      what = DNSMESSAGE_CUT;
    if (what == DNSMESSAGE_ANSWER) {
      copy = malloc(len);
      if (copy) {
        memcpy(copy, packet, len);
        answered(&asks[i], copy, len);
      } else {
        in_trouble(&asks[i], "no memory");
      }
    } else if (asks[i].connection == -1 && !(asks[i].failed & (1u << number))) {   /* else the failure is known already */
      if (what == DNSMESSAGE_CUT)
        connect_to(servers, number, &asks[i], now);
      else
        failed(servers, number, &asks[i], "the resolver has no answer", now);
    }
    break;
  }
}

static void hear(struct servers *servers, int number, struct dnsask *asks, int n, long long now)
{
  unsigned char packet[DNSMESSAGE_DATAGRAM_MAX];
  ssize_t len = -1;
  int packets = 0;
  int i;

  while (packets++ < PACKETS_MAX
         && (len = recv(servers->poll[number].fd, packet, sizeof packet, MSG_TRUNC)) >= 0)
    take(servers, number, asks, n, packet, (size_t) len, now);
  if (len == -1 && errno == ECONNREFUSED)   /* nobody listens there */
    for (i = 0; i < n; ++i)
      if (asks[i].state == DNSASK_WAITING && asks[i].connection == -1)
        failed(servers, number, &asks[i], "no resolver listens", now);
}

/* Repeats a question when it is time to. A server that is asked by TCP has all of the time if it is the only one. */
static void put_again(struct servers *servers, struct dnsask *ask, long long now, long long end)
{
  if (ask->connection == -1)
    put(servers, ask, now);
  else if ((ask->failed | 1u << ask->server) == (1u << servers->n) - 1)
    ask->next_ms = end;
  else
    failed(servers, ask->server, ask, "no answer by TCP in time", now);
}

void dnsask_all(struct dnsask *asks, int n, long long milliseconds, int (*enough)(int, void *), void *arg)
{
  struct servers servers;
  struct pollfd *mine;
  long long now = clock_ms();
  long long end = now + milliseconds;
  long long next;
  int waiting = 0;
  int i;

  find_servers(&servers);
  mine = servers.poll + servers.n;
  for (i = 0; i < n; ++i) {
    asks[i].next_ms = now;
    if (i >= DNSASK_QUESTIONS_MAX && asks[i].state == DNSASK_WAITING)
      in_trouble(&asks[i], "too many questions");
  }
  if (n > DNSASK_QUESTIONS_MAX)
    n = DNSASK_QUESTIONS_MAX;
  for (;;) {
    waiting = 0;
    next = end;
    for (i = 0; i < n; ++i) {
      if (asks[i].state == DNSASK_WAITING && (!servers.n || now >= end))
        in_trouble(&asks[i], servers.n ? "no answer in time" : "no resolver");
      if (asks[i].state == DNSASK_WAITING && now >= asks[i].next_ms)
        put_again(&servers, &asks[i], now, end);
      mine[i].fd = -1;   /* which poll(2) ignores */
      if (asks[i].state != DNSASK_WAITING)
        continue;
      mine[i].fd = asks[i].connection;
      mine[i].events = asks[i].sent < 2 + asks[i].query_len ? POLLOUT : POLLIN;
      if (asks[i].next_ms < next)
        next = asks[i].next_ms;
      ++waiting;
    }
    if (!waiting)
      break;
    if (poll(servers.poll, (nfds_t) (servers.n + n), next > now ? (int) (next - now) : 0) > 0) {
      for (i = 0; i < n; ++i)
        if (mine[i].fd != -1 && mine[i].revents)
          go_on(&servers, &asks[i], mine[i].revents, now);
      for (i = 0; i < servers.n; ++i)
        if (servers.poll[i].revents)
          hear(&servers, i, asks, n, now);
      for (i = 0; enough && i < n; ++i)
        if (asks[i].state == DNSASK_ANSWERED && enough(i, arg))
          goto done;
    }
    now = clock_ms();
  }
done:
  for (i = 0; i < n; ++i)
    hang_up(&asks[i]);
  for (i = 0; i < servers.n; ++i)
    close(servers.poll[i].fd);
}
