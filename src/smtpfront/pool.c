/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A provider with many networks is one sender: the retry of a message comes from any of them. So an attempt from a
 * network that has to come back is remembered for the pool, too, as poolkey.h has it.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "genericname.h"
#include "pending.h"
#include "poolkey.h"

#define KEYS_MAX 20   /* attempts of one session */

/* ---- the files ---- */

static void read_suffixes(struct front *f)
{
  struct front_suffixes *s = &f->suffixes;
  size_t len = 0;
  char *text;

  if (!fileseen_changed(&s->identity, f->suffixes_file))
    return;
  suffixlist_free(&s->list);
  text = controls_read_file(f->suffixes_file, &len);
  if (!text || !suffixlist_read(&s->list, text, len))
    front_say(f, 0, "trouble - - cannot read %.200s, so no pool is known: %s", f->suffixes_file,
              text ? "it has no rule" : strerror(errno));
  free(text);
}

/* Whether everybody below a domain would be exempt, as with co.uk. */
static int is_public_suffix(const struct front *f, const struct greyexempt *entry)
{
  return entry->kind == GREYEXEMPT_DOMAIN && f->suffixes.list.rules
         && !suffixlist_organization(&f->suffixes.list, entry->domain);
}

static void read_exempt(struct front *f)
{
  struct front_exempt *e = &f->exempt;
  char line[GREYEXEMPT_LINE_MAX];
  struct greyexempt entry;
  struct greyexempt *more;
  const char *wrong = "";
  int number = 0;
  FILE *file;

  if (!fileseen_changed(&e->identity, f->exempt_file))
    return;
  e->n = 0;
  read_suffixes(f);
  file = e->identity.there ? fopen(f->exempt_file, "re") : 0;
  if (!file) {
    if (e->identity.there)
      front_say(f, 0, "trouble - - cannot read %.200s: %s", f->exempt_file, strerror(errno));
    return;
  }
  while (number++ < GREYEXEMPT_LINES_MAX && fgets(line, sizeof line, file)) {
    switch (greyexempt_parse(&entry, line, &wrong)) {
      case GREYEXEMPT_COMMENT: continue;
      case GREYEXEMPT_WRONG: front_say(f, 0, "line %d of %.200s: %s", number, f->exempt_file, wrong); continue;
      case GREYEXEMPT_NETWORK:
      case GREYEXEMPT_DOMAIN: break;
    }
    if (is_public_suffix(f, &entry)) {
      front_say(f, 0, "line %d of %.200s: it is a public suffix", number, f->exempt_file);
      continue;
    }
    more = realloc(e->entry, (e->n + 1) * sizeof *e->entry);
    if (!more)
      break;
    e->entry = more;
    e->entry[e->n++] = entry;
  }
  fclose(file);
}

void pool_begin(struct front *f)
{
  read_suffixes(f);
  read_exempt(f);
}

int pool_exempts_address(struct front *f, const struct session *s)
{
  size_t i;

  read_exempt(f);
  for (i = 0; i < f->exempt.n; ++i)
    if (greyexempt_has_address(&f->exempt.entry[i], &s->address))
      return 1;
  return 0;
}

int pool_exempts_name(struct front *f, const char *name)
{
  size_t i;

  read_exempt(f);
  for (i = 0; i < f->exempt.n; ++i)
    if (greyexempt_has_name(&f->exempt.entry[i], name))
      return 1;
  return 0;
}

/* ---- attempts ---- */

void pool_name(struct front *f, struct session *s, const char *name)
{
  const char *organization;

  read_suffixes(f);
  organization = f->suffixes.list.rules && !genericname(name, &s->address)
                     ? suffixlist_organization(&f->suffixes.list, name) : 0;
  s->pending->pool = organization ? strdup(organization) : 0;
}

/* Only what would be accepted is remembered. */
static int acceptable(struct front *f, const struct session *s, const char *recipient)
{
  return s->dialogue.sender && !s->dialogue.barred && controls_rcpthosts(&f->controls, recipient) == DIALOGUE_YES
         && controls_validrcptto(&f->controls, recipient) == DIALOGUE_YES;
}

enum greystate pool_judge(struct front *f, struct session *s, const char *recipient, struct timespec now,
                          struct greystate_result *result)
{
  struct greystate_limits limits = f->settings.greylist;
  struct pending *p = s->pending;
  long age_seconds = (f->now_ms - s->began_ms) / 1000;
  char key[POOLKEY_MAX];
  enum greystate state;

  if (!p->pool || p->keys >= KEYS_MAX || !acceptable(f, s, recipient)
      || !poolkey(key, p->pool, s->dialogue.sender, recipient))
    return GREYSTATE_NEW;
  ++p->keys;
  if (limits.delay_seconds <= age_seconds)
    limits.delay_seconds = age_seconds + 1;   /* an attempt of this session is no retry */
  state = greystate_await(f->greylist_directory, key, 0, &limits, now, result);
  if (state == GREYSTATE_NEW && poolbudget_take(&f->pool_budget, s->network_key, f->now_ms))
    state = greystate_await(f->greylist_directory, key, 1, &limits, now, result);
  return state == GREYSTATE_EARLY ? GREYSTATE_NEW : state;
}
