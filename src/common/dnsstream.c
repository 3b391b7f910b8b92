/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdlib.h>
#include <string.h>
#include "dnsstream.h"

void dnsstream_begin(struct dnsstream *s)
{
  memset(s, 0, sizeof *s);
}

void dnsstream_end(struct dnsstream *s)
{
  free(s->message);
  dnsstream_begin(s);
}

enum dnsstream_state dnsstream_feed(struct dnsstream *s, const unsigned char *data, size_t n)
{
  while (n > 0 && s->head_len < sizeof s->head) {
    s->head[s->head_len++] = *data++;
    --n;
  }
  if (s->head_len < sizeof s->head)
    return DNSSTREAM_MORE;
  if (!s->message) {
    s->wanted = (size_t) s->head[0] << 8 | s->head[1];
    if (s->wanted < DNSSTREAM_LEAST)
      return DNSSTREAM_WRONG;
    s->message = malloc(s->wanted);
    if (!s->message)
      return DNSSTREAM_WRONG;
  }
  if (n > s->wanted - s->len)
    n = s->wanted - s->len;
  if (n > 0)
    memcpy(s->message + s->len, data, n);
  s->len += n;
  return s->len == s->wanted ? DNSSTREAM_WHOLE : DNSSTREAM_MORE;
}
