/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdint.h>
#include <string.h>
#include "punycode.h"

#define BASE 36u   /* these as in RFC 3492, 5 */
#define TMIN 1u
#define TMAX 26u
#define SKEW 38u
#define DAMP 700u
#define FIRST_BIAS 72u
#define FIRST_POINT 128u

/* Reads a character of UTF-8; returns its length, or 0. */
static size_t character(uint32_t *point, const unsigned char *s, size_t len)
{
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  size_t bytes = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
  size_t i;

  if (!bytes || bytes > len)
    return 0;
  *point = bytes == 1 ? s[0] : s[0] & (0xffu >> (bytes + 1));
  for (i = 1; i < bytes; ++i) {
    if ((s[i] & 0xc0) != 0x80)
      return 0;
    *point = *point << 6 | (s[i] & 0x3fu);
  }
  return *point < least[bytes] || *point > 0x10ffff || (*point >= 0xd800 && *point < 0xe000) ? 0 : bytes;
}

static uint32_t adapted(uint32_t delta, uint32_t points, int first)
{
  uint32_t k = 0;

  delta = first ? delta / DAMP : delta / 2;
  delta += delta / points;
  for (; delta > (BASE - TMIN) * TMAX / 2; k += BASE)
    delta /= BASE - TMIN;
  return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

static int put(char *out, size_t *at, char c)
{
  if (*at == PUNYCODE_LABEL_MAX)
    return 0;
  out[(*at)++] = c;
  return 1;
}

/* Writes a number of variable length. */
static int put_number(char *out, size_t *at, uint32_t number, uint32_t bias)
{
  static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  uint32_t k;
  uint32_t t;

  for (k = BASE; ; k += BASE) {
    t = k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;
    if (number < t)
      return put(out, at, digits[number]);
    if (!put(out, at, digits[t + (number - t) % (BASE - t)]))
      return 0;
    number = (number - t) / (BASE - t);
  }
}

static size_t encode(char *out, const uint32_t *point, size_t points)
{
  uint32_t next = FIRST_POINT;
  uint32_t delta = 0;
  uint32_t bias = FIRST_BIAS;
  uint32_t least;
  size_t at = 4;
  size_t basic = 0;
  size_t done;
  size_t i;

  memcpy(out, "xn--", 4);
  for (i = 0; i < points; ++i)
    if (point[i] < 128) {
      ++basic;
      if (!put(out, &at, (char) point[i]))
        return 0;
    }
  if (basic && !put(out, &at, '-'))
    return 0;
  for (done = basic; done < points; ++next, ++delta) {
    least = UINT32_MAX;
    for (i = 0; i < points; ++i)
      if (point[i] >= next && point[i] < least)
        least = point[i];
    delta += (least - next) * (uint32_t) (done + 1);   /* at most 0x10ffff * 64: it does not overflow */
    next = least;
    for (i = 0; i < points; ++i) {
      if (point[i] < next)
        ++delta;
      if (point[i] != next)
        continue;
      if (!put_number(out, &at, delta, bias))
        return 0;
      bias = adapted(delta, (uint32_t) done + 1, done == basic);
      delta = 0;
      ++done;
    }
  }
  return at;
}

size_t punycode_label(char *out, const char *label, size_t len)
{
  uint32_t point[PUNYCODE_LABEL_MAX];
  size_t points = 0;
  size_t at = 0;
  size_t bytes;
  int ascii = 1;

  while (at < len) {
    if (points == PUNYCODE_LABEL_MAX)
      return 0;
    bytes = character(&point[points], (const unsigned char *) label + at, len - at);
    if (!bytes)
      return 0;
    ascii &= point[points++] < 128;
    at += bytes;
  }
  if (!ascii)
    return encode(out, point, points);
  memcpy(out, label, len);
  return len;
}
