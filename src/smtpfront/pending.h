/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is known of a session whose network is greylisted: verdict.c decides, naming.c finds the client's name, pool.c
 * remembers attempts of its pool.
 */
#ifndef PENDING_H
#define PENDING_H

#include "front.h"

struct pending {
  enum greystate state;          /* of the network: NEW or EARLY */
  long seconds;                  /* EARLY: since its first time */
  int unsaid;                    /* its line is not in the log yet */
  char *pool;                    /* the organizational domain of the client, from malloc, or null */
  unsigned keys;                 /* attempts of the pool that this session looked up */
  /* while the name is searched: */
  int searching;
  int follows;                   /* another session of the same client asks, and this one gets the name, too */
  int asked;                     /* a question is outstanding */
  long end_ms;
  char *names;                   /* of the PTR records, each ended by a NUL, from malloc; null before the answer */
  size_t names_len;
  size_t at;                     /* in names: the one that is asked now */
  const char *trouble;
  struct session *before;        /* among all that search, in the order of their coming */
  struct session *after;
};

/* ---- naming.c: the confirmed name of a client, found without waiting for it ---- */

/* Begins to search; verdict_named() is called later. Returns 0 when it cannot, or is not to be searched. */
extern int naming_begin(struct front *f, struct session *s);

/* Asks the next question. Returns 0 when there is no place for it now. */
extern int naming_ask(struct front *f, struct session *s);
extern void naming_time(struct front *f, struct session *s);
extern void naming_forget(struct front *f, struct session *s);

/* ---- verdict.c ---- */

/* The search is over; name is null when none is confirmed. */
extern void verdict_named(struct front *f, struct session *s, const char *name);

/* Asks later, when there is a place. */
extern void verdict_want_place(struct front *f, struct session *s);

/* ---- pool.c ---- */

/* Whether clients of that network, or of that name, are not greylisted. */
extern int pool_exempts_address(struct front *f, const struct session *s);
extern int pool_exempts_name(struct front *f, const char *name);

/* Takes the client's name, which may make it one of a pool. */
extern void pool_name(struct front *f, struct session *s, const char *name);

/* Looks up an attempt of its pool, and remembers it: GREYSTATE_PASSED when it passes, with the seconds since the first
 * one; TROUBLE; or GREYSTATE_NEW when it has to come back, or is of no pool. */
extern enum greystate pool_judge(struct front *f, struct session *s, const char *recipient, struct timespec now,
                                 struct greystate_result *result);

#endif
