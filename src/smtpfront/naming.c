/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One question after the other, first for the PTR records, then for each name's addresses; sessions of one client share
 * its search. Name servers that do not answer are somebody's own: of one network a few questions are outstanding, and
 * names leave some places to DNS lists.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>
#include "confirmedname.h"
#include "pending.h"

#define MOST 100              /* questions of names outstanding, of RESOLVER_MOST */
#define MOST_OF_NETWORK 8u

enum { POINTERS, ADDRESSES };

static void answered(void *arg, int which, const unsigned char *answer, size_t len, const char *trouble);

static void link_search(struct front *f, struct session *s)
{
  struct pending *p = s->pending;

  p->searching = 1;
  p->before = f->naming_last;
  p->after = 0;
  if (p->before)
    p->before->pending->after = s;
  else
    f->naming_first = s;
  f->naming_last = s;
}

static void unlink_search(struct front *f, struct session *s)
{
  struct pending *p = s->pending;

  if (p->before)
    p->before->pending->after = p->after;
  else
    f->naming_first = p->after;
  if (p->after)
    p->after->pending->before = p->before;
  else
    f->naming_last = p->before;
  free(p->names);
  p->names = 0;
  p->searching = 0;
}

/* The first session that searches the name of that client. */
static struct session *of_client(const struct front *f, const struct address *client)
{
  struct session *s = f->naming_first;

  while (s && !address_equal(&s->address, client))
    s = s->pending->after;
  return s;
}

/* Under which the questions of a network are counted, among the places of clients. */
static uint64_t questions_key(const struct session *s)
{
  uint64_t key = s->network_key ^ UINT64_C(0x9e3779b97f4a7c15);

  return key ? key : 1;
}

static void question_begins(struct front *f, struct session *s)
{
  s->pending->asked = 1;
  ++f->naming_asked;
  places_add(&f->places, questions_key(s));
}

static void question_ends(struct front *f, struct session *s)
{
  s->pending->asked = 0;
  --f->naming_asked;
  places_remove(&f->places, questions_key(s));
}

/* All sessions of the client have its name, or none. */
static void finish(struct front *f, const struct session *leader, const char *confirmed)
{
  struct address client = leader->address;
  char name[DNSMESSAGE_NAME_MAX];
  struct session *s;

  if (confirmed)
    strcpy(name, confirmed);
  while ((s = of_client(f, &client)) != 0) {
    unlink_search(f, s);
    verdict_named(f, s, confirmed ? name : 0);
  }
}

/* No name is confirmed. */
static void give_up(struct front *f, struct session *s)
{
  const struct pending *p = s->pending;

  if (p->trouble)
    front_say(f, s->number, "unnamed %s %s", s->ip, p->trouble);
  else if (p->names_len)
    front_say(f, s->number, "unconfirmed %s %s", s->ip, p->names);
  finish(f, s, 0);
}

int naming_ask(struct front *f, struct session *s)
{
  struct pending *p = s->pending;
  char reversed[DNSMESSAGE_NAME_MAX];
  const char *name = reversed;
  int type = DNSMESSAGE_PTR;

  if (!p->searching || p->follows || p->asked)
    return 1;
  if (f->naming_asked >= MOST || places_count(&f->places, questions_key(s)) >= MOST_OF_NETWORK)
    return 0;
  if (p->names) {
    name = p->names + p->at;
    type = confirmedname_type(&s->address);
  } else {
    confirmedname_reversed(reversed, sizeof reversed, &s->address);
  }
  if (!resolver_ask(&f->resolver, name, type, f->now_ms, p->end_ms, answered, s, p->names ? ADDRESSES : POINTERS))
    return 0;
  question_begins(f, s);
  return 1;
}

/* Keeps the names of the answer, one behind the other. Returns 0 when there is none. */
static int keep_names(struct pending *p, const unsigned char *answer, size_t len)
{
  static char name[CONFIRMEDNAME_MOST][DNSMESSAGE_NAME_MAX];
  int n = dnsmessage_names(answer, len, name, CONFIRMEDNAME_MOST);
  size_t size = 0;
  int i;

  for (i = 0; i < n; ++i)
    size += strlen(name[i]) + 1;
  p->names = size ? malloc(size) : 0;
  if (!p->names)
    return 0;
  for (i = 0; i < n; ++i) {
    strcpy(p->names + p->names_len, name[i]);
    p->names_len += strlen(name[i]) + 1;
  }
  return 1;
}

static void answered(void *arg, int which, const unsigned char *answer, size_t len, const char *trouble)
{
  struct session *s = arg;
  struct front *f = s->watch.owner;
  struct pending *p = s->pending;

  question_ends(f, s);
  if (trouble)
    p->trouble = trouble;
  if (which == POINTERS) {
    if (!answer || !keep_names(p, answer, len)) {
      give_up(f, s);
      return;
    }
  } else {
    if (answer && confirmedname_confirms(answer, len, &s->address)) {
      finish(f, s, p->names + p->at);
      return;
    }
    p->at += strlen(p->names + p->at) + 1;
  }
  if (p->at >= p->names_len || f->now_ms >= p->end_ms)
    give_up(f, s);
  else if (!naming_ask(f, s))
    verdict_want_place(f, s);
}

int naming_begin(struct front *f, struct session *s)
{
  struct pending *p = s->pending;

  if (!f->settings.name_ms)
    return 0;
  p->follows = of_client(f, &s->address) != 0;
  p->end_ms = f->now_ms + f->settings.name_ms;
  link_search(f, s);
  if (!naming_ask(f, s))
    verdict_want_place(f, s);
  return 1;
}

void naming_time(struct front *f, struct session *s)
{
  struct pending *p = s->pending;

  if (p->asked || f->now_ms < p->end_ms)
    return;   /* the resolver ends a question in time */
  if (p->follows) {
    unlink_search(f, s);
    verdict_named(f, s, 0);
    return;
  }
  p->trouble = "too many questions";
  give_up(f, s);
}

void naming_forget(struct front *f, struct session *s)
{
  struct pending *p = s->pending;
  struct session *next;

  if (!p || !p->searching)
    return;
  if (p->asked)
    question_ends(f, s);
  unlink_search(f, s);
  next = p->follows ? 0 : of_client(f, &s->address);
  if (!next)
    return;
  next->pending->follows = 0;   /* it asks from now on */
  if (!naming_ask(f, next))
    verdict_want_place(f, next);
}
