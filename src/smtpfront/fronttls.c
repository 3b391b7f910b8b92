/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A session of smtptls is asked for before the client is told to begin, and what smtptls answers is taken when it is
 * there, so that nobody else waits. Until smtptls is told to go the client's socket is this process's alone.
 */
#define _GNU_SOURCE 1
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "front.h"

#define LATE_MS 2000   /* smtptls says itself that a handshake took too long */

/* Only the descriptors: what is known of an established session stays. */
static void leave(struct front *f, struct session *s)
{
  watch_set(f->epoll, &s->control, 0);
  tlslink_end(&s->tls->link);
}

static void answered(struct watch *watch, uint32_t events)
{
  struct session *s = (struct session *) ((char *) watch - offsetof(struct session, control));
  struct front *f = watch->owner;
  int answer = tlslink_answer(&s->tls->link);

  (void) events;
  if (answer == 0)
    return;
  if (answer == TLSLINK_TAKEN && s->state == SESSION_TLS_ASKED)
    session_tls_taken(f, s);
  else if (answer == TLSLINK_ESTABLISHED && s->state == SESSION_TLS_BEGUN && tlsterms_parse(&s->tls->terms, s->tls->link.terms))
    session_tls_established(f, s);
  else if (s->state == SESSION_TLS_ASKED)
    session_tls_missing(f, s);
  else
    session_tls_failed(f, s, answer == TLSLINK_FAILED ? s->tls->link.terms : "smtptls went away");
}

int starttls_begin(struct front *f, struct session *s)
{
  s->tls = calloc(1, sizeof *s->tls);
  if (!s->tls)
    return 0;
  ++f->secured;
  s->tls->client = -1;
  s->tls->until_ms = f->now_ms + TLSLINK_BEGIN_MS;
  if (tlslink_begin(&s->tls->link, f->controls.tls_path, s->watch.fd)) {
    s->control.fd = s->tls->link.control;
    s->control.ready = answered;
    s->control.owner = f;
    if (watch_set(f->epoll, &s->control, EPOLLIN))
      return 1;
  }
  starttls_forget(f, s);
  return 0;
}

int starttls_go(struct front *f, struct session *s)
{
  s->tls->until_ms = f->now_ms + TLSLINK_HANDSHAKE_MS + LATE_MS;
  return tlslink_go(&s->tls->link);
}

void starttls_take(struct front *f, struct session *s)
{
  s->tls->client = s->watch.fd;
  s->watch.fd = s->tls->link.plain;
  s->tls->link.plain = -1;
  leave(f, s);
}

void starttls_time(struct front *f, struct session *s)
{
  if (f->now_ms < s->tls->until_ms)
    return;
  if (s->state == SESSION_TLS_ASKED)
    session_tls_missing(f, s);
  else
    session_tls_failed(f, s, "smtptls does not answer");
}

void starttls_forget(struct front *f, struct session *s)
{
  if (!s->tls)
    return;
  leave(f, s);
  if (s->tls->client != -1)
    close(s->tls->client);
  free(s->tls);
  s->tls = 0;
  --f->secured;
}

const struct tlsterms *starttls_terms(const struct session *s)
{
  static const struct tlsterms none;

  return s->tls ? &s->tls->terms : &none;
}

const char *starttls_said(const struct session *s)
{
  static char text[TLSTERMS_VERSION_MAX + TLSTERMS_CIPHER_MAX + 8];
  const struct tlsterms *terms = starttls_terms(s);

  text[0] = 0;
  if (terms->version[0])
    snprintf(text, sizeof text, " tls=%s/%s", terms->version, terms->cipher);
  return text;
}
