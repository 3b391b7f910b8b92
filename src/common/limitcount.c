/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "limitcount.h"

unsigned long limitcount_number(const char *text, unsigned long otherwise)
{
  unsigned long n = 0;
  int i;

  if (!text || !*text)
    return otherwise;
  for (i = 0; text[i]; ++i) {
    if (text[i] < '0' || text[i] > '9' || i == 9)
      return otherwise;
    n = n * 10 + (unsigned long) (text[i] - '0');
  }
  return n;
}

void limitcount_begin(struct limitcount *c, const char *refusals_max, const char *commands_max)
{
  c->refusals_max = limitcount_number(refusals_max, LIMITCOUNT_REFUSALS);
  c->commands_max = limitcount_number(commands_max, LIMITCOUNT_COMMANDS);
  c->refusals = 0;
  c->spent = 0;
}

int limitcount_refused(struct limitcount *c)
{
  ++c->refusals;
  return c->refusals_max && c->refusals >= c->refusals_max;
}

int limitcount_command(struct limitcount *c, unsigned long cost)
{
  c->spent += cost;
  return c->commands_max && c->spent / LIMITCOUNT_COST >= c->commands_max;
}

void limitcount_message(struct limitcount *c)
{
  c->spent = 0;
}
