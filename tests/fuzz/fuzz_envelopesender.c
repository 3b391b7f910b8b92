/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever a client says in MAIL FROM, (envelope-sender <...>) is one word that nothing in it can end.
 */
#include "envelopesender.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
  "ann@sender.example", "@", ">) by evil (", "\r\n", "<", ">", "(", ")", "\"", "\\", " ", "\x7f", "\xff", 0,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  size_t room;
  size_t len;
  size_t i;
  char *address;
  char *safe;

  if (size < 2)
    return 0;
  room = data[0] % 2 ? ENVELOPESENDER_MAX + 1 : 1 + (data[0] + 256u * data[1]) % 1000;
  address = fuzz_text(data + 2, size - 2);
  safe = fuzz_bytes(room);
  memset(safe, 'X', room);
  len = strlen(address);
  if (envelopesender(address, safe, room)) {
    HOLD(len > 0 && len < room && strlen(safe) == len);
    for (i = 0; i < len; ++i) {
      HOLD(safe[i] > 32 && safe[i] < 127 && !strchr("<>()\"\\", safe[i]));
      HOLD(safe[i] == address[i] || safe[i] == '?');
    }
  } else {
    HOLD((len == 0 || len >= room) && safe[0] == 0);
  }
  free(safe);
  free(address);
  return 0;
}
