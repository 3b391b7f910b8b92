/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <string.h>
#include <strings.h>
#include "scanname.h"

static int hexadecimal(char c)
{
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static int digit64(char c)
{
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

/* Returns the byte that is written as a mark and two digits at s[0], or -1. */
static int escaped(char mark, const char *s, size_t length)
{
  if (length < 3 || s[0] != mark || hexadecimal(s[1]) == -1 || hexadecimal(s[2]) == -1) return -1;
  return hexadecimal(s[1]) * 16 + hexadecimal(s[2]);
}

size_t scanname_percent(const char *s, size_t length, char *to)
{
  size_t i;
  size_t n = 0;
  int c;

  for (i = 0; i < length; ++i) {
    c = escaped('%', s + i, length - i);
    to[n++] = c == -1 ? s[i] : (char) c;
    if (c != -1) i += 2;
  }
  return n;
}

size_t scanname_base64(const char *s, size_t length, char *to)
{
  unsigned long bits = 0;
  int count = 0;
  size_t i;
  size_t n = 0;

  for (i = 0; i < length; ++i) {
    if (digit64(s[i]) == -1) {
      if (s[i] == '=') count = 0; /* a new sequence begins after padding */
      continue;
    }
    bits = (bits << 6 | (unsigned long) digit64(s[i])) & 0xffffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      to[n++] = (char) (bits >> count & 0xff);
    }
  }
  return n;
}

size_t scanname_base64_piece(struct scanname_group *g, const char *s, size_t length, char *to)
{
  size_t i;
  size_t n = 0;

  for (i = 0; i < length; ++i) {
    if (s[i] == '=' && g->digits >= 2 && g->digits + ++g->pads >= 4) g->digits = g->pads = 0;
    if (digit64(s[i]) == -1) continue;
    g->bits = (g->bits << 6 | (unsigned long) digit64(s[i])) & 0xffffff;
    g->pads = 0;
    g->digits = (g->digits + 1) % 4;
    if (g->digits != 1) to[n++] = (char) (g->bits >> (4 - g->digits) % 4 * 2 & 0xff);
  }
  return n;
}

size_t scanname_quoted(const char *s, size_t length, char *to)
{
  size_t i;
  size_t n = 0;
  int c;

  for (i = 0; i < length; ++i) {
    c = escaped('=', s + i, length - i);
    to[n++] = c == -1 ? s[i] : (char) c;
    if (c != -1) i += 2;
  }
  return n;
}

/* The Q encoding, which writes '_' for a blank. */
static size_t q_encoded(const char *s, size_t length, char *to)
{
  size_t n = scanname_quoted(s, length, to);
  size_t i;

  for (i = 0; i < n; ++i)
    if (to[i] == '_') to[i] = ' ';
  return n;
}

/* "=?charset?B?text?=" at s: its length, and where its text stands; a text without an end goes to the end. Or 0. */
static size_t encoded_word(const char *s, size_t length, const char **text, size_t *text_length, char *encoding)
{
  const char *mark;
  const char *end;
  size_t left;

  if (length < 5 || s[0] != '=' || s[1] != '?') return 0;
  mark = memchr(s + 2, '?', length - 2);
  if (!mark || (size_t) (mark - s) + 3 > length || mark[2] != '?') return 0;
  *encoding = mark[1];
  if (!strchr("bBqQ", *encoding) || *encoding == 0) return 0;
  *text = mark + 3;
  left = length - (size_t) (*text - s);
  end = memmem(*text, left, "?=", 2);
  *text_length = end ? (size_t) (end - *text) : left;
  return (size_t) (*text - s) + *text_length + (end ? 2 : 0);
}

size_t scanname_words(const char *s, size_t length, char *to)
{
  const char *text;
  size_t text_length;
  size_t word;
  size_t n = 0;
  size_t i = 0;
  size_t behind = 0; /* position in to, behind the last word and before the blanks that follow it */
  int after_word = 0;
  char encoding;

  while (i < length) {
    word = encoded_word(s + i, length - i, &text, &text_length, &encoding);
    if (word > 0) {
      if (after_word) n = behind;
      n += (encoding == 'b' || encoding == 'B' ? scanname_base64 : q_encoded)(text, text_length, to + n);
      behind = n;
      after_word = 1;
      i += word;
      continue;
    }
    if (s[i] != ' ' && s[i] != '\t') after_word = 0;
    to[n++] = s[i++];
  }
  return n;
}

size_t scanname_utf7(const char *s, size_t length, char *to)
{
  unsigned long bits = 0;
  int count = 0;
  int coded = 0;
  size_t i;
  size_t n = 0;

  for (i = 0; i < length; ++i) {
    if (!coded) {
      if (s[i] != '+') {
        to[n++] = s[i];
        continue;
      }
      coded = 1;
      bits = 0;
      count = 0;
      continue;
    }
    if (digit64(s[i]) == -1) {
      if (s[i] == '-' && i > 0 && s[i - 1] == '+') to[n++] = '+';
      else if (s[i] != '-') to[n++] = s[i];
      coded = 0;
      continue;
    }
    bits = (bits << 6 | (unsigned long) digit64(s[i])) & 0xffffff;
    count += 6;
    if (count >= 16) {
      count -= 16;
      to[n++] = (bits >> count & 0xffff) < 128 ? (char) (bits >> count & 0x7f) : '_';
    }
  }
  return n;
}

/* Bytes of the character at s: what is seen of it goes to plain, 0 for nothing. ' ' is any blank. */
static size_t character(const char *s, size_t length, char *plain)
{
  unsigned char a = (unsigned char) s[0];
  unsigned char b = length > 1 ? (unsigned char) s[1] : 0;
  unsigned char c = length > 2 ? (unsigned char) s[2] : 0;

  size_t n;

  *plain = s[0];
  if (a == 0x1b) { /* ISO 2022: a switch between character sets is not a character */
    for (n = 1; n < length && s[n] >= ' ' && s[n] <= '/'; ++n) continue;
    *plain = 0;
    return n < length ? n + 1 : n;
  }
  if (a == 0xc2 && b == 0xa0) { *plain = ' '; return 2; }
  if (a == 0xc2 && b == 0xad) { *plain = 0; return 2; }
  if (a == 0xe3 && b == 0x80 && c == 0x80) { *plain = ' '; return 3; }
  if (a == 0xe2 && b == 0x80 && c >= 0x80) {
    *plain = 0;
    if (c <= 0x8a || c == 0xaf) { *plain = ' '; return 3; }                       /* U+2000 to 200A, 202F */
    if (c <= 0x8f || (c >= 0xa8 && c <= 0xae)) return 3;                          /* U+200B to 200F, 2028 to 202E */
  }
  if (a == 0xe2 && b == 0x81 && c >= 0xa0 && c <= 0xaf) { *plain = 0; return 3; } /* U+2060 to 206F */
  if (a == 0xef && b == 0xbb && c == 0xbf) { *plain = 0; return 3; }
  if (a == 0xef && b == 0xbc && c >= 0x81) { *plain = (char) (c - 0x81 + '!'); return 3; }            /* fullwidth */
  if (a == 0xef && b == 0xbd && c >= 0x80 && c <= 0x9e) { *plain = (char) (c - 0x80 + '`'); return 3; }
  *plain = s[0];
  if (a == 0xa0) *plain = ' ';
  if (a < 32 || a == 127 || strchr("*?\"<>|", a)) *plain = a == '\t' ? ' ' : 0;
  return 1;
}

static int ends(const char *s, size_t length, const struct scanname_suffixes *suffixes)
{
  const char *suffix;
  size_t n;
  int i;

  while (length > 0 && s[length - 1] && strchr(" .\t/\\'\"?:;,", s[length - 1])) --length;
  for (i = 0; i < suffixes->count; ++i) {
    suffix = suffixes->first + (size_t) i * suffixes->stride;
    n = strlen(suffix);
    if (n > 0 && length >= n && strncasecmp(s + length - n, suffix, n) == 0) return 1;
  }
  return 0;
}

/* In UTF-16 a NUL is half of a character and does not end the name. */
static int half(const char *s, size_t length, size_t i)
{
  return (i >= 2 && s[i - 2] == 0) || (i + 2 < length && s[i + 2] == 0);
}

int scanname_is_domain(const char *s, size_t length)
{
  size_t i;

  if (length < 5 || length > 253 || strncasecmp(s + length - 4, ".com", 4) != 0) return 0;
  for (i = 0; i < length; ++i)
    if (!(s[i] >= '0' && s[i] <= '9') && !((s[i] | 32) >= 'a' && (s[i] | 32) <= 'z') && s[i] != '.' && s[i] != '-') return 0;
  return 1;
}

/* Behind "//" or '@' of a URL or an address; '<', '>' and a '/' at the end are not looked at. */
static int is_in_domain(const char *s, size_t length)
{
  size_t from;

  if (length > 0 && s[length - 1] == '>') --length;
  if (length > 0 && s[length - 1] == '/') --length;
  for (from = length; from > 0 && s[from - 1] != '@' && s[from - 1] != '/'; --from) continue;
  if (from > 0 && s[from - 1] == '/' && (from < 3 || s[from - 2] != '/' || s[from - 3] != ':')) return 0;
  return scanname_is_domain(s + from, length - from);
}

int scanname_is_text(const char *s, size_t length, char *room)
{
  if (memchr(s, ' ', length) || memchr(s, '\t', length)) return 1;
  length = scanname_words(s, length, room);
  return memchr(room, ' ', length) || is_in_domain(room, length);
}

/* Windows cuts a name at a ':', except in "Re: ", where the ':' is text and is replaced. */
static int is_cut(const char *s, size_t length, size_t i)
{
  if (s[i] == 0) return !half(s, length, i);
  if (s[i] != ':') return 0;
  for (++i; i < length && s[i] == 0; ++i) continue; /* UTF-16 */
  return i == length || (s[i] != ' ' && s[i] != '\t');
}

int scanname_ends(const char *s, size_t length, const struct scanname_suffixes *suffixes, char *room)
{
  char plain;
  size_t i;
  size_t n = 0;

  if (ends(s, length, suffixes)) return 1;
  for (i = 0; i < length;) {
    if (is_cut(s, length, i) && ends(room, n, suffixes)) return 1;
    i += character(s + i, length - i, &plain);
    if (plain) room[n++] = plain;
  }
  return ends(room, n, suffixes);
}
