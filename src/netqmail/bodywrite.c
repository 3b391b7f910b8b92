/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "bodywrite.h"

void bodywrite_begin(struct bodywrite *body)
{
  body->midline = 0;
  body->cr = 0;
}

size_t bodywrite(struct bodywrite *body, const char *in, size_t length, char *out)
{
  size_t n = 0;
  size_t i;

  for (i = 0; i < length; ++i) {
    if (body->cr && in[i] != '\n')
      out[n++] = ' ';
    body->cr = in[i] == '\r';
    if (in[i] == '\n') {
      out[n++] = '\r';
      out[n++] = '\n';
      body->midline = 0;
      continue;
    }
    if (in[i] == '.' && !body->midline)
      out[n++] = '.';
    if (!body->cr)
      out[n++] = in[i] ? in[i] : ' ';
    body->midline = 1;
  }
  return n;
}

size_t bodywrite_end(struct bodywrite *body, char *out)
{
  if (body->midline)
    return 0;
  out[0] = '.';
  out[1] = '\r';
  out[2] = '\n';
  return BODYWRITE_END_ROOM;
}
