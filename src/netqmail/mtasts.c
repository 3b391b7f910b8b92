/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include "mtasts.h"

#define MAP "mta-sts "
#define DIGITS_MAX 5 /* of an answer's length */
#define LABEL_MAX 63 /* bytes between two dots of a name */

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static int same(const char *left, const char *right, size_t length)
{
  size_t i;

  for (i = 0; i < length; ++i)
    if (lower(left[i]) != lower(right[i]))
      return 0;
  return 1;
}

static size_t without_dots(const char *name, size_t length)
{
  while (length && name[length - 1] == '.')
    --length;
  return length;
}

/* Whether a name is one that the DNS has hosts for; a dot in front or two in a row do not make one. */
static int is_domain(const char *name, size_t length)
{
  size_t label = 0;
  size_t i;

  if (!length || length > MTASTS_DOMAIN_MAX)
    return 0;
  for (i = 0; i < length; ++i) {
    char c = lower(name[i]);

    if (c == '.') {
      if (!label)
        return 0;
      label = 0;
    } else if (++label > LABEL_MAX || !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
      return 0;
    }
  }
  return 1;
}

size_t mtasts_question(char *to, const char *domain, size_t length)
{
  char head[16];
  size_t bytes;

  length = without_dots(domain, length);
  if (!is_domain(domain, length))
    return 0;
  bytes = (size_t) sprintf(head, "%lu:" MAP, (unsigned long) (sizeof MAP - 1 + length));
  memcpy(to, head, bytes);
  memcpy(to + bytes, domain, length);
  to[bytes + length] = ',';
  return bytes + length + 1;
}

/* Whether text begins with a word that ends there, or at a blank. */
static int begins(const char *text, size_t length, const char *word)
{
  size_t bytes = strlen(word);

  return length >= bytes && memcmp(text, word, bytes) == 0 && (length == bytes || text[bytes] == ' ');
}

/* Finds the patterns behind "OK secure". Returns 0 where there are none, or more than one list of them. */
static int take_patterns(struct mtasts *policy, const char *text, size_t length)
{
  static const char match[] = "match=";
  const char *stop = text + length;
  const char *end;
  int found = 0;

  for (; text < stop; text = end + 1) {
    end = memchr(text, ' ', (size_t) (stop - text));
    if (!end)
      end = stop;
    if ((size_t) (end - text) < sizeof match - 1 || memcmp(text, match, sizeof match - 1) != 0)
      continue;
    policy->patterns = text + sizeof match - 1;
    policy->patterns_length = (size_t) (end - policy->patterns);
    if (found++ || !policy->patterns_length)
      return 0;
  }
  return found;
}

static enum mtasts_state take(struct mtasts *policy, const char *text, size_t length)
{
  static const char enforced[] = "OK secure";

  if (begins(text, length, "NOTFOUND"))
    return MTASTS_NONE;
  if (!begins(text, length, enforced))
    return MTASTS_UNKNOWN;
  text += sizeof enforced - 1;
  length -= sizeof enforced - 1;
  return take_patterns(policy, text, length) ? MTASTS_ENFORCED : MTASTS_UNKNOWN;
}

enum mtasts_state mtasts_read(struct mtasts *policy)
{
  const char *bytes = policy->answer;
  size_t length = 0;
  size_t i;

  if (policy->length > sizeof policy->answer)
    return MTASTS_UNKNOWN;
  for (i = 0; i < policy->length && bytes[i] != ':'; ++i) {
    if (bytes[i] < '0' || bytes[i] > '9' || i == DIGITS_MAX || (i && !length))
      return MTASTS_UNKNOWN;
    length = length * 10 + (size_t) (bytes[i] - '0');
  }
  if (i == policy->length)
    return MTASTS_MORE;
  ++i;
  if (i == 1 || length > sizeof policy->answer - i - 1)
    return MTASTS_UNKNOWN;
  if (policy->length < i + length + 1)
    return MTASTS_MORE;
  if (policy->length > i + length + 1 || bytes[i + length] != ',')
    return MTASTS_UNKNOWN;
  return take(policy, bytes + i, length);
}

static int fits(const char *pattern, size_t length, const char *host, size_t host_length)
{
  const char *dot;

  length = without_dots(pattern, length);
  if (!length)
    return 0;
  if (pattern[0] != '.')
    return length == host_length && same(pattern, host, length);
  dot = memchr(host, '.', host_length);
  return dot && dot > host && length == host_length - (size_t) (dot - host) && same(pattern, dot, length);
}

int mtasts_lists(const struct mtasts *policy, const char *host)
{
  const char *pattern = policy->patterns;
  const char *stop = pattern + policy->patterns_length;
  const char *end;
  size_t host_length = without_dots(host, strlen(host));

  for (; pattern < stop; pattern = end + 1) {
    end = memchr(pattern, ':', (size_t) (stop - pattern));
    if (!end)
      end = stop;
    if (fits(pattern, (size_t) (end - pattern), host, host_length))
      return 1;
  }
  return 0;
}
