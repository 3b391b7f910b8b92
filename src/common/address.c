/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "address.h"

int address_parse(struct address *a, const char *text)
{
  static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

  memset(a, 0, sizeof *a);
  if (inet_pton(AF_INET, text, a->bytes) == 1) {
    a->bits = 32;
    return 1;
  }
  if (inet_pton(AF_INET6, text, a->bytes) != 1)
    return 0;
  a->bits = 128;
  if (memcmp(a->bytes, mapped, sizeof mapped) == 0) {
    memmove(a->bytes, a->bytes + 12, 4);
    memset(a->bytes + 4, 0, 12);
    a->bits = 32;
  }
  return 1;
}

int address_network(struct address *a, int prefix)
{
  int i;

  if (prefix > a->bits)
    prefix = a->bits;
  for (i = prefix; i < a->bits; ++i)
    a->bytes[i / 8] &= (unsigned char) ~(0x80u >> (i % 8));
  return prefix;
}

void address_text(char *out, const struct address *a, char separator, int prefix)
{
  char text[INET6_ADDRSTRLEN];

  if (!inet_ntop(a->bits == 32 ? AF_INET : AF_INET6, a->bytes, text, sizeof text))
    memcpy(text, "?", 2);
  snprintf(out, ADDRESS_TEXT_MAX, "%s%c%d", text, separator, prefix);
}

int address_parse_network(struct address *a, int *prefix, const char *text)
{
  char copy[INET6_ADDRSTRLEN];
  struct address network;
  const char *slash = strchr(text, '/');
  size_t len = slash ? (size_t) (slash - text) : strlen(text);
  const char *digit;
  int written;   /* bits of the address as it is written */

  if (len >= sizeof copy)
    return 0;
  memcpy(copy, text, len);
  copy[len] = 0;
  if (!address_parse(a, copy))
    return 0;
  written = strchr(copy, ':') ? 128 : 32;
  *prefix = written;
  if (slash) {
    digit = slash + 1;
    if (strlen(digit) < 1 || strlen(digit) > (written == 32 ? 2u : 3u) || strspn(digit, "0123456789") != strlen(digit))
      return 0;
    for (*prefix = 0; *digit; ++digit)
      *prefix = *prefix * 10 + (*digit - '0');
  }
  if (*prefix > written || *prefix < written - a->bits)
    return 0;
  *prefix -= written - a->bits;
  network = *a;
  address_network(&network, *prefix);
  return address_equal(&network, a);
}

int address_inside(const struct address *a, const struct address *network, int prefix)
{
  struct address copy = *a;

  if (copy.bits != network->bits)
    return 0;
  address_network(&copy, prefix);
  return address_equal(&copy, network);
}

int address_equal(const struct address *a, const struct address *b)
{
  return a->bits == b->bits && memcmp(a->bytes, b->bytes, (size_t) a->bits / 8) == 0;
}
