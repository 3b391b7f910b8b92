/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * However a message is cut into pieces, the same goes on: everything but fields named X-Spam-* and X-Virus-*.
 */
#include "fuzz.h"
#include "scanheader.h"

const char *const fuzz_words[] = {
  "X-Spam-", "x-virus-", "X-Spam-Flag: YES\n", " continued\n", "\tcontinued\n", "Subject: hello\n", "\n", "\n\n", "\r", "A: b\n",
  "X-", "X-\rSpam-A: b\n", "X-Spam", "subject:", 0,
};

static size_t pass(const char *in, size_t size, size_t piece, char *out, struct scanheader *h)
{
  size_t length = 0;
  size_t at;

  scanheader_begin(h);
  for (at = 0; at < size; at += piece)
    length += scanheader_pass(h, in + at, size - at < piece ? size - at : piece, out + length);
  return length + scanheader_end(h, out + length);
}

/* Whether a line of the header begins with the word; CR and NUL do not count. */
static int begins(const char *line, const char *stop, const char *word)
{
  for (; *word && line < stop; ++line) {
    if (*line == '\r' || *line == 0) continue;
    if ((*line >= 'A' && *line <= 'Z' ? *line + 'a' - 'A' : *line) != *word++) return 0;
  }
  return !*word;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct scanheader h;
  struct scanheader again;
  size_t piece;
  size_t length;
  const char *line;
  char *in;
  char *out;
  char *other;

  if (size < 1) return 0;
  piece = 1 + data[0] % 40;
  in = fuzz_text(data + 1, --size);
  out = fuzz_bytes(size + SCANHEADER_HELD + 1);
  other = fuzz_bytes(size + 2 * SCANHEADER_HELD + 2);
  length = pass(in, size, size + 1, out, &h);
  HOLD(length <= size + 1);
  HOLD(pass(in, size, piece, other, &again) == length && memcmp(out, other, length) == 0);
  HOLD(h.dropped == again.dropped && h.subject_length == again.subject_length);
  HOLD(h.subject_length <= SCANHEADER_SUBJECT && memcmp(h.subject, again.subject, h.subject_length) == 0);
  HOLD(h.dropped > 0 || length == size || (length == size + 1 && out[0] == '\n'));
  HOLD(h.length == again.length && h.length <= (long long) length);
  HOLD(length == 0 || out[0] == '\n' || (out[0] > 32 && out[0] < 127 && out[0] != ':'));
  for (line = out; line < out + length && *line != '\n';) {
    HOLD(!begins(line, out + length, "x-spam-") && !begins(line, out + length, "x-virus-"));
    line = memchr(line, '\n', (size_t) (out + length - line));
    if (!line) break;
    ++line;
  }
  HOLD(pass(out, length, piece, other, &again) == length && again.dropped == 0); /* twice is as once */
  free(in);
  free(out);
  free(other);
  return 0;
}
