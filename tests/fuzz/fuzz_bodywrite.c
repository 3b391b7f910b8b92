/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever the queue holds, in whatever pieces it is read: CR goes out in front of LF alone, LF behind CR alone, no NUL;
 * CRLF . CRLF is the end and stands there once; and an honest receiver gets the lines of the message.
 */
#include "bodywrite.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
  ".", "\r", "\n", "\r\n", "\n.\n", "\r.\r", "\n.\r\n", "\r\n.\r\n", "\r\n.\r", "\n\r.", "..", "hello", "MAIL FROM:<>", 0,
};

/* What an honest receiver keeps of out behind DATA, lines ending with LF. */
static size_t received(const char *out, size_t length, char *kept)
{
  size_t n = 0;
  size_t i;

  for (i = 0; i < length; ++i) {
    if (out[i] == '.' && (i == 0 || out[i - 1] == '\n'))
      continue;
    if (out[i] != '\r')
      kept[n++] = out[i];
  }
  return n;
}

/* What of the message must arrive: CR before LF gone, each other CR and each NUL a blank. */
static size_t expected(const uint8_t *in, size_t length, char *kept)
{
  size_t n = 0;
  size_t i;

  for (i = 0; i < length; ++i)
    if (in[i] != '\r' || i + 1 == length || in[i + 1] != '\n')
      kept[n++] = in[i] == '\r' || !in[i] ? ' ' : (char) in[i];
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct bodywrite body;
  size_t each;
  size_t at;
  size_t n;
  size_t length = 0;
  size_t ended;
  size_t i;
  char *out;
  char *piece;
  char *room;
  char *left;
  char *right;

  if (size < 1)
    return 0;
  each = 1 + data[0];
  ++data;
  --size;
  out = fuzz_bytes(BODYWRITE_ROOM(size) + BODYWRITE_END_ROOM);
  bodywrite_begin(&body);
  for (at = 0; at < size; at += n) {
    n = size - at < each ? size - at : each;
    piece = fuzz_bytes(n);
    memcpy(piece, data + at, n);
    room = fuzz_bytes(BODYWRITE_ROOM(n));
    i = bodywrite(&body, piece, n, room);
    HOLD(length + i <= BODYWRITE_ROOM(size));
    memcpy(out + length, room, i);
    length += i;
    free(room);
    free(piece);
  }
  ended = bodywrite_end(&body, out + length);
  HOLD(ended == (size == 0 || data[size - 1] == '\n' ? 3 : 0));
  for (i = 0; i < length; ++i) {
    HOLD(out[i]);
    HOLD(out[i] != '\n' || (i > 0 && out[i - 1] == '\r'));
    HOLD(out[i] != '\r' || i + 1 == length || out[i + 1] == '\n');
    HOLD(out[i] != '.' || (i > 0 && out[i - 1] != '\n') || (i + 1 < length && out[i + 1] == '.'));
  }
  if (ended) {
    HOLD(length == 0 || (length > 1 && out[length - 1] == '\n'));
    HOLD(memcmp(out + length, ".\r\n", 3) == 0);
    /* the dot of the end begins a line and is alone: by what held above no earlier one does */
    left = fuzz_bytes(length);
    right = fuzz_bytes(size);
    n = received(out, length, left);
    HOLD(n == expected(data, size, right));
    HOLD(memcmp(left, right, n) == 0);
    free(left);
    free(right);
  }
  free(out);
  return 0;
}
