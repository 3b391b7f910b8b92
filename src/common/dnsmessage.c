/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <string.h>
#include "dnsmessage.h"

#define HEADER 12
#define TRUNCATED 2   /* bit TC of the third byte */
#define RECORD 10     /* type, class, time to live and length, behind the owner's name */
#define WIRE_NAME_MAX 255
#define POINTERS_MAX 64

static unsigned two(const unsigned char *s)
{
  return (unsigned) s[0] << 8 | s[1];
}

static unsigned char lower(unsigned char c)
{
  return c >= 'A' && c <= 'Z' ? (unsigned char) (c + 32) : c;
}

size_t dnsmessage_query(unsigned char *out, const char *name, int type, unsigned id)
{
  size_t at = HEADER;
  size_t label;

  memset(out, 0, HEADER);
  out[0] = (unsigned char) (id >> 8);
  out[1] = (unsigned char) id;
  out[2] = 1;   /* recursion desired */
  out[5] = 1;
  while (*name) {
    label = strcspn(name, ".");
    if (label < 1 || label > 63 || at - HEADER + label + 2 > WIRE_NAME_MAX)
      return 0;
    out[at++] = (unsigned char) label;
    memcpy(out + at, name, label);
    at += label;
    name += label;
    if (*name && *++name == 0)
      break;   /* a dot at its end */
  }
  if (at == HEADER)
    return 0;
  out[at++] = 0;
  out[at++] = (unsigned char) (type >> 8);
  out[at++] = (unsigned char) type;
  out[at++] = 0;
  out[at++] = 1;
  return at;
}

/* Reads a name in wire form, pointers followed, as lower-case wire form. Returns where it ends, 0 if it is not a
 * valid name. */
static size_t wire_name(const unsigned char *m, size_t len, size_t at, unsigned char out[WIRE_NAME_MAX])
{
  size_t end = 0;
  size_t used = 0;
  size_t label;
  size_t i;
  int pointers = 0;

  for (;;) {
    if (at >= len)
      return 0;
    label = m[at];
    if (label >= 0xc0) {
      if (at + 1 >= len || ++pointers > POINTERS_MAX)
        return 0;
      if (!end)
        end = at + 2;
      at = two(m + at) & 0x3fff;
      continue;
    }
    if (label > 63 || at + 1 + label > len || used + 1 + label > WIRE_NAME_MAX - (label ? 1u : 0u))
      return 0;
    out[used++] = (unsigned char) label;
    for (i = 0; i < label; ++i)
      out[used++] = lower(m[at + 1 + i]);
    at += 1 + label;
    if (!label)
      return end ? end : at;
  }
}

/* Whether the message has as many answer records behind the question as its header says. */
static int all_there(const unsigned char *m, size_t len, size_t at)
{
  unsigned char owner[WIRE_NAME_MAX];
  unsigned left;

  for (left = two(m + 6); left > 0; --left) {
    at = wire_name(m, len, at, owner);
    if (!at || len - at < RECORD || len - at - RECORD < two(m + at + RECORD - 2))
      return 0;
    at += RECORD + two(m + at + RECORD - 2);
  }
  return 1;
}

enum dnsmessage dnsmessage_check(const unsigned char *answer, size_t len, const unsigned char *query, size_t query_len)
{
  size_t i;
  unsigned code;

  if (len < query_len || query_len < HEADER || answer[0] != query[0] || answer[1] != query[1])
    return DNSMESSAGE_STRANGE;
  if ((answer[2] & 0xf8) != 0x80 || two(answer + 4) != 1)   /* a response to a plain question */
    return DNSMESSAGE_STRANGE;
  for (i = HEADER; i < query_len; ++i)
    if (lower(answer[i]) != lower(query[i]))
      return DNSMESSAGE_STRANGE;
  code = answer[3] & 15u;
  if (code != 0 && code != 3)
    return DNSMESSAGE_TROUBLE;
  return answer[2] & TRUNCATED || !all_there(answer, len, query_len) ? DNSMESSAGE_CUT : DNSMESSAGE_ANSWER;
}

static int wire_equal(const unsigned char *a, const unsigned char *b)
{
  size_t i = 0;

  for (; a[i]; i += 1u + a[i])
    if (memcmp(a + i, b + i, 1u + a[i]) != 0)
      return 0;
  return b[i] == 0;
}

/* Converts a name to text with dots; returns 0 for a name that no host can have. */
static int wire_text(const unsigned char *wire, char out[DNSMESSAGE_NAME_MAX])
{
  size_t used = 0;
  size_t i;
  size_t n;
  unsigned char c;

  while ((n = *wire++) != 0) {
    if (used)
      out[used++] = '.';
    for (i = 0; i < n; ++i) {
      c = *wire++;
      if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
        return 0;
      out[used++] = (char) c;
    }
  }
  out[used] = 0;
  return used > 0;
}

/* Calls `take` for each record of the question's type, behind its aliases; returns how many it took. */
static int records(const unsigned char *m, size_t len, int most,
                   int (*take)(const unsigned char *m, size_t len, size_t at, size_t size, int type, void *out, int n),
                   void *out)
{
  unsigned char name[WIRE_NAME_MAX];
  unsigned char owner[WIRE_NAME_MAX];
  unsigned char target[WIRE_NAME_MAX];
  unsigned left;
  size_t size;
  size_t at;
  int type;
  int wanted;
  int taken = 0;

  if (len < HEADER)
    return 0;
  at = wire_name(m, len, HEADER, name);
  if (!at || at + 4 > len)
    return 0;
  wanted = (int) two(m + at);
  at += 4;
  for (left = two(m + 6); left > 0 && taken < most; --left) {
    at = wire_name(m, len, at, owner);
    if (!at || at + 10 > len)
      break;
    type = (int) two(m + at);
    size = two(m + at + 8);
    if (at + 10 + size > len)
      break;
    if (two(m + at + 2) == 1 && wire_equal(owner, name)) {
      if (type == wanted)
        taken += take(m, len, at + 10, size, type, out, taken);
      else if (type == DNSMESSAGE_CNAME && wire_name(m, len, at + 10, target))
        memcpy(name, target, sizeof name);
    }
    at += 10 + size;
  }
  return taken;
}

static int take_address(const unsigned char *m, size_t len, size_t at, size_t size, int type, void *out, int n)
{
  struct address *a = (struct address *) out + n;

  (void) len;
  if (!(type == DNSMESSAGE_A && size == 4) && !(type == DNSMESSAGE_AAAA && size == 16))
    return 0;
  memset(a, 0, sizeof *a);
  a->bits = (int) size * 8;
  memcpy(a->bytes, m + at, size);
  return 1;
}

static int take_name(const unsigned char *m, size_t len, size_t at, size_t size, int type, void *out, int n)
{
  unsigned char wire[WIRE_NAME_MAX];
  size_t end;

  if (type != DNSMESSAGE_PTR)
    return 0;
  end = wire_name(m, len, at, wire);
  return end == at + size && wire_text(wire, ((char (*)[DNSMESSAGE_NAME_MAX]) out)[n]);
}

int dnsmessage_addresses(const unsigned char *answer, size_t len, struct address *out, int most)
{
  return records(answer, len, most, take_address, out);
}

int dnsmessage_names(const unsigned char *answer, size_t len, char (*out)[DNSMESSAGE_NAME_MAX], int most)
{
  return records(answer, len, most, take_name, out);
}

int dnsmessage_reversed(char *out, size_t size, const struct address *a, const char *tree)
{
  static const char hex[] = "0123456789abcdef";
  char labels[2 * 32 + 1];
  size_t n = 0;
  int i;
  int made;

  if (a->bits == 32) {
    made = snprintf(out, size, "%d.%d.%d.%d.%s", a->bytes[3], a->bytes[2], a->bytes[1], a->bytes[0], tree);
  } else {
    for (i = 15; i >= 0; --i) {
      labels[n++] = hex[a->bytes[i] & 15];
      labels[n++] = '.';
      labels[n++] = hex[a->bytes[i] >> 4];
      labels[n++] = '.';
    }
    labels[n] = 0;
    made = snprintf(out, size, "%s%s", labels, tree);
  }
  return made > 0 && (size_t) made < size;
}
