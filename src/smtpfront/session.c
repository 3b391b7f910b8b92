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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "front.h"
#include "refusal.h"
#include "replycode.h"
#include "sessionid.h"
#include "smtpreply.h"

#define LINGER_MS 1000
#define TRY_MS 1000          /* between two tries to find a place */
#define ANSWER_MS 2000       /* beyond its wait for a place, a client's hand-over has that long to be answered */
#define BATCH 4096           /* bytes of replies that are sent at once */
#define OUT_MAX 65536        /* bytes that a client does not take; nothing is read of it meanwhile */
#define CHUNK 4096
#define UNREAD_MAX 262144    /* bytes that are thrown away for a client that hears the last reply */

static const struct dialogue_lists *lists_of(struct front *f)
{
  static struct dialogue_lists lists = {0, controls_badmailfrom, controls_rcpthosts, controls_validrcptto, 0, controls_requiretls};

  lists.arg = &f->controls;
  lists.tls = f->controls.tls_path ? controls_tls : 0;
  return &lists;
}

/* ---- the list of all, the longest silent first ---- */

static void unlink_session(struct front *f, struct session *s)
{
  if (s->older)
    s->older->newer = s->newer;
  else
    f->oldest = s->newer;
  if (s->newer)
    s->newer->older = s->older;
  else
    f->newest = s->older;
}

static void link_last(struct front *f, struct session *s)
{
  s->older = f->newest;
  s->newer = 0;
  if (f->newest)
    f->newest->newer = s;
  else
    f->oldest = s;
  f->newest = s;
}

static void heard(struct front *f, struct session *s)
{
  s->heard_ms = f->now_ms;
  unlink_session(f, s);
  link_last(f, s);
}

/* ---- bytes ---- */

/* Sends what it can; the rest waits, and no more is read until it is gone. Returns 0 when the client is gone. */
static int send_bytes(struct front *f, struct session *s, const char *bytes, size_t len)
{
  ssize_t n = 0;
  char *more;

  if (!s->out && len) {
    n = send(s->watch.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == -1 && errno != EAGAIN && errno != EINTR)
      return 0;
    if (n < 0)
      n = 0;
  }
  bytes += n;
  len -= (size_t) n;
  if (!len)
    return 1;
  if (s->out_len + len > OUT_MAX || !(more = realloc(s->out, s->out_len + len)))
    return 0;
  memcpy(more + s->out_len, bytes, len);
  s->out = more;
  s->out_len += len;
  return watch_set(f->epoll, &s->watch, EPOLLOUT);
}

/* Sends what waited. Returns 0 when the client is gone. */
static int send_waiting(struct session *s)
{
  ssize_t n = send(s->watch.fd, s->out, s->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

  if (n == -1)
    return errno == EAGAIN || errno == EINTR;
  s->out_len -= (size_t) n;
  memmove(s->out, s->out + n, s->out_len);
  if (!s->out_len) {
    free(s->out);
    s->out = 0;
  }
  return 1;
}

static void consume(struct session *s, size_t len)
{
  s->in_len -= len;
  s->searched = 0;
  if (s->in_len) {
    memmove(s->in, s->in + len, s->in_len);
  } else {
    free(s->in);
    s->in = 0;
  }
}

/* ---- the end ---- */

static void release(struct front *f, struct session *s)
{
  char id[SESSIONID_CHARACTERS + 1];

  sessionid_text(id, s->number);
  if (s->announced)
    front_say(f, 0, "end %s status 0", id);
  if (s->state == SESSION_WAITING || s->state == SESSION_CLOSING)
    --f->waiting;
  if (s->state == SESSION_ASKING)
    verdict_forget(f, s);
  verdict_end(s);
  if (!s->relay) {
    places_remove(&f->places, s->client_key);
    places_remove(&f->places, s->network_key);
  }
  if (f->talking == s)
    f->talking = 0;
  watch_set(f->epoll, &s->watch, 0);
  close(s->watch.fd);
  starttls_forget(f, s);
  unlink_session(f, s);
  dialogue_end(&s->dialogue);
  free(s->reason);
  free(s->refusal);
  free(s->recipient);
  free(s->in);
  free(s->out);
  memset(s, 0, sizeof *s);
  s->newer = f->free;
  f->free = s;
  --f->sessions;
}

/* Of a session that has not come to TLS yet. */
static void give_up_tls(struct front *f, struct session *s)
{
  if (s->state == SESSION_TLS_ASKED || s->state == SESSION_TLS_READY || s->state == SESSION_TLS_BEGUN)
    starttls_forget(f, s);
}

int session_forget_unread(const struct session *s)
{
  char dump[CHUNK];
  int i;

  if (s->state == SESSION_HANDING)
    return 0;   /* what it sends is for qmail-smtpd */
  for (i = 0; i < UNREAD_MAX / CHUNK; ++i)
    if (recv(s->watch.fd, dump, sizeof dump, MSG_DONTWAIT) <= 0)
      break;
  return i > 0;
}

void session_farewell(struct front *f, struct session *s, const char *reply)
{
  if (s->state == SESSION_HANDING || s->state == SESSION_CLOSING)
    return;
  if (!s->out && s->state != SESSION_TLS_BEGUN)
    send(s->watch.fd, reply, strlen(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
  give_up_tls(f, s);
  shutdown(s->watch.fd, SHUT_WR);
  if (s->state == SESSION_ASKING)
    verdict_forget(f, s);
  if (s->state != SESSION_WAITING)
    ++f->waiting;
  s->state = SESSION_CLOSING;
}

void session_end(struct front *f, struct session *s, const char *reply)
{
  if (reply) {
    session_farewell(f, s, reply);
    session_forget_unread(s);
  }
  release(f, s);
}

/* The last reply is sent: what the client still sends is taken for a moment, so that closing does not destroy it. */
static void linger(struct front *f, struct session *s)
{
  if (s->state != SESSION_WAITING && s->state != SESSION_CLOSING)
    ++f->waiting;
  if (s->state == SESSION_ASKING)
    verdict_forget(f, s);
  give_up_tls(f, s);
  s->state = SESSION_CLOSING;
  s->try_ms = f->now_ms + LINGER_MS;
  if (s->out)
    return;   /* EPOLLOUT calls again */
  shutdown(s->watch.fd, SHUT_WR);
  if (!watch_set(f->epoll, &s->watch, EPOLLIN))
    release(f, s);
}

static void drain(struct front *f, struct session *s)
{
  char dump[CHUNK];
  ssize_t n;

  if (s->out) {
    if (!send_waiting(s))
      release(f, s);
    else if (!s->out)
      linger(f, s);
    return;
  }
  n = recv(s->watch.fd, dump, sizeof dump, MSG_DONTWAIT);
  if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
    release(f, s);
}

/* Sends the last reply, behind what waits to be sent. */
static void dismiss(struct front *f, struct session *s, const char *reply)
{
  if (send_bytes(f, s, reply, strlen(reply)))
    linger(f, s);
  else
    release(f, s);
}

/* When all places are in use, or all of TLS, who has been silent longest in one goes, so that nobody keeps others from
 * them; nobody has an accepted recipient here. Returns 0 when there is none. */
static int make_room(struct front *f, int of_tls)
{
  struct session *s = f->oldest;

  while (s && (s->state == SESSION_HANDING || s->state == SESSION_WAITING
               || (of_tls && (!s->tls || s->state == SESSION_CLOSING))))
    s = s->newer;
  if (!s)
    return 0;
  front_say(f, s->number, "ended %s all places %sare in use%s", s->ip, of_tls ? "of TLS " : "", starttls_said(s));
  session_end(f, s, SMTPREPLY_BUSY);
  return 1;
}

/* ---- the hand-over ---- */

/* No session can be had: the recipient, or a relay client's connection, is put off. */
static void put_off(struct front *f, struct session *s)
{
  front_say(f, s->number, "put off %s no session of qmail-smtpd%s", s->ip, starttls_said(s));
  dismiss(f, s, s->relay ? SMTPREPLY_BUSY : SMTPREPLY_NO_PLACE);
}

static void wait_for_place(struct front *f, struct session *s)
{
  if (s->state != SESSION_WAITING) {
    s->state = SESSION_WAITING;
    ++f->waiting;
  }
  s->try_ms = f->now_ms + TRY_MS;
}

static void wait_or_put_off(struct front *f, struct session *s)
{
  if (f->now_ms - s->waiting_since_ms < f->limits.place_ms)
    wait_for_place(f, s);
  else
    put_off(f, s);
}

/* Its connection has been reset. */
static int was_reset(const struct session *s)
{
  struct pollfd one = {s->watch.fd, 0, 0};

  return poll(&one, 1, 0) == 1;
}

/* It has hung up, and nothing is behind its recipient: no mail can come. */
static int has_left(const struct session *s)
{
  const char *end = s->in ? memchr(s->in, '\n', s->in_len) : 0;
  char byte;

  return recv(s->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0 && (!s->in || end == s->in + s->in_len - 1);
}

static void hand_over(struct front *f, struct session *s)
{
  static const struct handover nothing = {0, 0, 0, "", 0, "", 0, 0};
  static char bytes[HANDOVER_MAX];
  size_t len = s->relay ? handover_write(bytes, &nothing) : dialogue_handover(&s->dialogue, bytes, s->in, s->in_len);

  if (!s->waiting_since_ms)
    s->waiting_since_ms = f->now_ms;
  if (!s->relay)
    session_announce(f, s);
  watch_set(f->epoll, &s->watch, EPOLLERR);   /* from now on its bytes are for somebody else */
  switch (len ? link_send(f, s, bytes, len) : -1) {
    case 1:
      if (s->state == SESSION_WAITING)
        --f->waiting;
      s->state = SESSION_HANDING;
      break;
    case 0: wait_or_put_off(f, s); break;
    default: put_off(f, s); break;
  }
}

void session_answered(struct front *f, struct session *s, enum frontlink_answer answer)
{
  switch (answer) {
    case FRONTLINK_FULL: wait_or_put_off(f, s); break;
    case FRONTLINK_UNABLE: put_off(f, s); break;
    case FRONTLINK_TAKEN:
    case FRONTLINK_REFUSED:
    case FRONTLINK_LOG:
    default: release(f, s); break;
  }
}

/* ---- the dialogue ---- */

struct batch {
  char bytes[BATCH];
  size_t len;
};

/* Returns 0 when the client is gone, or does not take what it is told. */
static int flush(struct front *f, struct session *s, struct batch *batch)
{
  size_t len = batch->len;

  batch->len = 0;
  return send_bytes(f, s, batch->bytes, len);
}

static int add(struct front *f, struct session *s, struct batch *batch, const char *text)
{
  size_t len = strlen(text);

  if (batch->len + len > sizeof batch->bytes && !flush(f, s, batch))
    return 0;
  memcpy(batch->bytes + batch->len, text, len);
  batch->len += len;
  return 1;
}

static int add_reply(struct front *f, struct session *s, struct batch *batch, const struct dialogue_reply *reply)
{
  const char *greeting = reply->greeting ? controls_greeting(&f->controls) : 0;

  return add(f, s, batch, reply->before) && add(f, s, batch, greeting ? greeting : "") && add(f, s, batch, reply->after);
}

/* Who wanted to write to whom is found in the log by both, although it may not now; as cqgreylist writes it. */
static void say_asked(struct front *f, const struct session *s, const char *recipient)
{
  char from[REFUSAL_FIELD_MAX + 5];
  char to[REFUSAL_FIELD_MAX + 5];

  refusal_field(from, s->dialogue.sender ? s->dialogue.sender : "");
  refusal_field(to, recipient);
  front_say(f, s->number, "asked %s %s to %s%s", s->ip, from, to, starttls_said(s));
}

/* The client may name recipients, or may not: the recipient is answered, or to be handed over. */
static enum dialogue_event judge(struct front *f, struct session *s, const char *recipient, struct dialogue_reply *reply)
{
  s->dialogue.greylisted = s->pending && controls_no_greylist(&f->controls, recipient);
  if (s->dialogue.greylisted) {
    front_note(f, s, "skipped %s - domain", s->ip);
    return dialogue_recipient(&s->dialogue, lists_of(f), s->ip, recipient, reply);
  }
  verdict_recipient(f, s, recipient);
  if (s->verdict == VERDICT_REFUSE) {
    say_asked(f, s, recipient);
    return dialogue_refuse(&s->dialogue, s->ip, s->refusal ? s->refusal : SMTPREPLY_UNCERTAIN, reply);
  }
  return dialogue_recipient(&s->dialogue, lists_of(f), s->ip, recipient, reply);
}

void session_announce(struct front *f, struct session *s)
{
  char id[SESSIONID_CHARACTERS + 1];

  if (s->announced)
    return;
  s->announced = 1;
  sessionid_text(id, s->number);
  front_say(f, 0, "pid %s from %s", id, s->ip);
}

/* The next lines of refusal.h are about it. */
static void speak_of(struct front *f, struct session *s)
{
  char id[SESSIONID_CHARACTERS + 1];

  sessionid_text(id, s->number);
  refusal_session(id, 0L);
  refusal_tls(starttls_terms(s)->version, starttls_terms(s)->cipher);
  f->talking = s;
}

/* ---- STARTTLS ---- */

static void talk(struct front *f, struct session *s);

/* What is sent before the reply to STARTTLS would be taken for a part of the session with TLS. */
static const char *followed(const struct session *s)
{
  refusal_command("starttls", "followed", 0, "", s->ip);
  return SMTPREPLY_TLS_FOLLOWED;
}

/* Its line has been taken. */
static enum dialogue_event begin_tls(struct front *f, struct session *s, struct dialogue_reply *reply)
{
  memset(reply, 0, sizeof *reply);
  reply->after = "";
  if (s->in_len) {
    reply->before = followed(s);
    return DIALOGUE_END;
  }
  if ((f->secured < f->limits.secured || make_room(f, 1)) && starttls_begin(f, s)) {
    s->state = SESSION_TLS_ASKED;
    return DIALOGUE_STARTTLS;
  }
  reply->before = SMTPREPLY_NO_TLS;
  return DIALOGUE_REPLY;
}

/* Has it sent something that is not read yet? */
static int has_sent(const struct session *s)
{
  char byte;

  return recv(s->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void end_followed(struct front *f, struct session *s)
{
  speak_of(f, s);
  dismiss(f, s, followed(s));
}

/* The client has heard all of it: from now on its socket belongs to smtptls. */
static void let_begin(struct front *f, struct session *s)
{
  watch_set(f->epoll, &s->watch, 0);
  s->state = SESSION_TLS_BEGUN;
  if (!starttls_go(f, s))
    session_tls_failed(f, s, "smtptls went away");
}

void session_tls_taken(struct front *f, struct session *s)
{
  if (has_sent(s)) {
    end_followed(f, s);
    return;
  }
  s->state = SESSION_TLS_READY;
  if (!send_bytes(f, s, SMTPREPLY_TLS_READY, strlen(SMTPREPLY_TLS_READY)))
    release(f, s);
  else if (!s->out)
    let_begin(f, s);
}

void session_tls_missing(struct front *f, struct session *s)
{
  starttls_forget(f, s);
  s->state = SESSION_TALKING;
  if (!send_bytes(f, s, SMTPREPLY_NO_TLS, strlen(SMTPREPLY_NO_TLS)))
    release(f, s);
  else
    talk(f, s);
}

void session_tls_established(struct front *f, struct session *s)
{
  starttls_take(f, s);
  dialogue_secured(&s->dialogue);
  s->state = SESSION_TALKING;
  heard(f, s);
  if (!watch_set(f->epoll, &s->watch, EPOLLIN))
    release(f, s);
}

void session_tls_failed(struct front *f, struct session *s, const char *why)
{
  front_say(f, s->number, "ended %s no TLS: %s", s->ip, why);
  linger(f, s);
}

/* Answers lines until none is whole, or it has to wait. The session may be gone then. */
static void talk(struct front *f, struct session *s)
{
  struct batch batch;
  struct dialogue_reply reply;
  char recipient[SMTPCOMMAND_LINE_MAX + 1];
  enum dialogue_event event;
  enum smtpcommand_line line = SMTPCOMMAND_MORE;
  size_t length = 0;

  batch.len = 0;
  speak_of(f, s);
  while (s->state == SESSION_TALKING && !s->out && s->in
         && (line = smtpcommand_line(s->in, s->in_len, s->searched, &length)) == SMTPCOMMAND_LINE) {
    if (s->recipient) {   /* the line of this recipient waited for DNS lists */
      event = judge(f, s, s->recipient, &reply);
      free(s->recipient);
      s->recipient = 0;
    } else {
      heard(f, s);
      event = dialogue_line(&s->dialogue, lists_of(f), s->ip, s->in, length, recipient, &reply);
      if (event == DIALOGUE_RECIPIENT && s->verdict == VERDICT_NONE)
        verdict_ask(f, s);
      if (s->state == SESSION_ASKING) {
        s->recipient = strdup(recipient);
        break;
      }
      if (event == DIALOGUE_RECIPIENT)
        event = judge(f, s, recipient, &reply);
    }
    if (event == DIALOGUE_ACCEPTABLE) {
      s->state = SESSION_READY;
      break;
    }
    consume(s, length);
    if (event == DIALOGUE_STARTTLS) {
      event = begin_tls(f, s, &reply);
      if (event == DIALOGUE_STARTTLS)
        break;
    }
    if (s->verdict == VERDICT_REFUSE && s->refusal && strcmp(reply.before, SMTPREPLY_WANT_RCPT) == 0)
      reply.before = s->refusal;   /* who does not wait for replies sees that it is for now */
    if (!add_reply(f, s, &batch, &reply)) {
      release(f, s);
      return;
    }
    if (event == DIALOGUE_END) {
      if (!flush(f, s, &batch))
        release(f, s);
      else
        linger(f, s);
      return;
    }
  }
  if (line == SMTPCOMMAND_TOO_LONG && !add(f, s, &batch, SMTPREPLY_NOMEM)) {
    release(f, s);
    return;
  }
  if (!flush(f, s, &batch)) {
    release(f, s);
    return;
  }
  if (line == SMTPCOMMAND_TOO_LONG) {
    linger(f, s);
    return;
  }
  if (line == SMTPCOMMAND_MORE)
    s->searched = s->in_len;
  if (s->out) {   /* while it asks, nothing calls but its reset */
    if (!watch_set(f->epoll, &s->watch, s->state == SESSION_ASKING || s->state == SESSION_TLS_ASKED ? EPOLLERR : EPOLLOUT))
      release(f, s);
    return;
  }
  if (s->state == SESSION_READY)
    hand_over(f, s);
  else if (!watch_set(f->epoll, &s->watch, s->state == SESSION_TALKING ? EPOLLIN : EPOLLERR))
    release(f, s);
}

void session_judged(struct front *f, struct session *s)
{
  s->state = SESSION_TALKING;
  talk(f, s);
}

/* Takes what has come. Returns 0 when the client has gone or has said too much. */
static int take(struct front *f, struct session *s)
{
  char bytes[CHUNK];
  ssize_t n = recv(s->watch.fd, bytes, sizeof bytes, MSG_DONTWAIT);
  char *more;

  if (n == -1)
    return errno == EAGAIN || errno == EINTR;
  if (n == 0 || s->in_len + (size_t) n > FRONT_IN_MAX)
    return 0;
  more = realloc(s->in, s->in_len + (size_t) n);
  if (!more)
    return 0;
  memcpy(more + s->in_len, bytes, (size_t) n);
  s->in = more;
  s->in_len += (size_t) n;
  s->bytes += (size_t) n;
  (void) f;
  return 1;
}

static void ready(struct watch *watch, uint32_t events)
{
  struct session *s = (struct session *) watch;   /* its first member */
  struct front *f = watch->owner;

  (void) events;
  switch (s->state) {
    case SESSION_CLOSING: drain(f, s); return;
    case SESSION_TALKING:
    case SESSION_READY: break;
    case SESSION_TLS_READY:
      if (has_sent(s))
        end_followed(f, s);
      else if (!send_waiting(s))
        release(f, s);
      else if (!s->out)
        let_begin(f, s);
      return;
    case SESSION_TLS_BEGUN: return;
    case SESSION_ASKING:
    case SESSION_TLS_ASKED:
    case SESSION_HANDING:
    case SESSION_WAITING:
      if (was_reset(s))
        release(f, s);
      return;
    case SESSION_FREE: return;
  }
  if (s->out) {
    if (!send_waiting(s)) {
      release(f, s);
      return;
    }
    if (s->out)
      return;
    if (s->state == SESSION_READY) {
      hand_over(f, s);
      return;
    }
  } else if (!take(f, s)) {
    release(f, s);
    return;
  }
  if (s->bytes > f->limits.bytes) {
    front_say(f, s->number, "ended %s too many bytes%s", s->ip, starttls_said(s));
    dismiss(f, s, SMTPREPLY_EXCESS);
    return;
  }
  talk(f, s);
}

/* ---- the beginning ---- */

static int end_of(struct address *end, const struct sockaddr_storage *from)
{
  const struct sockaddr_in *four = (const struct sockaddr_in *) from;
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *) from;
  char text[INET6_ADDRSTRLEN];

  if (from->ss_family == AF_INET ? !inet_ntop(AF_INET, &four->sin_addr, text, sizeof text)
                                 : from->ss_family != AF_INET6 || !inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text))
    return 0;
  return address_parse(end, text);
}

static int find_client(struct session *s, const struct sockaddr_storage *from)
{
  return end_of(&s->address, from)
         && inet_ntop(s->address.bits == 32 ? AF_INET : AF_INET6, s->address.bytes, s->ip, sizeof s->ip) != 0;
}

static void close_with(int fd, const char *reply)
{
  if (reply)
    send(fd, reply, strlen(reply), MSG_NOSIGNAL | MSG_DONTWAIT);
  close(fd);
}

/* Whether the gateway was taken out, and for whom: its own host's sessions go on, by which it is tried. */
static int is_drained(struct front *f, const struct session *s, int fd)
{
  struct sockaddr_storage at;
  socklen_t len = sizeof at;
  struct address local;

  if (!controls_drained(&f->controls))
    return 0;
  return getsockname(fd, (struct sockaddr *) &at, &len) == -1 || !end_of(&local, &at)
         || !address_equal(&s->address, &local);
}

static void deny(struct front *f, const struct session *s, int fd)
{
  front_say(f, s->number, "deny %s", s->ip);
  close_with(fd, *f->deny_reply ? f->deny_reply : 0);
}

/* Whom the rules let in: its place is taken, or a reply says why not. */
static const char *find_place(struct front *f, struct session *s)
{
  const char *of = 0;

  s->client_key = places_key(&f->places, &s->address, s->address.bits);
  s->network_key = places_key(&f->places, &s->address, s->address.bits == 32 ? 24 : 64);
  if (s->relay)
    return 0;
  if (places_count(&f->places, s->client_key) >= f->limits.client)
    of = "client";
  else if (places_count(&f->places, s->network_key) >= f->limits.network)
    of = "network";
  if (of) {
    front_say(f, s->number, "busy %s %s", s->ip, of);
    return SMTPREPLY_SHARE;
  }
  if (!controls_greeting(&f->controls) || !controls_usable(&f->controls))
    return SMTPREPLY_CONTROL;
  places_add(&f->places, s->client_key);
  places_add(&f->places, s->network_key);
  return 0;
}

void session_begin(struct front *f, int fd)
{
  static struct tcprule_found rule;
  char banner[CONTROLS_GREETING_MAX + 32];
  struct session made;
  struct session *s;
  struct sockaddr_storage from;
  socklen_t len = sizeof from;
  const char *reason;
  const char *reply;
  enum tcprule verdict;

  memset(&made, 0, sizeof made);
  if (getpeername(fd, (struct sockaddr *) &from, &len) == -1 || !find_client(&made, &from)) {
    close(fd);
    return;
  }
  made.number = f->last_number = sessionid_new(f->last_number);
  verdict = controls_rule(&f->controls, &rule, &made.address);
  if (verdict == TCPRULE_TROUBLE) {
    front_say(f, 0, "warning: dropping connection, unable to read %.200s: %s", f->controls.rules_path, rule.trouble);
    close(fd);
    return;
  }
  if (verdict == TCPRULE_DENY) {
    deny(f, &made, fd);
    return;
  }
  if (is_drained(f, &made, fd)) {
    front_say(f, made.number, "busy %s drained", made.ip);
    close_with(fd, SMTPREPLY_DRAINED);
    return;
  }
  made.relay = tcprule_value(&rule, "RELAYCLIENT") != 0;
  if (!f->free)
    make_room(f, 0);
  s = f->free;
  reply = s ? find_place(f, &made) : SMTPREPLY_BUSY;
  if (reply) {
    close_with(fd, reply);
    return;
  }
  f->free = s->newer;
  ++f->sessions;
  reason = tcprule_value(&rule, "RBLSMTPD");
  *s = made;
  s->reason = reason ? strdup(reason) : 0;
  s->whitelisted = tcprule_value(&rule, "WHITELISTED") != 0;
  s->watch.fd = fd;
  s->watch.ready = ready;
  s->watch.owner = f;
  s->began_ms = s->heard_ms = f->now_ms;
  link_last(f, s);
  dialogue_begin(&s->dialogue, getenv("REFUSALS_LIMIT"), getenv("COMMANDS_LIMIT"), getenv("VALIDRCPTTO_LIMIT"));
  s->dialogue.databytes = controls_databytes(&f->controls, tcprule_value(&rule, "DATABYTES"));
  if (s->relay && !(reason && *reason)) {
    s->state = SESSION_READY;
    hand_over(f, s);
    return;
  }
  s->state = SESSION_TALKING;
  if (s->relay) {   /* it may relay, but is refused: as with cqgreylist, the refusal counts */
    s->relay = 0;
    places_add(&f->places, s->client_key);
    places_add(&f->places, s->network_key);
  }
  snprintf(banner, sizeof banner, "%s%s%s", SMTPREPLY_BANNER, f->controls.greeting, SMTPREPLY_BANNER_END);
  if (!send_bytes(f, s, banner, strlen(banner)) || (!s->out && !watch_set(f->epoll, &s->watch, EPOLLIN)))
    release(f, s);
}

void session_time(struct front *f, struct session *s)
{
  int late = f->now_ms - s->began_ms >= f->limits.whole_ms;
  int silent = f->now_ms - s->heard_ms >= f->limits.idle_ms;

  switch (s->state) {
    case SESSION_TALKING:
    case SESSION_TLS_READY:
    case SESSION_READY:
      if (!late && !silent)
        break;
      front_say(f, s->number, "ended %s %s%s", s->ip, silent ? "silent" : "too slow", starttls_said(s));
      session_end(f, s, SMTPREPLY_TIMEOUT);
      break;
    case SESSION_ASKING: verdict_time(f, s); break;
    case SESSION_TLS_ASKED:
    case SESSION_TLS_BEGUN: starttls_time(f, s); break;
    case SESSION_WAITING:
      if (has_left(s))
        release(f, s);
      else if (f->now_ms >= s->try_ms)
        hand_over(f, s);
      break;
    case SESSION_HANDING:   /* the launcher has its socket, and may serve it yet: nothing is sent to it */
      if (f->now_ms - s->waiting_since_ms < f->limits.place_ms + ANSWER_MS)
        break;
      front_say(f, s->number, "lost %s the launcher does not answer%s", s->ip, starttls_said(s));
      release(f, s);
      break;
    case SESSION_CLOSING:
      if (f->now_ms >= s->try_ms)
        release(f, s);
      break;
    case SESSION_FREE: break;
  }
}
