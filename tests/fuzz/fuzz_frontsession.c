/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The whole session of a client of smtpfront: the same in any pieces, up to its end or its hand-over;
 * only what is a session is handed over, with the client's own bytes; and nothing of it stays behind. With TLS, which a
 * played smtptls makes, nothing that came before the client was told to begin is left then, and no word of it is handed over.
 * fuzz-sources: src/smtpfront/session.c src/smtpfront/fronttls.c
 * fuzz-flags: -Wl,--wrap=getpeername,--wrap=controls_rule,--wrap=controls_greeting,--wrap=controls_usable,--wrap=controls_rcpthosts -Wl,--wrap=controls_validrcptto,--wrap=controls_badmailfrom,--wrap=controls_databytes
 * fuzz-flags: -Wl,--wrap=controls_tls,--wrap=tlslink_begin,--wrap=tlslink_go,--wrap=tlslink_answer
 * fuzz-length: 3000
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "fuzz.h"
#include "front.h"
#include "refusal.h"
#include "smtpreply.h"

#define HEARD_MAX 400000
#define ROUNDS_MAX 20000

const char *const fuzz_words[] = {
  "EHLO a\r\n", "HELO \r\n", "MAIL FROM:<a@b.c>\r\n", "MAIL FROM:<a@b.c> SIZE=9\r\n", "RCPT TO:<y@b.c>\r\n", "RCPT TO:<n@b.c>\r\n",
  "RCPT TO:<u@b.c>\r\n", "RCPT TO:<x@b.c>\r\n", "DATA\r\n", "RSET\r\n", "NOOP\r\n", "QUIT\r\n", "\r\n", "\n", "\r", "MAIL FROM:<>\r\n", "STARTTLS\r\n",
  "EHLO a\r\nSTARTTLS\r\n", 0,
};

static struct front front;
static struct session places[4];
static int asks;      /* DNS lists are asked first: the answer comes later */
static int refused;   /* by them */
static int has_tls;
static int tls_fails; /* 1: no connection, 2: no session, 3: it is gone when the client is to begin, 4: no handshake, else it does not */

static struct {       /* the played smtptls, of one session */
  int control;        /* -1: none */
  int client;         /* the plain end's other one */
  char letter;        /* its next answer */
  int established;
} tls;

struct heard {
  char bytes[HEARD_MAX];
  size_t len;
  char handed[HANDOVER_MAX];
  size_t handed_len;
};

static struct heard *now_heard;

/* ---- what surrounds session.c ---- */

int __wrap_getpeername(int fd, struct sockaddr *peer, socklen_t *len)
{
  struct sockaddr_in address;

  (void) fd;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0xc6336407);
  HOLD(*len >= sizeof address);
  memcpy(peer, &address, sizeof address);
  *len = sizeof address;
  return 0;
}

enum tcprule __wrap_controls_rule(struct controls *c, struct tcprule_found *found, const struct address *client)
{
  (void) c;
  (void) client;
  found->variables = 0;
  return TCPRULE_ALLOW;
}

const char *__wrap_controls_greeting(struct controls *c)
{
  strcpy(c->greeting, "mx.test");
  return c->greeting;
}

int __wrap_controls_usable(struct controls *c)
{
  (void) c;
  return 1;
}

unsigned __wrap_controls_databytes(struct controls *c, const char *of_rule)
{
  (void) c;
  (void) of_rule;
  return 1000;
}

int __wrap_controls_tls(void *arg)
{
  (void) arg;
  return 1;
}

static void answer_with(char letter)
{
  tls.letter = letter;
  HOLD(send(tls.control, "", 1, MSG_NOSIGNAL) == 1);
}

int __wrap_tlslink_begin(struct tlslink *t, const char *path, int client)
{
  int ends[2];

  HOLD(*path == '/' && client != -1);
  memset(t, 0, sizeof *t);
  t->control = t->plain = -1;
  if (tls_fails == 1)
    return 0;
  if (tls.control != -1)
    close(tls.control);
  HOLD(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  t->control = ends[1];
  tls.control = ends[0];
  answer_with(tls_fails == 2 ? TLSLINK_FAILED : TLSLINK_TAKEN);
  return 1;
}

/* The client has heard that it may begin, and nothing that it said before is left. */
int __wrap_tlslink_go(const struct tlslink *t)
{
  int unread = -1;

  (void) t;
  HOLD(!places[0].in && !places[0].out && ioctl(places[0].watch.fd, FIONREAD, &unread) == 0 && unread == 0);
  if (tls_fails == 3)
    return 0;
  answer_with(tls_fails == 4 ? TLSLINK_FAILED : TLSLINK_ESTABLISHED);
  return 1;
}

int __wrap_tlslink_answer(struct tlslink *t)
{
  char byte;
  int ends[2];

  if (recv(t->control, &byte, 1, MSG_DONTWAIT) != 1)
    return errno == EAGAIN ? 0 : -1;
  if (tls.letter == TLSLINK_TAKEN) {
    HOLD(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    t->plain = ends[1];
    if (tls.client != -1)
      close(tls.client);
    tls.client = ends[0];
  }
  tls.established |= tls.letter == TLSLINK_ESTABLISHED;
  strcpy(t->terms, "TLSv1.3 TLS_AES_128_GCM_SHA256 -");
  return tls.letter;
}

int __wrap_controls_badmailfrom(void *arg, const char *sender)
{
  (void) arg;
  return sender[0] == 'b';
}

enum dialogue_answer __wrap_controls_rcpthosts(void *arg, const char *recipient)
{
  (void) arg;
  return recipient[0] == 'u' ? DIALOGUE_UNSURE : recipient[0] == 'n' ? DIALOGUE_NO : DIALOGUE_YES;
}

enum dialogue_answer __wrap_controls_validrcptto(void *arg, const char *recipient)
{
  (void) arg;
  return recipient[0] == 'x' ? DIALOGUE_NO : DIALOGUE_YES;
}

static void say_line(const char *format, va_list arguments)
{
  static char line[2000];

  HOLD(vsnprintf(line, sizeof line, format, arguments) < 1500);
}

void front_say(struct front *f, uint64_t number, const char *format, ...)
{
  va_list arguments;

  (void) f;
  (void) number;
  va_start(arguments, format);
  say_line(format, arguments);
  va_end(arguments);
}

void front_note(struct front *f, struct session *s, const char *format, ...)
{
  va_list arguments;

  (void) f;
  (void) s;
  va_start(arguments, format);
  say_line(format, arguments);
  va_end(arguments);
}

void verdict_ask(struct front *f, struct session *s)
{
  (void) f;
  if (asks) {
    s->state = SESSION_ASKING;
    return;
  }
  s->verdict = refused ? VERDICT_REFUSE : VERDICT_PASS;
}

void verdict_forget(struct front *f, struct session *s)
{
  (void) f;
  (void) s;
}

void verdict_end(struct session *s)
{
  (void) s;
}

void verdict_recipient(struct front *f, struct session *s, const char *recipient)
{
  (void) f;
  HOLD(s->verdict != VERDICT_NONE && strlen(recipient) <= SMTPCOMMAND_LINE_MAX);
}

void verdict_time(struct front *f, struct session *s)
{
  s->verdict = refused ? VERDICT_REFUSE : VERDICT_PASS;
  session_judged(f, s);
}

/* The line of MAIL, as it was said since TLS, if that is there. */
static const char *said_since;
static size_t said_since_len;

static void check_said(const struct handover *h)
{
  const char *mail = memchr(h->said, '\n', h->said_len);

  mail = mail && mail + 1 < h->said + h->said_len ? mail + 1 : h->said;
  HOLD(memmem(said_since, said_since_len, mail, (size_t) (h->said + h->said_len - mail)));
}

int link_send(struct front *f, struct session *s, const char *bytes, size_t len)
{
  struct handover h;

  (void) f;
  HOLD(!refused && s->verdict == VERDICT_PASS && !now_heard->handed_len);
  HOLD(len > 0 && len <= HANDOVER_MAX && handover_read(&h, bytes, len) && h.said_len > 0);
  HOLD(!s->tls == !tls.established && (!s->tls || starttls_terms(s)->version[0]));
  check_said(&h);
  memcpy(now_heard->handed, bytes, len);
  now_heard->handed_len = len;
  return 1;
}

static void logged(const char *line, size_t len)
{
  HOLD(len > 0 && len <= REFUSAL_LINE_MAX && line[len - 1] == '\n');
}

/* ---- a client ---- */

static void begin_front(void)
{
  memset(&front, 0, sizeof front);
  memset(places, 0, sizeof places);
  front.epoll = epoll_create1(EPOLL_CLOEXEC);
  front.session = places;
  front.limits.all = sizeof places / sizeof *places;
  front.limits.client = front.limits.network = 4;
  front.limits.bytes = 100000;
  front.limits.idle_ms = front.limits.whole_ms = front.limits.place_ms = 1000;
  front.limits.secured = 4;
  front.controls.tls_path = has_tls ? "/socket" : 0;
  tls.control = tls.client = -1;
  tls.established = 0;
  HOLD(front.epoll != -1);
}

/* A pair of sockets of this machine: what is sent is there at once. Of the second little is taken at once. */
static int client_of(int *served)
{
  const int few = 1;
  int ends[2];

  HOLD(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  HOLD(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &few, sizeof few) == 0);
  *served = ends[1];
  return ends[0];
}

static void listen_to(int client)
{
  ssize_t n;

  while ((n = recv(client, now_heard->bytes + now_heard->len, HEARD_MAX - now_heard->len, MSG_DONTWAIT)) > 0)
    now_heard->len += (size_t) n;
  HOLD(now_heard->len < HEARD_MAX);
}

/* Runs the loop until nothing is to be done. */
static void settle(int client)
{
  struct epoll_event event[8];
  int rounds;
  int n;
  int i;

  for (rounds = 0; rounds < ROUNDS_MAX; ++rounds) {
    listen_to(client);
    if (places[0].state == SESSION_ASKING) {
      session_time(&front, &places[0]);
      continue;
    }
    n = epoll_wait(front.epoll, event, 8, 0);
    if (n <= 0)
      return;
    for (i = 0; i < n; ++i) {
      struct watch *watch = event[i].data.ptr;

      if (watch->events)
        watch->ready(watch, event[i].events);
    }
  }
  HOLD(!"the loop comes to rest");
}

static void end_tls(void)
{
  if (tls.control != -1)
    close(tls.control);
  if (tls.client != -1)
    close(tls.client);
}

/* Says all of it, in pieces of that many bytes. */
static void talk(struct heard *heard, const char *bytes, size_t len, size_t piece)
{
  static const unsigned char secret[16];
  size_t at = 0;
  size_t n;
  int client;
  int served;

  now_heard = heard;
  heard->len = heard->handed_len = 0;
  begin_front();
  front.free = places;
  HOLD(places_begin(&front.places, 4, secret));
  client = client_of(&served);
  session_begin(&front, served);
  said_since = bytes;
  said_since_len = len;
  settle(client);
  while (at < len && !heard->handed_len && places[0].state != SESSION_FREE && places[0].state != SESSION_CLOSING) {
    n = len - at < piece ? len - at : piece;
    if (send(client, bytes + at, n, MSG_NOSIGNAL) != (ssize_t) n)
      break;
    at += n;
    settle(client);
    if (tls.established && tls.client != -1) {   /* from now on it is heard there, too */
      listen_to(client);
      close(client);
      client = tls.client;
      tls.client = -1;
      said_since = bytes + at;
      said_since_len = len - at;
      settle(client);
    }
  }
  if (heard->handed_len)
    session_answered(&front, &places[0], FRONTLINK_TAKEN);
  else if (places[0].state != SESSION_FREE)
    session_end(&front, &places[0], 0);
  HOLD(places[0].state == SESSION_FREE && front.sessions == 0 && front.secured == 0 && front.waiting == 0 && !front.oldest && !front.newest);
  listen_to(client);
  close(client);
  end_tls();
  close(front.epoll);
  places_end(&front.places);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct heard whole;
  static struct heard cut;
  size_t piece;

  if (size < 2)
    return 0;
  refusal_write = logged;
  asks = data[0] & 1;
  refused = data[0] >> 1 & 1;
  has_tls = data[0] >> 2 & 1;
  tls_fails = data[0] >> 3 & 7;
  piece = 1 + data[1] % 90;
  talk(&whole, (const char *) data + 2, size - 2, 4000);
  talk(&cut, (const char *) data + 2, size - 2, piece);
  if (has_tls)
    return 0;   /* what stands behind STARTTLS in one piece ends the session, in another it need not */
  HOLD(!whole.handed_len == !cut.handed_len);
  /* Who sends all at once may be cut off before it has heard all. */
  HOLD(whole.len == cut.len && memcmp(whole.bytes, cut.bytes, cut.len) == 0);
  return 0;
}
