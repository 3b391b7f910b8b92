/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdlib.h>
#include <string.h>
#include "scanripmime.h"
#include "scantext.h"

/* Messages of ripmime about malformed mail, behind "FILE.c:LINE:": no part is lost with these. */
static const char *const harmless[] = {
  "MDECODE_decode_ISO:ERROR: The encoding character '",
  "MIME_decode_encoding:DEBUG:REMOVEME: Testing for RFC822 headers in file ",
  "MIME_decode_quoted_printable:WARNING: Ran out of characters when decoding end of '",
  "MIME_decode_raw:WARNING: hinfo has been clobbered.",
  "UUENCODE_decode_uu:WARNING: unable to obtain filename from UUencoded text file header",
  "UUENCODE_decode_uu:WARNING: Excessive length line",
};

/* Names that no file can have; a part that is written under another name has its own message. This name is checked
 * here. */
static const char *const impossible[] = {
  "MIME_generate_multiple_hardlink_filenames:WARNING: While trying to create '",
  "UUENCODE_decode_uu:ERROR: Cannot open file '",
};
static const char *const because[] = {"(File name too long)", "(No such file or directory)", "(Is a directory)"};

static const char *const deep[] = {
  "MIME_unpack_stage2:WARNING: Current recursion level of ",
  "MIME_unpack_single:WARNING: Current recursion level of ",
  "MIME_unpack_single_fp:WARNING: Current recursion level of ",
};

/* Messages of -v without a place in the source in front. */
static const char *const plain[] = {
  "Attempting to decode Double-CR delimeted MIME attachment '",
  "Attempting to decode UUENCODED attachment from Double-CR delimeted attachment '",
};
static const char *const naming[] = {"Decoding filename=", "Decoded: "};

#define ONE_OF(words, s, length) one_of(words, sizeof (words) / sizeof *(words), s, length)

/* Returns the length of the listed text that the line begins with, or 0. */
static size_t one_of(const char *const *words, size_t count, const char *s, size_t length)
{
  size_t i;
  size_t n;

  for (i = 0; i < count; ++i) {
    n = strlen(words[i]);
    if (length >= n && memcmp(s, words[i], n) == 0) return n;
  }
  return 0;
}

static int ends_because(const char *s, size_t length)
{
  size_t i;
  size_t n;

  for (i = 0; i < sizeof because / sizeof *because; ++i) {
    n = strlen(because[i]);
    if (length >= n && memcmp(s + length - n, because[i], n) == 0) return 1;
  }
  return 0;
}

/* Returns the text behind "FILE.c:LINE:", or NULL if the line does not begin so. */
static const char *behind_place(const char *s, size_t length)
{
  size_t i = 0;
  size_t digits = 0;

  while (i < length && (s[i] == '-' || s[i] == '_' || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= 'a' && s[i] <= 'z'))) ++i;
  if (i == 0 || length - i < 3 || memcmp(s + i, ".c:", 3) != 0) return NULL;
  for (i += 3; i < length && s[i] >= '0' && s[i] <= '9'; ++i) ++digits;
  return digits > 0 && i < length && s[i] == ':' ? s + i + 1 : NULL;
}

static void trouble(struct scanripmime *r, const char *s, size_t length)
{
  if (r->state == SCANRIPMIME_TROUBLE) return;
  r->state = SCANRIPMIME_TROUBLE;
  scantext_field(s, length, 0, r->said, sizeof r->said);
}

static int more_room(struct scanripmime *r, size_t needed)
{
  size_t room = r->names_room;
  char *larger;

  while (room - r->names_length < needed) room = room ? 2 * room : 4096;
  if (room == r->names_room) return 0;
  larger = room > SCANRIPMIME_NAMES ? NULL : realloc(r->names, room);
  if (!larger) return -1;
  r->names = larger;
  r->names_room = room;
  return 0;
}

/* ripmime's log doubles '%'; the last part of a path is the name. */
static void keep_name(struct scanripmime *r, char kind, const char *s, size_t length)
{
  const char *from = memrchr(s, '/', length);
  const char *stop = s + length;
  char *to;

  if (!from) from = s;
  else ++from;
  if (more_room(r, (size_t) (stop - from) + 2) == -1) {
    trouble(r, "", 0);
    return;
  }
  to = r->names + r->names_length;
  *to++ = kind;
  for (; from < stop; ++from) {
    if (*from == 0) break;
    *to++ = *from;
    if (*from == '%' && from + 1 < stop && from[1] == '%') ++from;
  }
  *to++ = 0;
  r->names_length = (size_t) (to - r->names);
}

/* A name that could not be used is in quotes: each text that ends at a quote is kept as a name to be checked. */
static void keep_quoted(struct scanripmime *r, const char *s, size_t length)
{
  size_t i;
  size_t from = 0;

  for (i = 0; i < length; ++i)
    if (s[i] == '\'') {
      if (i > from) keep_name(r, SCANRIPMIME_IMPOSSIBLE, s + from, i - from);
      from = i + 1;
    }
}

/* Handles a line that names a place in the source. Returns 0 when it is a trouble. */
static int judge(struct scanripmime *r, const char *s, size_t length)
{
  size_t n;

  r->quoting = 1;
  if (ONE_OF(harmless, s, length)) return 1;
  if (ONE_OF(deep, s, length)) {
    if (r->state == SCANRIPMIME_FINE) r->state = SCANRIPMIME_DEEP;
    return 1;
  }
  n = ONE_OF(impossible, s, length);
  if (n == 0 || !ends_because(s, length)) return 0;
  keep_quoted(r, s + n, length - n);
  return 1;
}

static void take_line(struct scanripmime *r)
{
  const char *s = r->line;
  size_t length = r->length;
  const char *said;
  size_t n;

  r->length = 0;
  if (length == 0) return;
  n = ONE_OF(naming, s, length);
  if (n > 0) {
    keep_name(r, SCANRIPMIME_WRITTEN, s + n, length - n);
    r->quoting = 0;
    return;
  }
  said = behind_place(s, length);
  if (said) {
    if (!judge(r, said, length - (size_t) (said - s))) trouble(r, s, length);
    return;
  }
  if (ONE_OF(plain, s, length)) r->quoting = 1;
  else if (!r->quoting) trouble(r, s, length);
}

void scanripmime_begin(struct scanripmime *r)
{
  memset(r, 0, sizeof *r);
}

void scanripmime_add(struct scanripmime *r, const char *said, size_t length)
{
  const char *end;
  size_t n;

  while (length > 0 && r->state != SCANRIPMIME_TROUBLE) {
    end = memchr(said, '\n', length);
    n = end ? (size_t) (end - said) : length;
    if (n > sizeof r->line - r->length) {
      trouble(r, "a line without end", 18);
      return;
    }
    memcpy(r->line + r->length, said, n);
    r->length += n;
    if (end) {
      take_line(r);
      ++n;
    }
    said += n;
    length -= n;
  }
}

void scanripmime_end(struct scanripmime *r)
{
  if (r->state != SCANRIPMIME_TROUBLE) take_line(r);
}
