/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An envelope is whole, or it is refused; the list of its recipients is bounded and holds no field's separator.
 */
#include "fuzz.h"
#include "scanenvelope.h"

const char *const fuzz_words[] = {"F", "T", "Fann@a.example", "Tbob@b.example", "a:b", ",", "\n", 0};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct scanenvelope envelope;
  size_t room;
  size_t length;
  size_t i;
  char *list;

  if (size < 1) return 0;
  room = 16 + data[0];
  --size;
  envelope.bytes = fuzz_bytes(size);
  envelope.length = size;
  /* words cannot hold a NUL: a newline stands for it here */
  for (i = 0; i < size; ++i) envelope.bytes[i] = data[i + 1] == '\n' ? 0 : (char) data[i + 1];
  if (scanenvelope_parse(&envelope) == SCANENVELOPE_GOOD) {
    HOLD(size >= 5 && envelope.bytes[size - 1] == 0 && envelope.bytes[size - 2] == 0 && envelope.bytes[0] == 'F');
    HOLD(envelope.count > 0 && *envelope.recipients == 'T' && envelope.recipients[-1] == 0);
    list = fuzz_bytes(room);
    length = scanenvelope_list(&envelope, list, room);
    HOLD(length < room && strlen(list) == length);
    for (i = 0; i < length; ++i) HOLD(list[i] >= 32 && list[i] <= 126 && list[i] != ':');
    free(list);
  }
  free(envelope.bytes);
  return 0;
}
