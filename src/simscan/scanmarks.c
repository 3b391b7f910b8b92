/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include <strings.h>
#include "scanmarks.h"

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
  return is_called(r, "Subject:");
}

struct marking {
  char *begin;
  char *to;
  struct reading own;
  struct reading subject; /* of the answer, the next that is not yet used */
};

/* Writes a field. A last line that has no end gets it, or it would grow by what comes behind it. */
static void put(struct marking *m, const struct reading *r)
{
  if (m->to > m->begin && m->to[-1] != '\n') *m->to++ = '\n';
  memcpy(m->to, r->field, r->length);
  m->to += r->length;
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
  if (is_subject(&m->own) && m->subject.field) {
    put(m, &m->subject);
    next(&m->subject);
    find_subject(&m->subject);
  } else put(m, &m->own);
  next(&m->own);
}

size_t scanmarks_merge(const char *header, size_t length, const char *answer, size_t answer_length, char *marked)
{
  struct marking m;
  struct reading said;
  size_t subjects = count_subjects(header, length);
  size_t left;

  m.begin = m.to = marked;
  begin(&m.own, header, length);
  begin(&m.subject, answer, answer_length);
  if (subjects == count_subjects(answer, answer_length)) find_subject(&m.subject);
  else m.subject.field = NULL; /* which of them is which is not known */
  for (begin(&said, answer, answer_length); said.field; next(&said)) {
    if (is_mark(&said)) put(&m, &said);
    else if (m.own.field) put_own(&m);
    else if (is_subject(&said) && subjects == 0) put(&m, &said);
  }
  while (m.own.field) put_own(&m);
  left = (size_t) (m.own.stop - m.own.at); /* the empty line */
  if (left > 0 && m.to > m.begin && m.to[-1] != '\n') *m.to++ = '\n';
  memcpy(m.to, m.own.at, left);
  return (size_t) (m.to - marked) + left;
}
