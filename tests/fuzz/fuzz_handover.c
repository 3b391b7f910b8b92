/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What smtpfront hands over, were it broken into: what is taken is one greeting or none, one MAIL, and then what is
 * not answered yet, beginning with RCPT; written again it is the same bytes.
 * fuzz-length: 4000
 */
#include "fuzz.h"
#include "handover.h"

const char *const fuzz_words[] = {
  "MGH1", "MGH2", "EHLO a\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<x>\r\n", "DATA\r\n", "\n", "mail\n", "rcpt\n", "helo\n",
  "MGH1\1\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0\5\0\0\0mail\nrcpt\n", 0,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static char again[HANDOVER_MAX];
  char *bytes;
  struct handover h;
  size_t n;
  size_t i;
  int lines = 0;

  /* The lengths are made to fit as often as not: they are hard to guess. */
  bytes = fuzz_bytes(size);
  if (size)
    memcpy(bytes, data, size);
  if (size > HANDOVER_HEADER && (bytes[4] & 1)) {
    memcpy(bytes, bytes[4] & 2 ? "MGH1" : "MGH2", 4);
    n = ((size_t) (unsigned char) bytes[16] | (size_t) (unsigned char) bytes[17] << 8) % (size - HANDOVER_HEADER + 1);
    memset(bytes + 16, 0, 8);
    bytes[16] = (char) (n & 255);
    bytes[17] = (char) (n >> 8);
    n = size - HANDOVER_HEADER - n;
    bytes[20] = (char) (n & 255);
    bytes[21] = (char) (n >> 8);
  }
  if (handover_read(&h, bytes, size)) {
    HOLD(HANDOVER_HEADER + h.said_len + h.unanswered_len == size);
    if (!h.said_len)
      HOLD(!h.unanswered_len && !h.refusals && !h.spent && !h.misses && !h.greylisted);
    for (i = 0; i < h.said_len; ++i)
      lines += h.said[i] == '\n';
    HOLD(lines <= 2 && (!h.said_len || (lines && h.said[h.said_len - 1] == '\n')));
    HOLD(handover_write(again, &h) == size && memcmp(again, bytes, size) == 0);
  }
  free(bytes);
  return 0;
}
