/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <string.h>
#include "tcprule.h"

enum tcprule tcprule_read(struct tcprule_found *found, size_t len)
{
  enum tcprule verdict = TCPRULE_ALLOW;
  const char *item = found->data;
  const char *end;

  found->variables = 0;
  for (; (end = memchr(item, 0, len)) != 0; item = end + 1) {
    len -= (size_t) (end - item) + 1;
    if (*item == 'D')
      verdict = TCPRULE_DENY;
    if (*item != '+' || !strchr(item, '=') || item[1] == '=')
      continue;
    if (found->variables == TCPRULE_VARIABLES_MAX) {
      found->trouble = "a rule with too many variables";
      return TCPRULE_TROUBLE;
    }
    found->variable[found->variables++] = item + 1;
  }
  return verdict;
}

/* Looks for one key; returns 0 if it is not there, else the verdict is set. */
static int look(struct tcprule_found *found, struct cdbread *c, const char *key, size_t len, enum tcprule *verdict)
{
  size_t data_len;
  int r = cdbread_find(c, key, len);

  if (r == CDBREAD_MISSING)
    return 0;
  if (r == CDBREAD_FOUND)
    r = cdbread_data(c, found->data, sizeof found->data, &data_len);
  if (r == CDBREAD_TROUBLE) {
    found->trouble = c->trouble;
    *verdict = TCPRULE_TROUBLE;
  } else {
    *verdict = tcprule_read(found, data_len);
  }
  return 1;
}

enum tcprule tcprule_find(struct tcprule_found *found, struct cdbread *c, const struct address *client)
{
  char key[INET6_ADDRSTRLEN];
  enum tcprule verdict;
  size_t len;

  found->variables = 0;
  found->trouble = 0;
  key[0] = 0;
  if (client->bits == 32 && !inet_ntop(AF_INET, client->bytes, key, sizeof key)) {
    found->trouble = "no address";
    return TCPRULE_TROUBLE;
  }
  len = strlen(key);
  if (len && look(found, c, key, len, &verdict))
    return verdict;
  for (; len > 0; --len)
    if (key[len - 1] == '.' && look(found, c, key, len, &verdict))
      return verdict;
  if (look(found, c, key, 0, &verdict))
    return verdict;
  return TCPRULE_ALLOW;
}

const char *tcprule_value(const struct tcprule_found *found, const char *name)
{
  const char *value = 0;
  size_t len = strlen(name);
  int i;

  for (i = 0; i < found->variables; ++i)
    if (strncmp(found->variable[i], name, len) == 0 && found->variable[i][len] == '=')
      value = found->variable[i] + len + 1;
  return value;
}
