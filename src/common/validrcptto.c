/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include "cdbread.h"
#include "refusal.h"
#include "validrcptto.h"

static int lookup(struct validrcptto *v, struct cdbread *c, size_t len)
{
  int r;

  v->key[len] = 0;
  r = cdbread_find(c, v->key, len);
  if (r == CDBREAD_TROUBLE)
    v->trouble = c->trouble;
  return r == CDBREAD_FOUND ? VALIDRCPTTO_FOUND : r == CDBREAD_MISSING ? VALIDRCPTTO_MISSING : VALIDRCPTTO_TROUBLE;
}

static int find(struct validrcptto *v, struct cdbread *c, const char *address, size_t len)
{
  char lower[VALIDRCPTTO_ADDRESS_MAX];
  const size_t extra = strlen("-default");
  size_t i;
  size_t at;
  int r;

  for (i = 0; i < len; ++i)
    lower[i] = (char) (address[i] >= 'A' && address[i] <= 'Z' ? address[i] - 'A' + 'a' : address[i]);
  memcpy(v->key, lower, len);
  r = lookup(v, c, len);
  if (r != VALIDRCPTTO_MISSING)
    return r;

  for (at = len; at > 0 && lower[at - 1] != '@'; --at)
    ;
  if (at == 0)
    return VALIDRCPTTO_MISSING;
  --at;

  for (i = at; i > 0; --i) {
    if (lower[i - 1] != '-')
      continue;
    memcpy(v->key, lower, i - 1);
    memcpy(v->key + i - 1, "-default", extra);
    memcpy(v->key + i - 1 + extra, lower + at, len - at);
    r = lookup(v, c, i - 1 + extra + len - at);
    if (r != VALIDRCPTTO_MISSING)
      return r;
  }

  memcpy(v->key, lower + at, len - at);
  return lookup(v, c, len - at);
}

int validrcptto_find_in(struct validrcptto *v, struct cdbread *c, const char *address)
{
  size_t len = strlen(address);

  v->key[0] = 0;
  v->trouble = 0;
  if (len > VALIDRCPTTO_ADDRESS_MAX) {
    v->trouble = "address too long";
    return VALIDRCPTTO_TROUBLE;
  }
  return find(v, c, address, len);
}

int validrcptto_find(struct validrcptto *v, const char *path, const char *address)
{
  struct cdbread c;
  int r;

  v->key[0] = 0;
  v->trouble = 0;
  if (cdbread_open(&c, path) == CDBREAD_TROUBLE) {
    v->trouble = c.trouble;
    return VALIDRCPTTO_TROUBLE;
  }
  r = validrcptto_find_in(v, &c, address);
  cdbread_close(&c);
  return r;
}

unsigned long validrcptto_limit(const char *text)
{
  unsigned long n = 0;
  size_t i;

  if (!text || !*text)
    return VALIDRCPTTO_LIMIT_DEFAULT;
  for (i = 0; text[i]; ++i) {
    if (text[i] < '0' || text[i] > '9' || i == 9)
      return VALIDRCPTTO_LIMIT_DEFAULT;
    n = n * 10 + (unsigned long) (text[i] - '0');
  }
  return n;
}

/* On for every value but an empty one and zero. */
static int verbose(void)
{
  const char *text = getenv("VALIDRCPTTO_LOG");

  return text && *text && text[strspn(text, "0")];
}

static unsigned long misses = 0;   /* of this session, which is a process */

void validrcptto_begin(unsigned long before)
{
  misses = before;
}

int validrcptto_check(const char *recipient, const char *sender, const char *ip)
{
  struct validrcptto v;
  unsigned long limit;
  int r;

  if (verbose())
    refusal_rcpt(recipient);
  r = validrcptto_find(&v, VALIDRCPTTO_FILE, recipient);
  if (r == VALIDRCPTTO_FOUND && verbose())
    refusal_found(v.key);
  if (r == VALIDRCPTTO_TROUBLE)
    refusal_trouble("validrcptto.cdb", v.trouble);
  if (r != VALIDRCPTTO_MISSING)
    return r;

  refusal_validrcptto(recipient, sender, ip);
  limit = validrcptto_limit(getenv("VALIDRCPTTO_LIMIT"));
  ++misses;
  if (limit && misses >= limit) {
    refusal_excess(ip);
    return VALIDRCPTTO_EXCESS;
  }
  return VALIDRCPTTO_MISSING;
}
