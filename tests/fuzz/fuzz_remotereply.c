/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever a host says to a command: a reply is whole at the end of a line whose code is followed by no '-'; each of its lines has
 * a code, of the class of the first; what is said of any other is one line of printable ASCII, bounded, and so are the bytes that are read.
 */
#include "fuzz.h"
#include "remotereply.h"

const char *const fuzz_words[] = {
  "250", "250 ok\r\n", "250-", "550 no\n", "\r\n", "\n", "\r", " ", "-", "354", "*", "HTTP/1.1 400 Bad Request", "\t", 0,
};

static int digit(char byte)
{
  return byte >= '0' && byte <= '9';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *bytes = fuzz_text(data, size);
  struct remotereply reply;
  enum remotereply_state state = REMOTEREPLY_MORE;
  const char *line = bytes;
  const char *heard;
  size_t length;

  remotereply_begin(&reply);
  for (length = 0; length < size && state == REMOTEREPLY_MORE; ++length)
    state = remotereply_byte(&reply, bytes[length]);
  HOLD(length <= REMOTEREPLY_MAX + REMOTEREPLY_HEARD_MAX + 1);
  for (heard = remotereply_heard(&reply); *heard; ++heard)
    HOLD(*heard >= ' ' && *heard <= '~');
  HOLD(strlen(remotereply_heard(&reply)) > 0 && strlen(remotereply_heard(&reply)) <= REMOTEREPLY_HEARD_MAX);
  if (state == REMOTEREPLY_WRONG)
    HOLD(reply.why);
  if (state == REMOTEREPLY_WHOLE) {
    HOLD(!reply.why && reply.code == strtoul(bytes, 0, 10) && reply.code >= 200 && reply.code < 600);
    for (; line < bytes + length; line = strchr(line, '\n') + 1) {
      HOLD(*line == *bytes && digit(line[1]) && digit(line[2]));
      HOLD(line[3] && !strchr("0123456789", line[3]));
      for (heard = line; *heard != '\n'; ++heard)
        if (!*heard)
          bytes[heard - bytes] = '?';
      HOLD((line[3] == '-') == (heard + 1 < bytes + length));
    }
  }
  free(bytes);
  return 0;
}
