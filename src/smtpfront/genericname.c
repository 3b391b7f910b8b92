/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include "dnsmessage.h"
#include "genericname.h"

#define RUNS_MAX 128             /* more than a name has room for */
#define NUMBER_MAX 0xffffffffu
#define RUN_LEAST 7              /* digits without a separator that do not stand there by chance */

struct run {                     /* of digits, or of hexadecimal digits */
  unsigned long value;           /* NUMBER_MAX + 1 when it is larger */
  size_t len;
};

static int in(const char *set, char c)
{
  return c && strchr(set, c) != 0;
}

/* The runs of digits in base 10 or 16; with whole, those alone that have no letter beside them. */
static int runs(struct run *run, const char *name, int base, int whole)
{
  const char *digits = base == 10 ? "0123456789" : "0123456789abcdef";
  const char *begin = name;
  int n = 0;

  while (*begin && n < RUNS_MAX) {
    const char *at = begin;
    unsigned long value = 0;

    for (; in(digits, *at); ++at)
      if (value <= NUMBER_MAX)
        value = value * (unsigned) base + (unsigned) (strchr(digits, *at) - digits);
    if (at == begin) {
      ++begin;
      continue;
    }
    if (!whole || ((begin == name || in(".-_", begin[-1])) && (!*at || in(".-_", *at)))) {
      run[n].value = value > NUMBER_MAX ? NUMBER_MAX + 1 : value;
      run[n++].len = (size_t) (at - begin);
    }
    begin = at;
  }
  return n;
}

/* Whether count of the values, from the first or in any place, stand in a row there, forward or backward. */
static int in_a_row(const struct run *run, int n, size_t longest, const unsigned *value, int values, int count)
{
  int at;
  int from;
  int i;
  int forward;
  int backward;

  for (at = 0; at + count <= n; ++at)
    for (from = 0; from + count <= values; ++from) {
      forward = backward = 1;
      for (i = 0; i < count; ++i) {
        forward &= run[at + i].len <= longest && run[at + i].value == value[from + i];
        backward &= run[at + i].len <= longest && run[at + i].value == value[from + count - 1 - i];
      }
      if (forward || backward)
        return 1;
    }
  return 0;
}

static int all_four(const struct run *run, int n, const unsigned octet[4])
{
  int used[RUNS_MAX] = {0};
  int i;
  int at;

  for (i = 0; i < 4; ++i) {
    for (at = 0; at < n; ++at)
      if (!used[at] && run[at].len <= 3 && run[at].value == octet[i])
        break;
    if (at == n)
      return 0;
    used[at] = 1;
  }
  return 1;
}

static int among(const char *const *words, size_t n, const char *word, size_t len)
{
  while (n-- > 0)
    if (strlen(words[n]) == len && strncmp(word, words[n], len) == 0)
      return 1;
  return 0;
}

/* Whether a word for the access of customers stands there; strong: one that stands for nothing else. */
static int access_word(const char *name, int *strong)
{
  static const char *const sure[] = {
    "adsl", "vdsl", "xdsl", "sdsl", "hdsl", "shdsl", "dsl", "dslb", "dyndsl", "dynadsl", "dyn", "dynamic", "dynip",
    "dynamicip", "dial", "dialin", "dialup", "ppp", "pppoe", "pppdyn", "dhcp", "cable", "cablemodem", "catv", "docsis",
    "cust", "customer", "customers",
  };
  static const char *const likely[] = {
    "cpe", "client", "clients", "user", "users", "host", "pool", "ip", "broadband", "wireless", "wifi", "wimax", "res",
    "residential", "home", "mobile", "umts", "lte", "gprs", "gsm", "ftth", "fiber", "fibre", "fttx", "gpon", "static",
    "unused", "unassigned", "nat", "cgnat",
  };
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
  int found = 0;
  size_t len;

  for (*strong = 0; *name; name += len) {
    name += strcspn(name, letters);
    len = strspn(name, letters);
    if (among(sure, sizeof sure / sizeof *sure, name, len))
      found = *strong = 1;
    else if (among(likely, sizeof likely / sizeof *likely, name, len))
      found = 1;
  }
  return found;
}

/* The name without the separators within it. */
static void squeeze(char *out, const char *name)
{
  for (; *name; ++name)
    if (!in(".-_", *name))
      *out++ = *name;
  *out = 0;
}

enum form { PLAIN, PADDED, HEXADECIMAL };

static size_t octet_text(char *out, unsigned octet, enum form form)
{
  if (form == PLAIN)
    return (size_t) sprintf(out, "%u", octet & 255);
  return (size_t) (form == PADDED ? sprintf(out, "%03u", octet & 255) : sprintf(out, "%02x", octet & 255));
}

/* Whether the texts of count octets, one behind the other, stand in the name in either order. */
static int stands(const char *name, enum form form, const unsigned *octet, int count)
{
  char forward[16];
  char backward[16];
  size_t len = 0;
  size_t other = 0;
  int i;

  for (i = 0; i < count; ++i) {
    len += octet_text(forward + len, octet[i], form);
    other += octet_text(backward + other, octet[count - 1 - i], form);
  }
  if (form != HEXADECIMAL && len < RUN_LEAST)
    return 0;
  return strstr(name, forward) != 0 || strstr(name, backward) != 0;
}

static int generic_ipv4(const char *name, const char *squeezed, const unsigned octet[4])
{
  static const enum form forms[] = {PLAIN, PADDED, HEXADECIMAL};
  struct run run[RUNS_MAX];
  unsigned long forward = (unsigned long) octet[0] << 24 | octet[1] << 16 | octet[2] << 8 | octet[3];
  unsigned long backward = (unsigned long) octet[3] << 24 | octet[2] << 16 | octet[1] << 8 | octet[0];
  size_t i;
  int words;
  int strong;
  int at;
  int n = runs(run, name, 10, 0);

  if (in_a_row(run, n, 3, octet, 4, 3) || all_four(run, n, octet))
    return 1;
  for (at = 0; at < n; ++at)
    if (run[at].len >= RUN_LEAST && (run[at].value == forward || run[at].value == backward))
      return 1;
  words = access_word(name, &strong);
  if (words && in_a_row(run, n, 3, octet + 2, 2, 2))
    return 1;
  if (strong && in_a_row(run, n, 3, octet + 3, 1, 1))
    return 1;
  n = runs(run, name, 16, 1);
  if (in_a_row(run, n, 2, octet, 4, 3))
    return 1;
  for (i = 0; i < sizeof forms / sizeof *forms; ++i)
    if (stands(name, forms[i], octet, 4) || stands(squeezed, forms[i], octet, 4)
        || stands(name, forms[i], octet, 3) || stands(name, forms[i], octet + 1, 3))
      return 1;
  return 0;
}

/* The nibbles of some octets in either order. */
static int nibbles_stand(const char *squeezed, const unsigned char *bytes, int count)
{
  static const char hex[] = "0123456789abcdef";
  char forward[33];
  char backward[33];
  int i;

  for (i = 0; i < 2 * count; ++i) {
    forward[i] = hex[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
    backward[2 * count - 1 - i] = forward[i];
  }
  forward[2 * count] = backward[2 * count] = 0;
  return strstr(squeezed, forward) != 0 || strstr(squeezed, backward) != 0;
}

static int generic_ipv6(const char *name, const char *squeezed, const unsigned char bytes[16])
{
  struct run run[RUNS_MAX];
  unsigned group[8];
  unsigned some[8];   /* those that are not zero */
  int n = runs(run, name, 16, 0);
  int filled = 0;
  int i;

  for (i = 0; i < 8; ++i) {
    group[i] = (unsigned) bytes[2 * i] << 8 | bytes[2 * i + 1];
    if (group[i])
      some[filled++] = group[i];
  }
  if (nibbles_stand(squeezed, bytes, 8) || nibbles_stand(squeezed, bytes + 8, 8))
    return 1;
  if (filled >= 2 && in_a_row(run, n, 4, some, filled, filled))
    return 1;
  for (i = 0; i + 3 <= 8; ++i)
    if ((group[i] != 0) + (group[i + 1] != 0) + (group[i + 2] != 0) >= 2
        && in_a_row(run, n, 4, group + i, 3, 3))
      return 1;
  return 0;
}

int genericname(const char *name, const struct address *client)
{
  char squeezed[DNSMESSAGE_NAME_MAX];
  unsigned octet[4];
  int i;

  squeeze(squeezed, name);
  if (client->bits != 32)
    return generic_ipv6(name, squeezed, client->bytes);
  for (i = 0; i < 4; ++i)
    octet[i] = client->bytes[i];
  return generic_ipv4(name, squeezed, octet);
}
