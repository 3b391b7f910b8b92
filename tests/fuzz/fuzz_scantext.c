/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What scanners say is clean, a virus, a score, or nothing that could be believed; and a field is one field.
 */
#include <math.h>
#include "fuzz.h"
#include "scantext.h"

const char *const fuzz_words[] = {
  ": OK\n", " FOUND\n", "/work/message: ", "Eicar", "WARNING: ", "Heuristics.Limits.Exceeded", "Heuristics.Phishing.", "ERROR: ", "X-Spam-Status: ", "Yes, ", "No, ", "score=", "hits=", "required=", "5.0 ",
  "-1.5 ", "nan ", "1e999 ", "\n", "\n ", "\n\n", ",", ":", 0,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct scantext_score score = {-1, NAN, NAN};
  enum scantext_virus virus;
  size_t room;
  size_t length;
  size_t i;
  int status;
  char *text;
  char *field;

  if (size < 2) return 0;
  status = data[0] % 4;
  room = 8 + data[1] % 60;
  size -= 2;
  text = fuzz_bytes(size);
  if (size) memcpy(text, data + 2, size);
  field = fuzz_bytes(room);
  virus = scantext_clamdscan(text, size, status, field, room);
  HOLD(memchr(field, 0, room) != NULL);
  HOLD(virus != SCANTEXT_CLEAN || (status == 0 && memmem(text, size, ": OK", 4)));
  HOLD(virus == SCANTEXT_CLEAN || virus == SCANTEXT_UNCLEAR || (status == 1 && memmem(text, size, " FOUND", 6) && field[0]));
  HOLD(virus != SCANTEXT_LIMIT || strncmp(field, "Heuristics.", 11) == 0 || room <= 11);
  HOLD(!scantext_error(text, size) || memmem(text, size, "ERROR", 5) || memmem(text, size, "LibClamAV Error", 15));
  for (i = 0; field[i]; ++i) HOLD(field[i] >= 32 && field[i] <= 126 && field[i] != ':');
  if (scantext_status(text, size, &score) == 0)
    HOLD((score.spam == 0 || score.spam == 1) && isfinite(score.score) && isfinite(score.required));
  length = scantext_field(text, size, 1, field, room);
  HOLD(length < room && length <= size && field[length] == 0 && strlen(field) == length);
  for (i = 0; i < length; ++i) HOLD(field[i] >= 32 && field[i] <= 126 && field[i] != ':' && field[i] != ',');
  length = scantext_header_length(text, size);
  HOLD(length <= size && (length == size || text[length - 1] == '\n'));
  HOLD(length < 2 || !memmem(text, length - 1, "\n\n", 2));
  free(text);
  free(field);
  return 0;
}
