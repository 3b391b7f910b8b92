/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "clock.h"
#include "relay.h"

#define BUFFER 16384          /* a record of TLS */
#define CLOSING_MS 1000       /* what the client still sends is taken, so that closing does not destroy the last reply */
#define NAME_MAX_BYTES 200

static char asked_name[NAME_MAX_BYTES];   /* one session at a time */

/* ---- the handshake ---- */

static int on_name(SSL *session, int *alert, void *arg)
{
  const char *name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
  size_t i;

  (void) alert;
  (void) arg;
  for (i = 0; name && name[i] && i < sizeof asked_name - 1; ++i) {
    if (!isalnum((unsigned char) name[i]) && !strchr("-._", name[i]))
      break;
    asked_name[i] = name[i];
  }
  asked_name[name && !name[i] ? i : 0] = 0;
  return SSL_TLSEXT_ERR_NOACK;
}

void relay_use(SSL_CTX *context)
{
  SSL_CTX_set_tlsext_servername_callback(context, on_name);
}

static void explain(char terms[TLSLINK_PACKET_MAX], int what)
{
  unsigned long error = ERR_peek_error();
  const char *reason = error ? ERR_reason_error_string(error) : 0;

  if (!reason)
    reason = what == SSL_ERROR_SYSCALL && errno ? strerror(errno) : "the client hung up";
  snprintf(terms, TLSLINK_PACKET_MAX, "%.200s", reason);
  ERR_clear_error();
}

int relay_handshake(SSL *session, int control, long milliseconds, char terms[TLSLINK_PACKET_MAX])
{
  struct pollfd polled[2] = {{SSL_get_fd(session), 0, 0}, {control, POLLIN, 0}};
  long long end = clock_ms() + milliseconds;
  long long left;
  int result;

  asked_name[0] = 0;
  for (;;) {
    ERR_clear_error();
    errno = 0;
    result = SSL_accept(session);
    if (result == 1) {
      snprintf(terms, TLSLINK_PACKET_MAX, "%s %s %s", SSL_get_version(session), SSL_get_cipher_name(session),
               asked_name[0] ? asked_name : "-");
      return 1;
    }
    result = SSL_get_error(session, result);
    if (result != SSL_ERROR_WANT_READ && result != SSL_ERROR_WANT_WRITE) {
      explain(terms, result);
      return 0;
    }
    left = end - clock_ms();
    polled[0].events = result == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
    if (left <= 0 || poll(polled, 2, (int) left) == 0) {
      snprintf(terms, TLSLINK_PACKET_MAX, "the handshake took too long");
      return 0;
    }
    if (polled[1].revents) {   /* nothing more is expected there but its end */
      snprintf(terms, TLSLINK_PACKET_MAX, "the session was given up");
      return 0;
    }
  }
}

/* ---- bytes ---- */

struct way {
  char bytes[BUFFER];
  size_t from;
  size_t to;          /* nothing waits when both are the same */
  int over;           /* nothing more comes */
};

struct both {
  SSL *session;
  int plain;
  struct way up;      /* from the client to the program */
  struct way down;
  int told;           /* the program has been told that the client sends no more */
  int gone;           /* the client, or the program, is not there any more */
  short client_events;
  short plain_events;
};

static int waits(const struct way *w)
{
  return w->from < w->to;
}

/* What OpenSSL needs to go on. Returns 0 when the client has no more, or is gone. */
static int want(struct both *b, int result)
{
  switch (SSL_get_error(b->session, result)) {
    case SSL_ERROR_WANT_READ: b->client_events |= POLLIN; return 1;
    case SSL_ERROR_WANT_WRITE: b->client_events |= POLLOUT; return 1;
    default: ERR_clear_error(); return 0;
  }
}

static int carry_up(struct both *b)
{
  struct way *w = &b->up;
  ssize_t sent;
  int n;

  if (!waits(w) && !w->over) {
    n = SSL_read(b->session, w->bytes, sizeof w->bytes);
    if (n <= 0) {
      w->over = !want(b, n);
    } else {
      w->from = 0;
      w->to = (size_t) n;
    }
  }
  if (waits(w)) {
    sent = send(b->plain, w->bytes + w->from, w->to - w->from, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      w->from += (size_t) sent;
      return 1;
    }
    if (errno == EAGAIN) {
      b->plain_events |= POLLOUT;
    } else if (errno != EINTR) {   /* the program has ended; what it said last is still to be read */
      w->over = 1;
      w->from = w->to;
    }
  }
  if (w->over && !waits(w) && !b->told) {
    shutdown(b->plain, SHUT_WR);
    b->told = 1;
  }
  return 0;
}

static int carry_down(struct both *b)
{
  struct way *w = &b->down;
  ssize_t heard;
  int n;

  if (!waits(w) && !w->over) {
    heard = recv(b->plain, w->bytes, sizeof w->bytes, MSG_DONTWAIT);
    if (heard > 0) {
      w->from = 0;
      w->to = (size_t) heard;
    } else if (heard == -1 && errno == EAGAIN) {
      b->plain_events |= POLLIN;
    } else if (heard == 0 || errno != EINTR) {
      w->over = 1;
    }
  }
  if (waits(w)) {
    n = SSL_write(b->session, w->bytes + w->from, (int) (w->to - w->from));
    if (n > 0) {
      w->from += (size_t) n;
      return 1;
    }
    b->gone = !want(b, n);
  }
  return 0;
}

/* Says the end of TLS, and takes what the client still sends for a moment. */
static void say_goodbye(SSL *session)
{
  struct pollfd one = {SSL_get_fd(session), POLLIN, 0};
  long long end = clock_ms() + CLOSING_MS;
  char dump[4096];
  long long left;

  SSL_shutdown(session);
  ERR_clear_error();
  shutdown(one.fd, SHUT_WR);
  while ((left = end - clock_ms()) > 0 && poll(&one, 1, (int) left) == 1)
    if (recv(one.fd, dump, sizeof dump, MSG_DONTWAIT) <= 0)
      return;
}

void relay(SSL *session, int plain)
{
  static struct both b;
  struct pollfd polled[2];
  long long moved_ms = clock_ms();
  long long now;
  int timeout;

  memset(&b, 0, sizeof b);
  b.session = session;
  b.plain = plain;
  for (;;) {
    b.client_events = b.plain_events = 0;
    ERR_clear_error();
    if (carry_up(&b) + carry_down(&b)) {
      moved_ms = clock_ms();
      continue;
    }
    if (b.gone)
      return;
    if (b.down.over && !waits(&b.down)) {
      say_goodbye(session);
      return;
    }
    now = clock_ms();
    timeout = -1;   /* the programs have deadlines of their own; who scans is silent for minutes */
    if (waits(&b.down))
      timeout = (int) (moved_ms + (b.down.over ? RELAY_LINGER_MS : RELAY_GIVE_UP_MS) - now);
    if (waits(&b.down) && timeout <= 0)
      return;
    /* One of which nothing is wanted is left out: a connection that was reset would wake us again and again. */
    polled[0].fd = b.client_events ? SSL_get_fd(session) : -1;
    polled[0].events = b.client_events;
    polled[1].fd = b.plain_events ? plain : -1;
    polled[1].events = b.plain_events;
    poll(polled, 2, timeout);
  }
}
