/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What SpamAssassin says is a score, or nothing that could be believed; and a field is one field.
 */
#include <math.h>
#include "fuzz.h"
#include "scantext.h"

const char *const fuzz_words[] = {
  "X-Spam-Status: ", "Yes, ", "No, ", "score=", "hits=", "required=", "5.0 ",
  "-1.5 ", "nan ", "1e999 ", "\n", "\n ", "\n\n", ",", ":", 0,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct scantext_score score = {-1, NAN, NAN};
  size_t room;
  size_t length;
  size_t i;
  char *text;
  char *field;

  if (size < 2) return 0;
  room = 8 + data[1] % 60;
  size -= 2;
  text = fuzz_bytes(size);
  if (size) memcpy(text, data + 2, size);
  field = fuzz_bytes(room);
  if (scantext_status(text, size, &score) == 0)
    HOLD((score.spam == 0 || score.spam == 1) && isfinite(score.score) && isfinite(score.required));
  length = scantext_field(text, size, 1, field, room);
  HOLD(length < room && length <= size && field[length] == 0 && strlen(field) == length);
  for (i = 0; i < length; ++i) HOLD(field[i] >= 32 && field[i] <= 126 && field[i] != ':' && field[i] != ',');
  free(text);
  free(field);
  return 0;
}
