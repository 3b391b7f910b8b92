/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "scanenvelope.h"
#include "scantext.h"

enum scanenvelope_state scanenvelope_parse(struct scanenvelope *envelope)
{
  const char *at = envelope->bytes;
  const char *stop = envelope->bytes + envelope->length;
  const char *end;

  envelope->sender = envelope->recipients = NULL;
  envelope->count = 0;
  if (at == stop) return SCANENVELOPE_SHORT;
  if (*at != 'F') return SCANENVELOPE_BAD;
  envelope->sender = at + 1;
  for (;;) {
    end = memchr(at, 0, (size_t) (stop - at));
    if (!end) return SCANENVELOPE_SHORT;
    at = end + 1;
    if (at == stop) return SCANENVELOPE_SHORT;
    if (*at == 0) break;
    if (*at != 'T') return SCANENVELOPE_BAD;
    if (envelope->count++ == 0) envelope->recipients = at;
  }
  return envelope->count > 0 && at + 1 == stop ? SCANENVELOPE_GOOD : SCANENVELOPE_BAD;
}

enum scanenvelope_state scanenvelope_read(struct scanenvelope *envelope, int fd)
{
  size_t room = 0;
  char *larger;
  ssize_t got;

  envelope->bytes = NULL;
  envelope->length = 0;
  for (;;) {
    if (envelope->length == room) {
      if (room >= SCANENVELOPE_MAX) { errno = EFBIG; return SCANENVELOPE_FAILED; }
      room = room ? 2 * room : 4096;
      larger = realloc(envelope->bytes, room);
      if (!larger) return SCANENVELOPE_FAILED;
      envelope->bytes = larger;
    }
    got = read(fd, envelope->bytes + envelope->length, room - envelope->length);
    if (got == -1 && errno == EINTR) continue;
    if (got == -1) return SCANENVELOPE_FAILED;
    if (got == 0) return scanenvelope_parse(envelope);
    envelope->length += (size_t) got;
  }
}

size_t scanenvelope_list(const struct scanenvelope *envelope, char *list, size_t size)
{
  const char *at = envelope->recipients;
  char field[256];
  size_t length = 0;
  unsigned long i;
  size_t n;

  list[0] = 0;
  for (i = 0; i < envelope->count; ++i) {
    n = scantext_field(at + 1, strlen(at + 1), 1, field, sizeof field);
    scantext_lower(field, n);
    at += strlen(at) + 1;
    if (length + n + sizeof ",,..." > size) {
      if (size - length > 4) {
        strcpy(list + length, i ? ",..." : "...");
        length += strlen(list + length);
      }
      break;
    }
    if (i) list[length++] = ',';
    memcpy(list + length, field, n + 1);
    length += n;
  }
  return length;
}
