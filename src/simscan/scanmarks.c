/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "scanmarks.h"

#define SUBJECT "Subject:"
#define STATUS "X-Spam-Status:"
#define REQUIRED "required="
#define BLANKS " \t\r\n"

/* A header that is read field by field; a field has its continuation lines with it. */
struct reading {
  const char *at;
  const char *stop;
  const char *field; /* NULL at the end, which is the empty line */
  size_t length;
};

static void next(struct reading *r)
{
  const char *end;

  r->field = NULL;
  if (r->at == r->stop || *r->at == '\n') return;
  r->field = r->at;
  do {
    end = memchr(r->at, '\n', (size_t) (r->stop - r->at));
    r->at = end ? end + 1 : r->stop;
  } while (r->at < r->stop && (*r->at == ' ' || *r->at == '\t'));
  r->length = (size_t) (r->at - r->field);
}

static void begin(struct reading *r, const char *header, size_t length)
{
  r->at = header;
  r->stop = header + length;
  next(r);
}

static int is_called(const struct reading *r, const char *name)
{
  size_t n = strlen(name);

  return r->length >= n && strncasecmp(r->field, name, n) == 0;
}

static int is_mark(const struct reading *r)
{
  return is_called(r, "X-Spam-");
}

static int is_subject(const struct reading *r)
{
  return is_called(r, SUBJECT);
}

struct marking {
  char *begin;
  char *to;
  struct reading own;
  struct reading subject; /* of the answer, the next that is not yet used */
  const char *tag;        /* of the message's own subjects; NULL: the answer's are used */
};

/* Writes a field. A last line that has no end gets it, or it would grow by what comes behind it. */
static void put(struct marking *m, const struct reading *r)
{
  if (m->to > m->begin && m->to[-1] != '\n') *m->to++ = '\n';
  memcpy(m->to, r->field, r->length);
  m->to += r->length;
}

static void put_text(struct marking *m, const char *text, size_t length)
{
  memcpy(m->to, text, length);
  m->to += length;
}

/* Writes a subject with the tag in front of it, once. */
static void put_tagged(struct marking *m, const struct reading *r)
{
  size_t tag = strlen(m->tag);
  size_t name = strlen(SUBJECT);
  const char *at = r->field + name;
  const char *stop = r->field + r->length;

  while (at < stop && (*at == ' ' || *at == '\t')) ++at;
  if ((size_t) (stop - at) > tag && memcmp(at, m->tag, tag) == 0 && at[tag] == ' ') at += tag + 1;
  if (m->to > m->begin && m->to[-1] != '\n') *m->to++ = '\n';
  put_text(m, r->field, name);
  put_text(m, " ", 1);
  put_text(m, m->tag, tag);
  put_text(m, " ", 1);
  put_text(m, at, (size_t) (stop - at));
}

/* A message without a subject gets one of the tag. */
static void put_subject(struct marking *m)
{
  if (m->to > m->begin && m->to[-1] != '\n') *m->to++ = '\n';
  put_text(m, SUBJECT " ", strlen(SUBJECT " "));
  put_text(m, m->tag, strlen(m->tag));
  put_text(m, " \n", 2);
}

/* Finds the answer's subject from here on. */
static void find_subject(struct reading *r)
{
  while (r->field && !is_subject(r)) next(r);
}

static size_t count_subjects(const char *header, size_t length)
{
  struct reading r;
  size_t n = 0;

  for (begin(&r, header, length); r.field; next(&r)) n += (size_t) is_subject(&r);
  return n;
}

static void put_own(struct marking *m)
{
  if (m->tag && *m->tag && is_subject(&m->own)) put_tagged(m, &m->own);
  else if (is_subject(&m->own) && m->subject.field) {
    put(m, &m->subject);
    next(&m->subject);
    find_subject(&m->subject);
  } else put(m, &m->own);
  next(&m->own);
}

static size_t merge(struct marking *m, const char *header, size_t length, const char *answer, size_t answer_length, char *marked)
{
  struct reading said;
  size_t subjects = count_subjects(header, length);
  size_t left;

  m->begin = m->to = marked;
  begin(&m->own, header, length);
  begin(&m->subject, answer, answer_length);
  if (!m->tag && subjects == count_subjects(answer, answer_length)) find_subject(&m->subject);
  else m->subject.field = NULL; /* which of them is which is not known */
  for (begin(&said, answer, answer_length); said.field; next(&said)) {
    if (is_mark(&said)) put(m, &said);
    else if (m->own.field) put_own(m);
    else if (!m->tag && is_subject(&said) && subjects == 0) put(m, &said);
  }
  while (m->own.field) put_own(m);
  if (m->tag && *m->tag && subjects == 0) put_subject(m);
  left = (size_t) (m->own.stop - m->own.at); /* the empty line */
  if (left > 0 && m->to > m->begin && m->to[-1] != '\n') *m->to++ = '\n';
  memcpy(m->to, m->own.at, left);
  return (size_t) (m->to - marked) + left;
}

size_t scanmarks_merge(const char *header, size_t length, const char *answer, size_t answer_length, char *marked)
{
  struct marking m;

  m.tag = NULL;
  return merge(&m, header, length, answer, answer_length, marked);
}

size_t scanmarks_tag(const char *header, size_t length, const char *answer, size_t answer_length, const char *tag, char *marked)
{
  struct marking m;

  m.tag = tag;
  return merge(&m, header, length, answer, answer_length, marked);
}

size_t scanmarks_tags(const char *header, size_t length, const char *tag)
{
  return (count_subjects(header, length) + 1) * (strlen(SUBJECT) + strlen(tag) + 4);
}

/* ---- another verdict ---- */

/* Behind the blanks, ends of folded lines among them. */
static const char *behind_blanks(const char *at, const char *stop)
{
  while (at < stop && *at && strchr(BLANKS, *at)) ++at;
  return at;
}

static const char *behind_word(const char *at, const char *stop)
{
  while (at < stop && *at != ',' && !(*at && strchr(BLANKS, *at))) ++at;
  return at;
}

/* The number behind "required=", or NULL. */
static const char *find_required(const char *at, const char *stop)
{
  size_t n = strlen(REQUIRED);
  const char *found;

  for (; (found = memmem(at, (size_t) (stop - at), REQUIRED, n)) != NULL; at = found + n)
    if (found[-1] == ',' || (found[-1] && strchr(BLANKS, found[-1]))) return found + n;
  return NULL;
}

/* Writes the status with another verdict and another score; -1 when it has none of these. */
static int put_status(struct marking *m, const struct reading *r, int spam, double required)
{
  const char *stop = r->field + r->length;
  const char *word = behind_blanks(r->field + strlen(STATUS), stop);
  const char *behind = behind_word(word, stop);
  const char *number = find_required(behind, stop);

  if (word == behind || !number) return -1;
  if (spam) m->to += sprintf(m->to, "X-Spam-Flag: YES\n");
  put_text(m, r->field, (size_t) (word - r->field));
  m->to += sprintf(m->to, spam ? "Yes" : "No");
  put_text(m, behind, (size_t) (number - behind));
  m->to += sprintf(m->to, "%.1f", required);
  number = behind_word(number, stop);
  put_text(m, number, (size_t) (stop - number));
  return 0;
}

size_t scanmarks_judge(const char *answer, size_t length, int spam, double required, char *judged)
{
  struct marking m;
  struct reading r;
  int found = 0;

  m.begin = m.to = judged;
  for (begin(&r, answer, length); r.field; next(&r)) {
    if (is_called(&r, STATUS)) {
      if (found++ || put_status(&m, &r, spam, required) == -1) return 0;
    } else if (is_called(&r, "X-Spam-Flag:") || is_called(&r, "X-Spam-Prev-")) continue;
    else if (!spam && is_called(&r, "X-Spam-Report:")) continue;
    else put_text(&m, r.field, r.length);
  }
  if (!found) return 0;
  put_text(&m, r.at, (size_t) (r.stop - r.at));
  return (size_t) (m.to - judged);
}
