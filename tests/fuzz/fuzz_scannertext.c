/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever a scanner says on descriptor 4 becomes one SMTP reply: D or Z first, never nothing, printable, bounded. When
 * it has accepted, only "Kqp NUMBER" is another process number.
 */
#include "fuzz.h"
#include "scannertext.h"

const char *const fuzz_words[] = {
  "D", "Z", "Kqp ", "Kqp 4713\n", "Dvirus ", "Zbusy ", "\n", "\r\n", " ", "250 ok\r\n", "Dmail server permanently rejected message (#5.3.0)",
  "x\xc3\xa4", "\x7f", "\x80", 0,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  size_t room;
  size_t len;
  size_t i;
  char *said;
  char *text;

  if (size < 2)
    return 0;
  room = 64 + (data[0] + 256u * data[1]) % 900;   /* about the half of them more than SCANNERTEXT_MAX + 1 */
  data += 2;
  size -= 2;
  text = fuzz_bytes(room);
  memset(text, 0, room);
  if (size)
    memcpy(text, data, size < room ? size : room);   /* perhaps without a NUL */
  said = fuzz_bytes(room);
  memcpy(said, text, room);
  if (memchr(text, 0, room)) {
    unsigned long queued = scannertext_queued(text, 0);

    HOLD(queued <= 999999999 && (queued == 0 || strncmp(text, "Kqp ", 4) == 0));
  }
  scannertext_reply(text, room);
  HOLD(memchr(text, 0, room) != NULL);
  len = strlen(text);
  HOLD(len >= 2 && len <= SCANNERTEXT_MAX && len < room);
  HOLD(text[0] == 'D' || text[0] == 'Z');
  HOLD(text[len - 1] != ' ');
  for (i = 0; i < len; ++i)
    HOLD(text[i] >= 32 && text[i] <= 126);
  if (said[0] == text[0] && said[0] != 'D')   /* a Z stays a Z, and each byte in its place */
    for (i = 0; i < len; ++i)
      HOLD(text[i] == said[i] || text[i] == '?');
  if (said[0] != 'D' && said[0] != 'Z')
    HOLD(strcmp(text, "Dmail server permanently rejected message (#5.3.0)") == 0);
  memcpy(said, text, len + 1);   /* a reply of a reply is itself */
  scannertext_reply(text, room);
  HOLD(strcmp(text, said) == 0);
  free(said);
  free(text);
  return 0;
}
