/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <stdio.h>
#include <string.h>
#include "frontlink.h"

void frontlink_number_write(char *out, uint64_t number)
{
  int i;

  for (i = 0; i < FRONTLINK_HEADER; ++i)
    out[i] = (char) (unsigned char) (number >> 8 * i & 255);
}

uint64_t frontlink_number_read(const char *in)
{
  uint64_t number = 0;
  int i;

  for (i = 0; i < FRONTLINK_HEADER; ++i)
    number |= (uint64_t) (unsigned char) in[i] << 8 * i;
  return number;
}

size_t frontlink_tls_write(char *out, const struct tlsterms *tls)
{
  char line[FRONTLINK_TLS_MAX + 1];
  size_t len;

  if (!tls->version[0])
    return 0;
  len = (size_t) snprintf(line, sizeof line, FRONTLINK_TLS "%s %s %s\n", tls->version, tls->cipher,
                          tls->name[0] ? tls->name : "-");
  memcpy(out, line, len);
  return len;
}

int frontlink_tls_read(struct tlsterms *tls, const char *in, size_t len)
{
  char line[FRONTLINK_TLS_MAX];
  const char *end;
  size_t n;

  memset(tls, 0, sizeof *tls);
  if (len < strlen(FRONTLINK_TLS) || memcmp(in, FRONTLINK_TLS, strlen(FRONTLINK_TLS)) != 0)
    return 0;
  end = memchr(in, '\n', len < FRONTLINK_TLS_MAX ? len : FRONTLINK_TLS_MAX);
  if (!end)
    return -1;
  n = (size_t) (end - in);
  memcpy(line, in, n);
  line[n] = 0;
  return strlen(line) == n && tlsterms_parse(tls, line + strlen(FRONTLINK_TLS)) ? (int) n + 1 : -1;
}
