/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "spamdask.h"

#define NUMBER 12 /* digits of a length or of a score */

size_t spamdask_question(long long bytes, const char *user, char question[SPAMDASK_QUESTION])
{
  int n = snprintf(question, SPAMDASK_QUESTION, "HEADERS SPAMC/1.5\r\nContent-length: %lld\r\nUser: %.64s\r\n\r\n", bytes, user);

  return n > 0 ? (size_t) n : 0;
}

void spamdask_begin(struct spamdask *answer, char *header, size_t room)
{
  memset(answer, 0, sizeof *answer);
  answer->header = header;
  answer->room = room;
}

static int wrong(struct spamdask *a, const char *why)
{
  a->state = SPAMDASK_WRONG;
  a->wrong = why;
  return 1;
}

/* The same with the line. */
static int wrong_line(struct spamdask *a, const char *why)
{
  scantext_field(a->line, strlen(a->line), 0, a->words, sizeof a->words);
  return wrong(a, why);
}

/* "SPAMD/1.N 0 WORD" */
static int status_line(struct spamdask *a)
{
  const char *s = a->line;
  int digits = 0;

  if (strncmp(s, "SPAMD/", 6) != 0) return wrong_line(a, "its answer cannot be understood");
  if (strncmp(s, "SPAMD/1.", 8) != 0) return wrong_line(a, "its answer is of another version");
  for (s += 8; isdigit((unsigned char) *s); ++s) ++digits;
  if (digits == 0 || digits > 3 || *s != ' ') return wrong_line(a, "its answer is of another version");
  if (strncmp(s, " 0 ", 3) != 0 || s[3] == 0) return wrong_line(a, "it has not judged the message");
  a->state = SPAMDASK_FIELDS;
  return 0;
}

/* Reads digits, at most NUMBER of them; returns how many. */
static int read_digits(const char **s)
{
  int n = 0;

  for (; n <= NUMBER && isdigit((unsigned char) **s); ++*s) ++n;
  return n <= NUMBER ? n : 0;
}

/* A number such as -1.5, and nothing that strtod() would take beyond that. */
static int read_score(const char **s, double *score)
{
  const char *begin = *s;

  if (**s == '-') ++*s;
  if (read_digits(s) == 0) return -1;
  if (**s == '.') {
    ++*s;
    if (read_digits(s) == 0) return -1;
  }
  *score = strtod(begin, NULL);
  return 0;
}

/* "True ; 5.3 / 5.0" */
static int verdict_of(struct spamdask *a, const char *s)
{
  if (strncmp(s, "True ; ", 7) == 0) {
    a->verdict.spam = 1;
    s += 7;
  } else if (strncmp(s, "False ; ", 8) == 0) {
    a->verdict.spam = 0;
    s += 8;
  } else return -1;
  if (read_score(&s, &a->verdict.score) == -1 || strncmp(s, " / ", 3) != 0) return -1;
  s += 3;
  return read_score(&s, &a->verdict.required) == -1 || *s != 0 ? -1 : 0;
}

static int field_line(struct spamdask *a)
{
  const char *value = strchr(a->line, ':');
  const char *s;
  size_t name;

  if (!value || value == a->line) return wrong_line(a, "its answer cannot be understood");
  name = (size_t) (value - a->line);
  for (++value; *value == ' '; ++value) continue;
  if (name == 14 && strncasecmp(a->line, "Content-length", name) == 0) {
    s = value;
    if (a->has_length++ || read_digits(&s) == 0 || *s != 0) return wrong_line(a, "its answer has no length");
    a->expected = (size_t) strtoull(value, NULL, 10);
  }
  if (name == 4 && strncasecmp(a->line, "Spam", name) == 0 && (a->has_verdict++ || verdict_of(a, value) == -1))
    return wrong_line(a, "its verdict cannot be understood");
  return 0;
}

static int end_of_fields(struct spamdask *a)
{
  if (!a->has_length) return wrong(a, "its answer has no length");
  if (!a->has_verdict) return wrong(a, "its answer has no verdict");
  if (a->expected > a->room) {
    wrong(a, "its answer is too long");
    errno = EMSGSIZE;
    return -1;
  }
  a->state = a->expected > 0 ? SPAMDASK_HEADER : SPAMDASK_COMPLETE;
  return 0;
}

/* Takes one byte of the lines in front; they end with CR and LF. */
static int take_line(struct spamdask *a, char c)
{
  if (c != '\n' && (c == 0 || a->in_line == sizeof a->line - 1)) {
    a->line[a->in_line] = 0;
    return wrong_line(a, "its answer cannot be understood");
  }
  if (c != '\n') {
    a->line[a->in_line++] = c;
    return 0;
  }
  if (a->in_line > 0 && a->line[a->in_line - 1] == '\r') --a->in_line;
  else return wrong(a, "its answer has a line without its end");
  a->line[a->in_line] = 0;
  a->in_line = 0;
  if (++a->lines > SPAMDASK_LINES) return wrong(a, "its answer cannot be understood");
  if (a->state == SPAMDASK_STATUS) return status_line(a);
  return a->line[0] ? field_line(a) : end_of_fields(a);
}

int spamdask_take(void *context, const char *bytes, size_t length)
{
  struct spamdask *a = context;
  size_t n;
  int done;

  for (; length > 0 && a->state < SPAMDASK_HEADER; ++bytes, --length) {
    done = take_line(a, *bytes);
    if (done != 0) return done;
  }
  if (a->state == SPAMDASK_HEADER) {
    n = a->expected - a->length < length ? a->expected - a->length : length;
    memcpy(a->header + a->length, bytes, n);
    a->length += n;
    bytes += n;
    length -= n;
    if (a->length == a->expected) a->state = SPAMDASK_COMPLETE;
  }
  if (a->state == SPAMDASK_COMPLETE && length > 0) return wrong(a, "its answer is longer than it says");
  return a->state >= SPAMDASK_COMPLETE;
}

const char *spamdask_wrong(const struct spamdask *answer)
{
  switch (answer->state) {
    case SPAMDASK_COMPLETE: return NULL;
    case SPAMDASK_WRONG: return answer->wrong;
    default: return answer->lines == 0 && answer->in_line == 0 ? "it has said nothing" : "its answer is cut";
  }
}
