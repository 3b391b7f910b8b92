/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "replycode.h"

/* Skips a dot and one to three digits; null when they are not there. */
static const char *part(const char *text)
{
  size_t n;

  if (!text || *text != '.')
    return 0;
  n = strspn(text + 1, "0123456789");
  return n >= 1 && n <= 3 ? text + 1 + n : 0;
}

static int has_status(char class, const char *text)
{
  const char *end = *text == class ? part(part(text + 1)) : 0;

  return end && (*end == ' ' || *end == 0);
}

const char *replycode(char *before, const char *code, const char *text)
{
  size_t len = strlen(code) < 3 ? strlen(code) : 3;

  memcpy(before, code, len);
  before[len++] = ' ';
  before[len] = 0;
  if (!has_status(*code, text)) {
    before[len++] = *code;
    memcpy(before + len, ".7.1 ", sizeof ".7.1 ");
  }
  return before;
}
