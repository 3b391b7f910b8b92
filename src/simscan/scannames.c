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
#include <strings.h>
#include "scanname.h"
#include "scannames.h"
#include "scantnef.h"
#include "scantext.h"

#define LINE 2000 /* a longer line of a body is decoded in pieces of so many bytes */
#define BASE 64   /* bytes of a parameter's name */
#define WINMAIL "winmail.dat"
#define BACK 256  /* from '=' back to the name, with comments */

enum place { HEADER, BODY };
enum encoding { PLAIN, BASE64, QUOTED };

struct piece {
  const char *value;   /* in fields.text, behind '=' and blanks */
  size_t length;       /* to the end of the field */
  char base[BASE];     /* the parameter's name without '*' and number, in lower case */
  long number;         /* of RFC 2231, or -1 */
  int extended;        /* its value has percent signs */
};

struct scannames {
  struct scanname_suffixes suffixes;
  int depth;
  enum scannames_state state;
  char found[SCANNAMES_NAME];
  int tnef;                  /* a part of the message is TNEF */
  int names_unseen;          /* a TNEF part in which no name was found */
  long long work;
  enum place place;
  enum encoding encoding;    /* of the part */
  int typed;                 /* the header has a Content-Type */
  int holds_message;         /* message/... */
  int holds_parts;           /* multipart/... */
  int holds_tnef;
  int any_field;
  int untyped_before;        /* this header was expected because the one before had no Content-Type */
  int gathering;             /* the field continues in field */
  char field[SCANNAMES_FIELD];
  size_t field_length;
  char line[LINE];
  size_t line_length;
  int line_is_cut;           /* its beginning was read already */
  struct scanname_group group; /* of base64 */
  char carry[2];             /* the beginning of an escape of quoted-printable */
  size_t carried;
  struct scannames *inner;   /* of what is encoded as a whole */
  struct scantnef *tnef_part;
  size_t sniffed;            /* bytes of TNEF's signature at the beginning of an encoded part, or SCANTNEF_OTHER */
  enum encoding sniff_encoding;
  struct scanname_group sniff_group;
  int display_forbidden;     /* a display name in it is forbidden, if it has no other names */
  char display[SCANNAMES_NAME];
  enum encoding inner_encoding;
  char text[SCANNAMES_FIELD];
  char value[SCANNAMES_FIELD];
  char joined[SCANNAMES_FIELD];
  char once[SCANNAMES_FIELD];
  char twice[SCANNAMES_FIELD];
  char room[SCANNAMES_FIELD];
  struct piece pieces[SCANNAMES_PIECES];
  int piece_count;
};

static void feed(struct scannames *n, const char *bytes, size_t length);

struct scannames *scannames_begin(const char *suffixes, size_t stride, int count)
{
  struct scannames *n = calloc(1, sizeof *n);

  if (!n) return NULL;
  n->suffixes.first = suffixes;
  n->suffixes.stride = stride;
  n->suffixes.count = count;
  n->work = SCANNAMES_WORK;
  n->untyped_before = 1; /* a message without a Content-Type is text */
  n->sniffed = SCANTNEF_OTHER;
  return n;
}

void scannames_free(struct scannames *n)
{
  if (!n) return;
  scannames_free(n->inner);
  free(n->tnef_part);
  free(n);
}

static void impossible(struct scannames *n)
{
  if (n->state == SCANNAMES_FINE) n->state = SCANNAMES_IMPOSSIBLE;
}

/* ---- one name ---- */

static void judge_end(struct scannames *n, const char *s, size_t length)
{
  if (n->state != SCANNAMES_FINE) return;
  n->work -= (long long) length + n->suffixes.count;
  if (n->work < 0) impossible(n);
  else if (scanname_ends(s, length, &n->suffixes, n->room)) {
    n->state = SCANNAMES_FORBIDDEN;
    scantext_field(s, length, 0, n->found, sizeof n->found);
  }
}

/* As it is, and as UTF-7. */
static void judge_text(struct scannames *n, const char *s, size_t length)
{
  judge_end(n, s, length);
  if (memchr(s, '+', length)) judge_end(n, n->twice, scanname_utf7(s, length, n->twice));
}

static void judge_decoded(struct scannames *n, const char *s, size_t length)
{
  size_t m;

  judge_text(n, s, length);
  if (!memmem(s, length, "=?", 2)) return;
  m = scanname_words(s, length, n->once);
  judge_text(n, n->once, m);
  if (!memchr(n->once, '%', m)) return;
  memcpy(n->value, n->once, m);
  judge_text(n, n->once, scanname_percent(n->value, m, n->once));
}

/* Returns the position behind "charset'language'", or 0 if there is none. */
static size_t behind_charset(const char *s, size_t length)
{
  const char *first = memchr(s, '\'', length);
  const char *second = first ? memchr(first + 1, '\'', length - (size_t) (first + 1 - s)) : NULL;

  return second ? (size_t) (second + 1 - s) : 0;
}

/* Checks a name in all forms that a reader may make of it; s is not n->value, nor another of the buffers below it. */
static void judge_name(struct scannames *n, const char *s, size_t length)
{
  size_t m;
  size_t skip;

  if (n->state != SCANNAMES_FINE) return;
  judge_decoded(n, s, length);
  if (!memchr(s, '%', length)) return;
  m = scanname_percent(s, length, n->value);
  judge_text(n, n->value, m);
  skip = behind_charset(n->value, m);
  if (skip > 0) judge_text(n, n->value + skip, m - skip);
  if (!memmem(n->value, m, "=?", 2)) return;
  m = scanname_words(n->value, m, n->once);
  judge_text(n, n->once, m);
}

/* ---- parameters ---- */

/*
 * Four ways to see where a value ends and what it is, 0 to 3, into to. In quotes: a backslash is removed and hides a
 * quote, is kept and hides a quote, is removed, is kept. Without: to ';' or to the end of a word, backslashes kept or removed.
 * "name=example.com invoice.pdf" does not end behind the name of the domain.
 */
enum { WAYS = 4 };

/* Whether more words follow up to ';', the last of which has an end like that of a file's name. */
static int goes_on(const char *s, size_t length)
{
  size_t i;

  for (i = 1; i < length && i < BACK && s[i] != ';'; ++i)
    if (s[i] == '.' && s[i - 1] > ' ' && i + 1 < length && s[i + 1] > ' ' && s[i + 1] != ';') return 1;
  return 0;
}

static size_t see_value(const struct piece *piece, int way, char *to)
{
  const char *s = piece->value;
  size_t length = piece->length;
  size_t i;
  size_t m = 0;
  int quoted = length > 0 && s[0] == '"';

  for (i = (size_t) quoted; i < length; ++i) {
    if (quoted ? s[i] == '"' : s[i] == ';' || (way >= 2 && s[i] && strchr("(\",", s[i]))) break;
    if (!quoted && way >= 2 && (s[i] == ' ' || s[i] == '\t')
        && !(scanname_is_domain(to, m) && goes_on(s + i, length - i))) break;
    if (s[i] == '\\' && way % 2 == 0) {
      if (quoted && way == 0 && i + 1 < length) ++i; /* the next byte is literal */
      else if (quoted) continue;
    } else if (s[i] == '\\') {
      if (!quoted) continue;
      to[m++] = s[i];
      if (way == 3 || i + 1 == length) continue;
      ++i; /* the backslash is kept and hides a quote all the same */
    }
    to[m++] = s[i];
  }
  return m;
}

/* The byte in front belongs to the word, as in "hostname". */
static int is_of_word(char c)
{
  return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '-' || c == '.';
}

/* Where the word "name" or "filename" begins at the end of base, whose bytes are at the places in s; -1 for nowhere. */
static int find_word(const char *s, const char *base, const size_t *places)
{
  static const char *const words[] = {"filename", "name"};
  size_t length = strlen(base);
  size_t m;
  size_t i;

  for (i = 0; i < 2; ++i) {
    m = strlen(words[i]);
    if (length < m || strcmp(base + length - m, words[i]) != 0) continue;
    if (places[length - m] == 0 || !is_of_word(s[places[length - m] - 1])) return (int) (length - m);
  }
  return -1;
}

/* A parameter's name that ends at s[end]: base, number and mark go to piece. Returns whether it is the parameter of
 * a name, and in *from where it begins. */
static int find_base(const char *s, size_t end, struct piece *piece, size_t *from)
{
  size_t places[BASE];
  int word;
  size_t first = end > BACK ? end - BACK : 0;
  size_t begin;
  size_t m = 0;
  char *star;
  char *stop;

  for (;;) {
    while (end > first && (s[end - 1] == ' ' || s[end - 1] == '\t')) --end;
    if (end == first || s[end - 1] != ')') break;
    while (end > first && s[end - 1] != '(') --end; /* a comment */
    if (end > first) --end;
  }
  begin = end;
  while (begin > 0 && end - begin < BASE - 1 && !strchr(" \t;=\"(),<>", s[begin - 1])) --begin;
  for (; begin < end; ++begin)
    if (s[begin] > ' ' && s[begin] < 127) {
      places[m] = begin;
      piece->base[m++] = s[begin];
    }
  piece->base[m] = 0;
  scantext_lower(piece->base, m);
  piece->number = -1;
  piece->extended = 0;
  star = strchr(piece->base, '*');
  if (star) {
    piece->extended = piece->base[m - 1] == '*';
    *star = 0;
    if (star[1] >= '0' && star[1] <= '9') piece->number = strtol(star + 1, &stop, 10);
    if (piece->number > 1000000) piece->number = 1000000;
  }
  *from = end;
  word = find_word(s, piece->base, places);
  if (word == -1) return 0;
  *from = places[word];
  memmove(piece->base, piece->base + word, strlen(piece->base + word) + 1);
  return 1;
}

/*
 * Whether the name at s[at], whose '=' is at s[equal], is text within quotes for every reader: nothing in the field
 * may move the quotes, they stand where those of a value stand, and no ';' is in front of the name.
 */
static int is_quoted_text(const char *s, size_t length, size_t at, size_t equal)
{
  size_t open = length;
  size_t i;

  if (memchr(s, '\\', length) || memchr(s, '(', length)) return 0;
  for (i = 0; i < at; ++i)
    if (s[i] == '"') {
      if (open == length && (i == 0 || s[i - 1] != '=')) return 0;
      open = open == length ? i : length;
    }
  if (open == length) return 0;
  while (at > open && (s[at - 1] == ' ' || s[at - 1] == '\t')) --at;
  if (s[at - 1] == ';') return 0;
  for (i = equal + 1; i < length && (s[i] == ' ' || s[i] == '\t'); ++i) continue;
  if (i == length || s[i] == '"') return 0;
  for (; i < length && s[i] != '"'; ++i) continue;
  return i < length && (i + 1 == length || (s[i + 1] && strchr("; \t\r", s[i + 1])));
}

static void find_pieces(struct scannames *n, const char *s, size_t length)
{
  struct piece piece;
  size_t i;
  size_t from;
  int found;

  n->piece_count = 0;
  for (i = 0; i < length; ++i) {
    if (s[i] != '=') continue;
    found = find_base(s, i, &piece, &from);
    n->work -= BASE + (long long) (i < BACK ? i : BACK);
    if (found) n->work -= (long long) length;
    if (n->work < 0) {
      impossible(n);
      return;
    }
    if (!found || is_quoted_text(s, length, from, i)) continue;
    if (n->piece_count == SCANNAMES_PIECES) {
      impossible(n);
      return;
    }
    for (from = i + 1; from < length && (s[from] == ' ' || s[from] == '\t'); ++from) continue;
    piece.value = s + from;
    piece.length = length - from;
    n->pieces[n->piece_count++] = piece;
  }
}

static int by_number(const void *one, const void *other)
{
  const struct piece *a = *(const struct piece *const *) one;
  const struct piece *b = *(const struct piece *const *) other;

  if (a->number != b->number) return a->number < b->number ? -1 : 1;
  return a < b ? -1 : a > b;
}

/* Of several pieces with one number: all, the first, or the last. */
enum { ALL, FIRST, LAST, CHOICES };

static int is_chosen(const struct piece *const *pieces, int count, int i, int choice)
{
  if (choice == FIRST) return i == 0 || pieces[i - 1]->number != pieces[i]->number;
  if (choice == LAST) return i + 1 == count || pieces[i + 1]->number != pieces[i]->number;
  return 1;
}

/* Whether a reader may take what is joined up to here for the whole: at the end, and before a number that is
 * missing. */
static int is_end(const struct piece *const *pieces, int count, int i, int sorted)
{
  return i + 1 == count || (sorted && pieces[i + 1]->number > pieces[i]->number + 1);
}

/* Joins the pieces in one of the ways; those that are marked as encoded are decoded. */
static void judge_joined(struct scannames *n, const struct piece *const *pieces, int count, int sorted, int way, int choice)
{
  size_t m = 0;
  size_t got;
  size_t skip;
  int i;

  for (i = 0; i < count && n->state == SCANNAMES_FINE; ++i) {
    if (!is_chosen(pieces, count, i, choice)) {
      if (i + 1 == count) judge_name(n, n->joined, m);
      continue;
    }
    n->work -= (long long) pieces[i]->length;
    if (n->work < 0) {
      impossible(n);
      return;
    }
    got = see_value(pieces[i], way, n->value);
    if (m + got > sizeof n->joined) {
      impossible(n);
      return;
    }
    skip = m == 0 && pieces[i]->extended ? behind_charset(n->value, got) : 0;
    if (pieces[i]->extended) m += scanname_percent(n->value + skip, got - skip, n->joined + m);
    else {
      memcpy(n->joined + m, n->value, got);
      m += got;
    }
    if (is_end(pieces, count, i, sorted)) judge_name(n, n->joined, m);
  }
}

/* The pieces of one parameter, in the order of their numbers and in that in which they came. */
static void judge_pieces(struct scannames *n, const char *base)
{
  const struct piece *pieces[SCANNAMES_PIECES];
  int count = 0;
  int way;
  int choice;
  int i;

  for (i = 0; i < n->piece_count; ++i)
    if (n->pieces[i].number >= 0 && strcmp(n->pieces[i].base, base) == 0) pieces[count++] = &n->pieces[i];
  for (way = 0; way < WAYS; ++way) judge_joined(n, pieces, count, 0, way, ALL);
  qsort(pieces, (size_t) count, sizeof *pieces, by_number);
  for (way = 0; way < WAYS; ++way)
    for (choice = ALL; choice < CHOICES; ++choice) judge_joined(n, pieces, count, 1, way, choice);
}

static void judge_value_of(struct scannames *n, const struct piece *piece)
{
  size_t m;
  size_t before = 0;
  int way;

  for (way = 0; way < WAYS && n->state == SCANNAMES_FINE; ++way) {
    m = see_value(piece, way, n->joined);
    n->work -= (long long) m;
    if (way == 0 || m != before || memchr(n->joined, '\\', m)) judge_name(n, n->joined, m);
    before = m;
  }
}

static void judge_parameters(struct scannames *n, const char *s, size_t length)
{
  int i;
  int j;

  find_pieces(n, s, length);
  for (i = 0; i < n->piece_count; ++i) {
    if (n->pieces[i].number < 0) judge_value_of(n, &n->pieces[i]);
    for (j = 0; j < i && (n->pieces[j].number < 0 || strcmp(n->pieces[j].base, n->pieces[i].base) != 0); ++j) continue;
    if (j == i && n->pieces[i].number >= 0) judge_pieces(n, n->pieces[i].base);
  }
}

/* ---- fields ---- */

enum what { NOTHING, TYPE, DISPOSITION, TRANSFER, NAME, DESCRIPTION };

static enum what what_field(const char *s, size_t length)
{
  static const struct { const char *name; enum what what; } fields[] = {
    {"content-type", TYPE}, {"content-disposition", DISPOSITION}, {"content-transfer-encoding", TRANSFER},
    {"content-name", NAME}, {"x-sun-data-name", NAME}, {"content-description", DESCRIPTION},
  };
  const char *colon = memchr(s, ':', length);
  size_t m;
  size_t i;

  if (!colon) return NOTHING;
  m = (size_t) (colon - s);
  while (m > 0 && (s[m - 1] == ' ' || s[m - 1] == '\t')) --m;
  for (i = 0; i < sizeof fields / sizeof *fields; ++i)
    if (m == strlen(fields[i].name) && strncasecmp(s, fields[i].name, m) == 0) return fields[i].what;
  return NOTHING;
}

/* The field's value on one line: folds as their blanks (0), or removed (1). */
static size_t unfold(const struct scannames *n, size_t from, int tight, char *to)
{
  size_t i;
  size_t m = 0;

  for (i = from; i < n->field_length; ++i) {
    if (n->field[i] != '\n') to[m++] = n->field[i];
    else if (tight)
      while (i + 1 < n->field_length && (n->field[i + 1] == ' ' || n->field[i + 1] == '\t')) ++i;
  }
  return m;
}

static int begins(const char *s, size_t length, const char *word)
{
  size_t m = strlen(word);

  return length >= m && strncasecmp(s, word, m) == 0;
}

static void found_tnef(struct scannames *n)
{
  n->tnef = 1;
  judge_name(n, WINMAIL, strlen(WINMAIL));
}

static void learn_type(struct scannames *n, const char *s, size_t length)
{
  n->typed = 1;
  if (begins(s, length, "message/")) n->holds_message = 1;
  if (begins(s, length, "multipart/")) n->holds_parts = 1;
  if (!begins(s, length, "application/ms-tnef") && !begins(s, length, "application/vnd.ms-tnef")) return;
  n->holds_tnef = 1;
  found_tnef(n);
}

static void learn_encoding(struct scannames *n, const char *s, size_t length)
{
  if (begins(s, length, "base64")) n->encoding = BASE64;
  if (begins(s, length, "quoted-printable")) n->encoding = QUOTED;
}

static void judge_value(struct scannames *n, enum what what, const char *s, size_t length)
{
  while (length > 0 && (*s == ' ' || *s == '\t' || *s == '"')) {
    if (*s == '"' && what != NAME && what != DESCRIPTION && what != TRANSFER) break;
    ++s;
    --length;
  }
  if (what == TYPE) learn_type(n, s, length);
  if (what == TRANSFER) learn_encoding(n, s, length);
  if (what == TYPE || what == DISPOSITION) judge_parameters(n, s, length);
  while (length > 0 && (s[length - 1] == ' ' || s[length - 1] == '\t' || s[length - 1] == '"')) --length;
  if (what == DESCRIPTION && scanname_is_text(s, length, n->once)) return;
  if (what == NAME || what == DESCRIPTION) judge_name(n, s, length);
}

static void end_field(struct scannames *n)
{
  enum what what;
  size_t from;
  size_t length;
  int tight;

  if (!n->gathering) return;
  n->gathering = 0;
  what = what_field(n->field, n->field_length);
  from = (size_t) ((const char *) memchr(n->field, ':', n->field_length) - n->field) + 1;
  for (tight = 0; tight < 2 && n->state == SCANNAMES_FINE; ++tight) {
    n->work -= (long long) n->field_length;
    length = unfold(n, from, tight, n->text);
    judge_value(n, what, n->text, length);
    if (!memchr(n->field, '\n', n->field_length)) return;
  }
}

static void gather(struct scannames *n, const char *s, size_t length)
{
  if (length > sizeof n->field - n->field_length) {
    impossible(n);
    return;
  }
  memcpy(n->field + n->field_length, s, length);
  n->field_length += length;
}

/* ---- lines ---- */

static void begin_header(struct scannames *n)
{
  n->place = HEADER;
  n->encoding = PLAIN;
  n->typed = n->holds_message = n->holds_parts = n->holds_tnef = n->any_field = n->gathering = 0;
}

/* Ends a part that is encoded as a whole. */
static void end_inner(struct scannames *n)
{
  struct scannames *inner = n->inner;

  if (n->tnef_part) {
    scantnef_end(n->tnef_part);
    if (n->tnef_part->names == 0) {
      if (n->tnef_part->displays == 0) n->names_unseen = 1;
      if (n->display_forbidden && n->state == SCANNAMES_FINE) {
        n->state = SCANNAMES_FORBIDDEN;
        memcpy(n->found, n->display, sizeof n->found);
      }
    }
    free(n->tnef_part);
    n->tnef_part = NULL;
  }
  if (!inner) return;
  n->inner = NULL;
  if (n->state == SCANNAMES_FINE) n->state = scannames_end(inner, n->found);
  n->tnef |= inner->tnef;
  n->names_unseen |= inner->names_unseen;
  n->work = inner->work;
  scannames_free(inner);
}

/* A display name may be that of a recipient: it counts at the end, if no file's name was found. */
static void take_tnef_name(void *context, int display, const char *bytes, size_t length)
{
  struct scannames *n = context;

  if (n->state != SCANNAMES_FINE) return;
  memcpy(n->joined, bytes, length);
  judge_name(n, n->joined, length);
  if (!display || n->state != SCANNAMES_FORBIDDEN) return;
  n->state = SCANNAMES_FINE;
  n->display_forbidden = 1;
  memcpy(n->display, n->found, sizeof n->display);
}

static void begin_decoding(struct scannames *n)
{
  static const struct scanname_group none;

  n->inner_encoding = n->encoding;
  n->group = none;
  n->carried = 0;
}

static void begin_tnef(struct scannames *n)
{
  end_inner(n);
  if (n->encoding == PLAIN) {
    n->names_unseen = 1; /* without an encoding its NULs are lost on the way */
    return;
  }
  n->tnef_part = malloc(sizeof *n->tnef_part);
  if (!n->tnef_part) {
    impossible(n);
    return;
  }
  scantnef_begin(n->tnef_part, take_tnef_name, n);
  n->display_forbidden = 0;
  begin_decoding(n);
}

static void begin_inner(struct scannames *n)
{
  end_inner(n);
  if (n->depth == SCANNAMES_DEPTH) {
    impossible(n);
    return;
  }
  n->inner = scannames_begin(n->suffixes.first, n->suffixes.stride, n->suffixes.count);
  if (!n->inner) {
    impossible(n);
    return;
  }
  n->inner->depth = n->depth + 1;
  n->inner->work = n->work;
  begin_decoding(n);
}

/* Only where nothing is decoded that it would end: in a literal line of that a part may seem to begin. */
static void begin_sniffing(struct scannames *n)
{
  static const struct scanname_group none;

  n->sniff_group = none;
  n->sniff_encoding = n->encoding;
  n->sniffed = n->encoding == PLAIN || n->holds_tnef || n->holds_message || n->holds_parts || n->inner || n->tnef_part
                   ? SCANTNEF_OTHER
                   : 0;
}

static void end_header(struct scannames *n)
{
  int nested;

  end_field(n);
  nested = n->holds_message || (!n->typed && !n->untyped_before);
  n->untyped_before = 1;
  /* an empty header at the beginning is ignored; that of a part may belong to a digest, whose parts are messages */
  if (n->state != SCANNAMES_FINE || !n->any_field) return;
  begin_sniffing(n);
  if (n->holds_tnef) begin_tnef(n);
  else if ((n->holds_message || n->holds_parts) && n->encoding != PLAIN) begin_inner(n);
  if (nested) begin_header(n);
  else n->place = BODY;
}

/* Three digits of a file's mode, four with a 0 or six with 100 in front of them, as in no year. */
static int is_mode(const char *s, size_t length)
{
  return length == 3 || (length == 4 && s[0] == '0') || (length == 6 && memcmp(s, "100", 3) == 0);
}

/* "begin 644 NAME" and "begin-base64 644 NAME" of uuencode, "=ybegin ... name=NAME" of yEnc. */
static void judge_begin(struct scannames *n, const char *s, size_t length)
{
  size_t from = length > 6 && memcmp(s, "begin ", 6) == 0 ? 6 : begins(s, length, "begin-base64 ") ? 13 : length;
  size_t i = from;
  const char *name = begins(s, length, "=ybegin ") ? memmem(s, length, " name=", 6) : NULL;

  if (name) judge_name(n, name + 6, length - (size_t) (name + 6 - s));
  while (i < length && s[i] >= '0' && s[i] <= '7') ++i;
  if (!is_mode(s + from, i - from) || i == length || s[i] != ' ') return;
  judge_name(n, s + i + 1, length - i - 1);
  if (length - i - 1 == strlen(WINMAIL) && strncasecmp(s + i + 1, WINMAIL, strlen(WINMAIL)) == 0)
    n->tnef = n->names_unseen = 1; /* uuencode is not decoded */
}

static void take_header_line(struct scannames *n, const char *s, size_t length)
{
  if (n->line_is_cut) {
    if (n->gathering) gather(n, s, length);
    return;
  }
  if (length == 0) {
    end_header(n);
    return;
  }
  if (*s == ' ' || *s == '\t') {
    if (n->gathering) {
      gather(n, "\n", 1);
      gather(n, s, length);
    }
    return;
  }
  end_field(n);
  n->any_field = 1;
  n->gathering = what_field(s, length) != NOTHING;
  n->field_length = 0;
  if (n->gathering) gather(n, s, length);
}

static void hand_on(struct scannames *n, const char *bytes, size_t length)
{
  if (n->tnef_part) scantnef_add(n->tnef_part, bytes, length);
  else feed(n->inner, bytes, length);
}

static size_t without_blanks(const char *s, size_t length)
{
  while (length > 0 && strchr(" \t\r", s[length - 1]) && s[length - 1]) --length;
  return length;
}

/* Takes away, and keeps for the next piece, a '=' with which an escape or a fold may begin. Returns the new length. */
static size_t hold_back(struct scannames *n, const char *s, size_t length)
{
  size_t m = without_blanks(s, length);

  if (m > 0 && s[m - 1] == '=') n->carried = m < length ? 2 : 1; /* several blanks are as good as one */
  else if (m == length && m > 1 && s[m - 2] == '=') n->carried = 2;
  else return length;
  m = n->carried == 2 && m == length ? m - 2 : m - 1;
  memcpy(n->carry, s + m, n->carried);
  return m;
}

static void decode_line(struct scannames *n, const char *s, size_t length, int whole)
{
  char out[LINE + sizeof n->carry + 1];
  char in[LINE + sizeof n->carry];
  size_t m = n->carried;

  n->work -= (long long) length;
  if (n->inner_encoding == BASE64) {
    hand_on(n, out, scanname_base64_piece(&n->group, s, length, out));
    return;
  }
  memcpy(in, n->carry, m);
  memcpy(in + m, s, length);
  length += m;
  n->carried = 0;
  length = whole ? without_blanks(in, length) : hold_back(n, in, length);
  m = scanname_quoted(in, length, out);
  if (whole && length > 0 && in[length - 1] == '=') --m;
  else if (whole) out[m++] = '\n';
  hand_on(n, out, m);
}

/* Looks whether an encoded part is TNEF, of whatever type it is said to be: then it is decoded from this line on. */
static void sniff(struct scannames *n, const char *s, size_t length)
{
  struct scanname_group before = n->sniff_group;
  enum encoding encoding = n->encoding; /* of a header that an untyped part may have, as in a digest */
  char out[LINE + 1];
  size_t m;

  if (n->sniff_encoding == BASE64) m = scanname_base64_piece(&n->sniff_group, s, length, out);
  else {
    length = without_blanks(s, length);
    if (length > 0 && s[length - 1] == '=') --length;
    m = scanname_quoted(s, length, out);
  }
  n->sniffed = scantnef_begins(n->sniffed, out, m);
  if (n->sniffed != SCANTNEF_SIGNATURE) return;
  n->sniffed = SCANTNEF_OTHER;
  found_tnef(n);
  if (n->state != SCANNAMES_FINE) return;
  n->encoding = n->sniff_encoding;
  begin_tnef(n);
  n->encoding = encoding;
  n->group = before;
}

/*
 * A line, or a piece of a long one; whole: its end. In quoted-printable a line that begins with "--" may be literal,
 * so decoding continues behind it, beside the header that may begin there.
 */
static void take_line(struct scannames *n, int whole)
{
  const char *s = n->line;
  size_t length = n->line_length;
  int dashes = !n->line_is_cut && length >= 2 && s[0] == '-' && s[1] == '-';

  n->line_length = 0;
  if (whole && length > 0 && s[length - 1] == '\r') --length;
  if (dashes && (n->tnef_part || n->inner) && n->inner_encoding == BASE64) end_inner(n);
  if (dashes) n->sniffed = SCANTNEF_OTHER;
  if (n->sniffed != SCANTNEF_OTHER) sniff(n, s, length);
  if (n->tnef_part || n->inner) decode_line(n, s, length, whole);
  if (!n->line_is_cut) judge_begin(n, s, length); /* anywhere: what looks like a header may be a text */
  if (dashes) {
    if (n->place == HEADER) end_field(n);
    n->untyped_before = 0;
    begin_header(n);
  } else if (n->place == HEADER) take_header_line(n, s, length);
  n->line_is_cut = !whole;
}

static void feed(struct scannames *n, const char *bytes, size_t length)
{
  const char *end;
  size_t m;

  while (length > 0 && n->state == SCANNAMES_FINE) {
    end = memchr(bytes, '\n', length);
    m = end ? (size_t) (end - bytes) : length;
    if (m > sizeof n->line - n->line_length) {
      m = sizeof n->line - n->line_length;
      end = NULL;
    }
    memcpy(n->line + n->line_length, bytes, m);
    n->line_length += m;
    bytes += m;
    length -= m;
    if (end) {
      take_line(n, 1);
      ++bytes;
      --length;
    } else if (n->line_length == sizeof n->line) take_line(n, 0);
  }
}

void scannames_add(struct scannames *n, const char *bytes, size_t length)
{
  feed(n, bytes, length);
}

enum scannames_state scannames_end(struct scannames *n, char *name)
{
  if (n->line_length > 0) take_line(n, 1);
  if (n->place == HEADER && n->state == SCANNAMES_FINE) end_field(n);
  end_inner(n);
  if (n->state == SCANNAMES_FORBIDDEN && name != n->found) memcpy(name, n->found, sizeof n->found);
  return n->state;
}

int scannames_has_tnef(const struct scannames *n)
{
  return n->tnef && n->names_unseen;
}
