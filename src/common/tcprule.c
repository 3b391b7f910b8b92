/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <stdio.h>
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

/* Looks for an address of IPv4 and its parts that end in a dot; returns 0 if none is there, else the verdict is set. */
static int look_ipv4(struct tcprule_found *found, struct cdbread *c, const struct address *client,
                     enum tcprule *verdict)
{
  char key[INET_ADDRSTRLEN];
  size_t len;

  if (!inet_ntop(AF_INET, client->bytes, key, sizeof key)) {
    found->trouble = "no address";
    *verdict = TCPRULE_TROUBLE;
    return 1;
  }
  len = strlen(key);
  if (look(found, c, key, len, verdict))
    return 1;
  for (; len > 0; --len)
    if (key[len - 1] == '.' && look(found, c, key, len, verdict))
      return 1;
  return 0;
}

size_t tcprule_ipv6_key(char *key, const struct address *client, int prefix)
{
  static const char digit[] = "0123456789abcdef";
  struct address network = *client;
  size_t octets;
  size_t len = 0;
  size_t i;

  prefix = address_network(&network, prefix);
  octets = (size_t) (prefix + 7) / 8;
  key[len++] = '[';
  for (i = 0; i < octets; ++i) {
    key[len++] = digit[network.bytes[i] >> 4];
    key[len++] = digit[network.bytes[i] & 15];
  }
  return len + (size_t) snprintf(key + len, TCPRULE_IPV6_KEY_MAX - len, "]/%d", prefix);
}

/* The prefix lengths of IPv6 in the file, the longest first: how many, or -1 and the verdict is set. */
static int ipv6_lengths(struct tcprule_found *found, struct cdbread *c, unsigned char *length, enum tcprule *verdict)
{
  char data[TCPRULE_IPV6_LENGTHS_MAX];
  size_t n = 0;
  size_t i;
  int r = cdbread_find(c, "[]", 2);

  if (r == CDBREAD_FOUND)
    r = cdbread_data(c, data, sizeof data, &n);
  memcpy(length, data, n);
  for (i = 0; i < n; ++i)
    if (length[i] > 128 || (i && length[i] >= length[i - 1])) {
      c->trouble = "prefix lengths of IPv6 that are not in order";
      r = CDBREAD_TROUBLE;
    }
  if (r != CDBREAD_TROUBLE)
    return (int) n;
  found->trouble = c->trouble;
  *verdict = TCPRULE_TROUBLE;
  return -1;
}

/* Looks for the networks around an address of IPv6, the narrowest first; as look_ipv4(). */
static int look_ipv6(struct tcprule_found *found, struct cdbread *c, const struct address *client,
                     enum tcprule *verdict)
{
  unsigned char length[TCPRULE_IPV6_LENGTHS_MAX];
  char key[TCPRULE_IPV6_KEY_MAX];
  int n = ipv6_lengths(found, c, length, verdict);
  int i;

  for (i = 0; i < n; ++i)
    if (look(found, c, key, tcprule_ipv6_key(key, client, length[i]), verdict))
      return 1;
  return n == -1;
}

enum tcprule tcprule_find(struct tcprule_found *found, struct cdbread *c, const struct address *client)
{
  enum tcprule verdict;

  found->variables = 0;
  found->trouble = 0;
  if ((client->bits == 32 ? look_ipv4 : look_ipv6)(found, c, client, &verdict))
    return verdict;
  if (look(found, c, "", 0, &verdict))
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
