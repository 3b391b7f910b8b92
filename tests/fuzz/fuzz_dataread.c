/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The bytes of a client behind DATA: the message ends with CRLF . CRLF of these bytes and nothing else, neither CR
 * nor NUL comes out, it is the same in any cut, and settling what came out once more changes nothing.
 */
#include "dataread.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
  "\r\n.\r\n", "\r\n", "\r", "\n", ".", "\r\n.", "\r\n..", " ", "\t", "Received: x\r\n", "Delivered-To: y\r\n", "a: b\r\n\r\n", "\r\r\n", ":", 0,
};

struct result {
  char *bytes;
  size_t length;
  size_t used;
  unsigned long hops;
  enum dataread_event event;
};

static struct result feed(const char *data, size_t size, size_t piece)
{
  struct result r = { fuzz_bytes(2 * size + DATAREAD_ROOM(0)), 0, 0, 0, DATAREAD_MORE };
  struct dataread d;

  dataread_begin(&d);
  while (r.used < size && r.event == DATAREAD_MORE) {
    size_t n = size - r.used < piece ? size - r.used : piece;
    char *out = fuzz_bytes(DATAREAD_ROOM(n));
    size_t used;
    size_t written;
    r.event = dataread(&d, data + r.used, n, &used, out, &written);
    HOLD(used > 0 && used <= n && (r.event != DATAREAD_MORE || used == n) && written <= DATAREAD_ROOM(n));
    memcpy(r.bytes + r.length, out, written);
    r.length += written;
    r.used += used;
    free(out);
  }
  r.hops = d.hops;
  return r;
}

/* Where the first event is, by a search for its bytes alone, as if CRLF stood in front. */
static enum dataread_event search(const char *data, size_t size, size_t *used)
{
  size_t i;
  char a;

  for (i = 0; i < size; ++i) {
    if (data[i] != '\n')
      continue;
    a = i > 0 ? data[i - 1] : '\n';
    *used = i + 1;
    if (a != '\r')
      return DATAREAD_BARE_LF;
    if (i > 1 && data[i - 2] == '.' && (i == 2 || (i > 3 && data[i - 3] == '\n' && data[i - 4] == '\r')))
      return DATAREAD_END;
  }
  *used = size;
  return DATAREAD_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *text = fuzz_text(data, size);
  struct result whole = feed(text, size, size + 1);
  struct result cut = feed(text, size, size ? 1 + data[0] % 7 : 1);
  struct result again;
  char *wire = fuzz_bytes(2 * whole.length + 5);
  size_t n = 0;
  size_t used;
  size_t i;

  HOLD(search(text, size, &used) == whole.event && used == whole.used);
  HOLD(cut.event == whole.event && cut.used == whole.used && cut.hops == whole.hops && cut.length == whole.length);
  HOLD(!memcmp(cut.bytes, whole.bytes, cut.length));
  HOLD(!memchr(whole.bytes, '\r', whole.length) && !memchr(whole.bytes, 0, whole.length));
  if (whole.length > 0)
    HOLD(whole.bytes[0] == '\n' || (whole.bytes[0] > 32 && whole.bytes[0] < 127 && whole.bytes[0] != ':'));
  if (whole.event == DATAREAD_END) {
    HOLD(whole.length == 0 || whole.bytes[whole.length - 1] == '\n');
    /* As qmail-remote sends it: the same message arrives at another gateway. */
    for (i = 0; i < whole.length; ++i) {
      if (whole.bytes[i] == '.' && (i == 0 || whole.bytes[i - 1] == '\n'))
        wire[n++] = '.';
      if (whole.bytes[i] == '\n')
        wire[n++] = '\r';
      wire[n++] = whole.bytes[i];
    }
    memcpy(wire + n, ".\r\n", 3);
    again = feed(wire, n + 3, 1 + size % 5);
    HOLD(again.event == DATAREAD_END && again.used == n + 3 && again.hops == whole.hops);
    HOLD(again.length == whole.length && !memcmp(again.bytes, whole.bytes, again.length));
    free(again.bytes);
  }
  free(wire);
  free(cut.bytes);
  free(whole.bytes);
  free(text);
  return 0;
}
