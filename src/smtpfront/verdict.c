/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The order is that of dnsbl and cqgreylist: the rule, DNS lists, the greylist. Lists and greylist are not asked
 * before a client names its first recipient: a client that names none leaves no trace. The name of a client is searched
 * when its network has to come back, and not before.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "pending.h"
#include "replycode.h"
#include "say.h"
#include "settings.h"

#define ME "smtpfront"
#define DELAY_SECONDS 60L
#define PENDING_SECONDS (2 * 86400L)
#define LEFT_SECONDS 28800L   /* as in cqgreylist.c */
#define LINES_MAX 500
#define IGNORED_MAX 32
#define DEFAULT_TEXT "you are new here, please come back in a few minutes"

/* ---- settings ---- */

static void read_settings(struct front *f)
{
  static const char *const names[] = {
    "GREYLIST_DELAY_SECONDS", "GREYLIST_PENDING_SECONDS", "GREYLIST_PASS_SECONDS", "GREYLIST_IPV4_PREFIX",
    "GREYLIST_IPV6_PREFIX", "GREYLIST_NAME_SECONDS", "GREYLIST_TEXT", "DNSBL_SECONDS",
  };
  struct front_settings *s = &f->settings;
  const char *text;
  size_t i;

  if (!fileseen_changed(&s->identity, f->settings_file))
    return;
  for (i = 0; i < sizeof names / sizeof *names; ++i)
    unsetenv(names[i]);   /* they are from the previous version of the file */
  settings_load(ME, f->settings_file, "GREYLIST_");
  settings_load(ME, f->settings_file, "DNSBL_");
  s->greylist.delay_seconds = say_number(ME, "GREYLIST_DELAY_SECONDS", 0, 86400, DELAY_SECONDS);
  s->greylist.pending_seconds = say_number(ME, "GREYLIST_PENDING_SECONDS", 1, 31536000, PENDING_SECONDS);
  if (s->greylist.pending_seconds - s->greylist.delay_seconds < LEFT_SECONDS) {
    s->greylist.delay_seconds = DELAY_SECONDS;
    s->greylist.pending_seconds = PENDING_SECONDS;
  }
  s->greylist.pass_seconds = say_number(ME, "GREYLIST_PASS_SECONDS", 1, 315360000, 36L * 86400);
  s->ipv4_prefix = (int) say_number(ME, "GREYLIST_IPV4_PREFIX", 8, 32, 24);
  s->ipv6_prefix = (int) say_number(ME, "GREYLIST_IPV6_PREFIX", 16, 128, 64);
  s->name_ms = 1000 * say_number(ME, "GREYLIST_NAME_SECONDS", 0, 60, 5);
  s->dnsbl_ms = 1000 * say_number(ME, "DNSBL_SECONDS", 1, 60, 3);
  text = getenv("GREYLIST_TEXT");
  say_printable(s->text, 201, text && *text ? text : DEFAULT_TEXT);
}

static void read_lists(struct front *f)
{
  struct front_dnsbl *d = &f->dnsbl;
  char line[DNSBLLIST_LINE_MAX];
  const char *wrong = "";
  int number = 0;
  FILE *file;
  int c;

  if (!fileseen_changed(&d->identity, f->dnsbl_file))
    return;
  d->n = 0;
  file = d->identity.there ? fopen(f->dnsbl_file, "re") : 0;
  if (!file) {
    front_say(f, 0, "trouble - - cannot read %.200s: %s", f->dnsbl_file, strerror(errno));
    return;
  }
  while (number++ < LINES_MAX && d->n < FRONT_LISTS_MAX && fgets(line, sizeof line, file)) {
    if (!strchr(line, '\n') && strlen(line) == sizeof line - 1) {
      front_say(f, 0, "line %d of %.200s: it is too long", number, f->dnsbl_file);
      while ((c = getc(file)) != EOF && c != '\n')
        ;
      continue;
    }
    switch (dnsbllist_parse(&d->list[d->n], line, &wrong)) {
      case DNSBLLIST_LIST: ++d->n; break;
      case DNSBLLIST_WRONG: front_say(f, 0, "line %d of %.200s: %s", number, f->dnsbl_file, wrong); break;
      case DNSBLLIST_COMMENT: break;
    }
  }
  fclose(file);
}

/* ---- the outcome ---- */

static void refuse(struct session *s, const char *code, const char *text)
{
  char refusal[FRONT_TEXT_MAX + 256];
  char before[REPLYCODE_MAX + 1];

  snprintf(refusal, sizeof refusal, "%s%s\r\n", replycode(before, code, text), text);
  free(s->refusal);
  s->refusal = strdup(refusal);
  s->verdict = VERDICT_REFUSE;
}

static void refuse_by_reason(struct front *f, struct session *s, const char *reason)
{
  char text[201];
  int permanent = *reason == '-';

  say_printable(text, sizeof text, reason + permanent);
  front_say(f, s->number, "refused %s - %s %s%s", s->ip, permanent ? "553" : "451", text, starttls_said(s));
  refuse(s, permanent ? "553" : "451", text);
}

/* Writes the network under which the client is remembered, for the log and as the name of a file. */
static void network_of(const struct front *f, const struct session *s, char *shown, char *key)
{
  struct address network = s->address;
  int prefix = address_network(&network, network.bits == 32 ? f->settings.ipv4_prefix : f->settings.ipv6_prefix);

  address_text(shown, &network, '/', prefix);
  address_text(key, &network, '-', prefix);
}

static void let_pass(struct session *s)
{
  s->verdict = VERDICT_PASS;
  verdict_end(s);
}

/* Its network has to come back, unless an attempt of its pool passes. */
static void defer(struct front *f, struct session *s, enum greystate state, long seconds)
{
  refuse(s, "451", f->settings.text);
  s->pending = calloc(1, sizeof *s->pending);
  if (!s->pending)
    return;
  s->pending->state = state;
  s->pending->seconds = seconds;
  s->pending->unsaid = 1;
}

static void judge_network(struct front *f, struct session *s)
{
  struct greystate_result result;
  struct timespec now;
  char shown[ADDRESS_TEXT_MAX];
  char key[ADDRESS_TEXT_MAX];
  enum greystate state;

  clock_gettime(CLOCK_REALTIME, &now);
  s->verdict = VERDICT_PASS;
  if (!*f->greylist_directory)
    return;
  if (pool_exempts_address(f, s)) {
    front_note(f, s, "skipped %s - exempt", s->ip);
    return;
  }
  network_of(f, s, shown, key);
  state = greystate_judge(f->greylist_directory, key, &f->settings.greylist, now, &result);
  switch (state) {
    case GREYSTATE_NEW:
    case GREYSTATE_EARLY:
      defer(f, s, state, result.seconds);
      break;
    case GREYSTATE_PASSED:
      front_note(f, s, "passed %s %s after %ld", s->ip, shown, result.seconds);
      break;
    case GREYSTATE_KNOWN:
      front_note(f, s, "known %s %s", s->ip, shown);
      break;
    case GREYSTATE_TROUBLE:
      front_note(f, s, "open %s %s %s: %s", s->ip, shown, result.trouble, strerror(result.error));
      break;
  }
}

/* An attempt of its pool passes: the network passes from now on. */
static void pass_by_pool(struct front *f, struct session *s, struct timespec now, long seconds)
{
  struct greystate_result result;
  char shown[ADDRESS_TEXT_MAX];
  char key[ADDRESS_TEXT_MAX];

  network_of(f, s, shown, key);
  front_note(f, s, "passed %s %s after %ld pool %s", s->ip, shown, seconds, s->pending->pool);
  if (greystate_pass(f->greylist_directory, key, now, &result) == GREYSTATE_TROUBLE)
    front_note(f, s, "open %s %s %s: %s", s->ip, shown, result.trouble, strerror(result.error));
  let_pass(s);
}

void verdict_recipient(struct front *f, struct session *s, const char *recipient)
{
  struct pending *p = s->pending;
  struct greystate_result result;
  struct timespec now;
  char shown[ADDRESS_TEXT_MAX];
  char key[ADDRESS_TEXT_MAX];

  if (!p)
    return;
  clock_gettime(CLOCK_REALTIME, &now);
  network_of(f, s, shown, key);
  switch (pool_judge(f, s, recipient, now, &result)) {
    case GREYSTATE_PASSED:
      pass_by_pool(f, s, now, result.seconds);
      return;
    case GREYSTATE_TROUBLE:
      front_note(f, s, "open %s %s %s: %s", s->ip, shown, result.trouble, strerror(result.error));
      let_pass(s);
      return;
    case GREYSTATE_NEW:
    case GREYSTATE_EARLY:
    case GREYSTATE_KNOWN: break;
  }
  if (!p->unsaid)
    return;
  p->unsaid = 0;
  if (p->state == GREYSTATE_NEW)
    front_say(f, s->number, "new %s %s wait %ld%s", s->ip, shown, f->settings.greylist.delay_seconds, starttls_said(s));
  else
    front_say(f, s->number, "early %s %s %ld of %ld%s", s->ip, shown, p->seconds, f->settings.greylist.delay_seconds, starttls_said(s));
}

/* ---- questions ---- */

static void done(void *arg, int which, const unsigned char *answer, size_t len, const char *trouble);

static struct front *the_front;   /* for done(), whose argument is the session */

/* Returns 0 when there is no place for one of its questions. */
static int ask_lists(struct front *f, struct session *s)
{
  char name[DNSMESSAGE_NAME_MAX];

  while (s->lists_asked < f->dnsbl.n) {
    if (!dnsmessage_reversed(name, sizeof name, &s->address, f->dnsbl.list[s->lists_asked].zone))
      name[0] = 0;
    if (!resolver_ask(&f->resolver, name, DNSMESSAGE_A, f->now_ms, s->asking_end_ms, done, s, s->lists_asked))
      return 0;
    ++s->lists_asked;
  }
  return 1;
}

static void no_list_has_it(struct front *f, struct session *s)
{
  s->lists_left = 0;
  judge_network(f, s);
  if (!s->pending || !naming_begin(f, s))
    session_judged(f, s);
}

static void done(void *arg, int which, const unsigned char *answer, size_t len, const char *trouble)
{
  static struct address address[DNSMESSAGE_RECORDS_MAX];
  struct session *s = arg;
  struct front *f = the_front;
  char text[ADDRESS_TEXT_MAX];
  char reason[DNSBLLIST_TEXT_MAX + DNSBLLIST_ZONE_MAX + 8];
  const struct dnsbllist *list = &f->dnsbl.list[which];
  int n;
  int i;

  if (trouble)
    front_note(f, s, "trouble %s %s %s", s->ip, list->zone, trouble);
  n = answer ? dnsmessage_addresses(answer, len, address, DNSMESSAGE_RECORDS_MAX) : 0;
  for (i = 0; i < n; ++i) {
    address_text(text, &address[i], 0, 0);
    if (dnsbllist_counts(list, &address[i])) {
      front_note(f, s, "listed %s %s %s", s->ip, list->zone, text);
      snprintf(reason, sizeof reason, "-%s (%s)", list->text[0] ? list->text : "you are on a list", list->zone);
      verdict_forget(f, s);
      refuse_by_reason(f, s, reason);
      session_judged(f, s);
      return;
    }
    if (i < IGNORED_MAX)
      front_note(f, s, "ignored %s %s %s", s->ip, list->zone, text);
  }
  if (--s->lists_left == 0)
    no_list_has_it(f, s);
}

void verdict_want_place(struct front *f, struct session *s)
{
  if (s->wants)
    return;
  s->wants = 1;
  s->wants_before = f->wants_last;
  s->wants_after = 0;
  if (f->wants_last)
    f->wants_last->wants_after = s;
  else
    f->wants_first = s;
  f->wants_last = s;
  ++f->wanting;
}

static void want_no_place(struct front *f, struct session *s)
{
  if (!s->wants)
    return;
  s->wants = 0;
  if (s->wants_before)
    s->wants_before->wants_after = s->wants_after;
  else
    f->wants_first = s->wants_after;
  if (s->wants_after)
    s->wants_after->wants_before = s->wants_before;
  else
    f->wants_last = s->wants_before;
  --f->wanting;
}

void verdict_named(struct front *f, struct session *s, const char *name)
{
  want_no_place(f, s);
  if (name && pool_exempts_name(f, name)) {
    front_note(f, s, "skipped %s - exempt %s", s->ip, name);
    let_pass(s);
  } else if (name) {
    pool_name(f, s, name);
  }
  session_judged(f, s);
}

static int ask(struct front *f, struct session *s)
{
  return s->lists_left ? ask_lists(f, s) : naming_ask(f, s);
}

void verdict_places(struct front *f)
{
  size_t left;
  struct session *s;

  for (left = f->wanting; left > 0 && f->resolver.outstanding < RESOLVER_MOST; --left) {
    s = f->wants_first;
    want_no_place(f, s);
    if (!ask(f, s))
      verdict_want_place(f, s);
  }
}

void verdict_time(struct front *f, struct session *s)
{
  int unasked;

  if (!s->lists_left) {
    naming_time(f, s);
    return;
  }
  if (f->now_ms < s->asking_end_ms)
    return;
  unasked = f->dnsbl.n - s->lists_asked;   /* there was no place for them */
  if (unasked <= 0)
    return;
  want_no_place(f, s);
  front_note(f, s, "trouble %s - too many questions", s->ip);
  s->lists_asked = f->dnsbl.n;
  s->lists_left -= unasked;
  if (s->lists_left == 0)
    no_list_has_it(f, s);
}

void verdict_forget(struct front *f, struct session *s)
{
  resolver_forget(&f->resolver, s);
  s->lists_left = 0;
  want_no_place(f, s);
  naming_forget(f, s);
}

void verdict_end(struct session *s)
{
  if (s->pending)
    free(s->pending->pool);
  free(s->pending);
  s->pending = 0;
}

void verdict_ask(struct front *f, struct session *s)
{
  the_front = f;
  read_settings(f);
  if (s->reason && *s->reason) {
    refuse_by_reason(f, s, s->reason);
  } else if (s->reason || s->whitelisted) {
    front_note(f, s, "skipped %s - %s", s->ip, s->whitelisted ? "whitelisted" : "rblsmtpd");
    s->verdict = VERDICT_PASS;
  } else {
    if (f->resolver.outstanding == 0) {   /* servers and lists do not change before the answer */
      resolver_servers(&f->resolver);
      read_lists(f);
    }
    if (f->dnsbl.n) {
      s->state = SESSION_ASKING;
      s->lists_left = f->dnsbl.n;
      s->lists_asked = 0;
      s->asking_end_ms = f->now_ms + f->settings.dnsbl_ms;
      if (!ask_lists(f, s))
        verdict_want_place(f, s);
      return;
    }
    judge_network(f, s);
    if (s->pending && naming_begin(f, s))
      s->state = SESSION_ASKING;
  }
}
