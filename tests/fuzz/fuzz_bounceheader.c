/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What goes back of a message is bounded, is fields alone, and is the same in whatever pieces the message is read; what
 * a sender says below the field of qmail-smtpd, or in the body, makes no spam of it.
 */
#include "bounceheader.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
  "X-Spam-Flag: YES\n", "X-Spam-Status: Yes, score=9\n", "x-spam-flag", ":", " ", "\t", "\n", "\r\n", "\n\n", "yes", "no",
  "Received: from x\n", "Received: (qmail 7 invoked)\n", "received", "Subject: x\n", " folded\n", "\n ", 0,
};

static struct bounceheader judged(const char *front, const uint8_t *data, size_t size, size_t each)
{
  struct bounceheader header;
  size_t at;
  size_t n;
  char *piece;

  bounceheader_begin(&header);
  if (*front)
    HOLD(bounceheader_read(&header, front, strlen(front)));
  for (at = 0; at < size; at += n) {
    n = size - at < each ? size - at : each;
    piece = fuzz_bytes(n);
    memcpy(piece, data + at, n);
    bounceheader_read(&header, piece, n);
    free(piece);
  }
  bounceheader_end(&header);
  return header;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct bounceheader whole;
  struct bounceheader pieces;
  size_t each;
  size_t i;

  if (size < 1)
    return 0;
  each = 1 + data[0] % 64;
  ++data;
  --size;
  whole = judged("", data, size, size);
  pieces = judged("", data, size, each);
  HOLD(whole.length == pieces.length && whole.cut == pieces.cut && whole.spam == pieces.spam);
  HOLD(whole.length <= BOUNCEHEADER_MAX && whole.length <= size);
  HOLD(!whole.cut || whole.length == BOUNCEHEADER_MAX);
  for (i = 0; i < whole.length; ++i)
    HOLD(data[i] != '\n' || i + 1 == whole.length || (data[i + 1] != '\n' && data[i + 1] != '\r'));
  HOLD(whole.length == 0 || whole.cut || whole.length == size || data[whole.length - 1] == '\n');
  HOLD(judged("Received: (qmail 7 invoked)\nReceived: from x\n", data, size, each).spam == 0);
  HOLD(judged("Received: (qmail 7)\nX-Spam-Flag: YES\nReceived: from x\n", data, size, each).spam == 1);
  return 0;
}
