/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever a client says, it is one word in a log line, bounded, from which its beginning can be read again.
 */
#include "fuzz.h"
#include "refusal.h"

const char *const fuzz_words[] = {
  "joe@example.test", " at 192.0.2.7\n", "qmail-smtpd: ", "\\x0a", "\\...", "<>", "\\", "\n", " ", "\x1b[2J", "\xff", 0,
};

static int digit(char c)
{
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *text = fuzz_text(data, size);
  char *field = fuzz_bytes(REFUSAL_FIELD_MAX + 5);
  size_t len = refusal_field(field, text);
  size_t from = 0;
  size_t i;

  HOLD(memchr(field, 0, REFUSAL_FIELD_MAX + 5) != NULL && strlen(field) == len && len > 0);
  for (i = 0; i < len; ++i)
    HOLD(field[i] > 32 && field[i] < 127);
  if (strcmp(field, "<>") == 0) {
    HOLD(text[0] == 0);
  } else {
    for (i = 0; i < len; ++from) {
      HOLD(field[i] != '<' && field[i] != '>');
      if (field[i] != '\\') {
        HOLD(field[i] == text[from]);
        ++i;
      } else if (strcmp(field + i, "\\...") == 0) {
        HOLD(len > REFUSAL_FIELD_MAX - 4 && text[from] != 0);
        break;
      } else {
        HOLD(field[i + 1] == 'x' && digit(field[i + 2]) >= 0 && digit(field[i + 3]) >= 0);
        HOLD(digit(field[i + 2]) * 16 + digit(field[i + 3]) == (uint8_t) text[from]);
        i += 4;
      }
    }
    HOLD(i < len || text[from] == 0);
  }
  free(field);
  free(text);
  return 0;
}
