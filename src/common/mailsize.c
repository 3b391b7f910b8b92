/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include "envelopepath.h"
#include "mailsize.h"
#include "smtpreply.h"

#define NAME "size="

/* Whether a parameter begins with the name, however its letters are written. */
static int is_size(const char *parameter)
{
  size_t i;
  char c;

  for (i = 0; NAME[i]; ++i) {
    c = parameter[i];
    if (c >= 'A' && c <= 'Z')
      c = (char) (c + 32);
    if (c != NAME[i])
      return 0;
  }
  return 1;
}

static int above(const char *digits, size_t n, unsigned long limit)
{
  unsigned long size = 0;
  size_t i;

  for (i = 0; i < n; ++i) {
    unsigned long digit = (unsigned long) (digits[i] - '0');

    if (digit > limit || size > (limit - digit) / 10)
      return 1;
    size = 10 * size + digit;
  }
  return 0;
}

int mailsize_exceeds(const char *arg, unsigned long limit)
{
  const char *at = envelopepath_end(arg);
  unsigned long most = limit + limit / MAILSIZE_LINE_ENDS;
  size_t len;
  size_t digits;

  if (!limit)
    return 0;
  if (most < limit)
    most = ~0ul;
  for (; *at; at += len) {
    at += strspn(at, " \t");
    len = strcspn(at, " \t");
    if (!is_size(at))
      continue;
    digits = strspn(at + strlen(NAME), "0123456789");
    if (digits && strlen(NAME) + digits == len && above(at + strlen(NAME), digits, most))
      return 1;
  }
  return 0;
}

/* As scan_ulong(): it wraps around. */
static unsigned long number(const char *text)
{
  unsigned long n = 0;

  for (; *text >= '0' && *text <= '9'; ++text)
    n = 10 * n + (unsigned long) (*text - '0');
  return n;
}

unsigned mailsize_limit(const char *control, const char *variable)
{
  unsigned limit = control ? (unsigned) number(control) : 0;

  if (variable)
    limit = (unsigned) number(variable);
  return limit + 1 ? limit : limit - 1;
}

const char *mailsize_ehlo(char *out, unsigned limit)
{
  sprintf(out, "%s%u%s", SMTPREPLY_EHLO_SIZE, limit, SMTPREPLY_EHLO_END);
  return out;
}
