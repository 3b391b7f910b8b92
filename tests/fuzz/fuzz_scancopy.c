/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever header and values a copy is about, its lines are those of the format: each is printable, none is added, and the
 * list of rules is one of names.
 */
#include "fuzz.h"
#include "scancopy.h"

const char *const fuzz_words[] = {
  "X-Spam-Status: Yes, ", "x-spam-status:", "tests=", "BAYES_99,", "URIBL_BLACK", ",\n\t", "\n\n", " autolearn=no", "none", 0,
};

static void look_at_lines(const char *head, size_t length, size_t expected)
{
  size_t lines = 0;
  size_t i;

  HOLD(length >= 2 && length <= SCANCOPY_HEAD && head[length - 1] == '\n' && head[length - 2] == '\n');
  for (i = 0; i < length; ++i) {
    HOLD(head[i] == '\n' || (head[i] >= ' ' && head[i] <= '~'));
    lines += head[i] == '\n';
    HOLD(head[i] != '\n' || i + 1 == length || i + 2 == length || head[i + 1] != '\n');
  }
  HOLD(lines == expected + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct scantext_score score = {1, 12.5, 5};
  struct scancopy copy = {0, 1, &score, 10, "", "", "", "", 5, 0};
  size_t room;
  size_t n;
  size_t i;
  char *header;
  char *rules;
  char *head;
  char *text;

  if (size < 2) return 0;
  room = 8 + data[0] * 4U;
  header = fuzz_bytes(size - 1);
  memcpy(header, data + 1, size - 1);
  rules = fuzz_bytes(room);
  n = scancopy_rules(header, size - 1, rules, room);
  HOLD(n < room && strlen(rules) == n);
  for (i = 0; i < n; ++i) HOLD(rules[i] > ' ' && rules[i] <= '~');
  HOLD(n == 0 || rules[n - 1] != ',');
  text = fuzz_text(data + 1, size - 1);
  head = fuzz_bytes(SCANCOPY_HEAD);
  copy.rules = rules;
  copy.client = text;
  look_at_lines(head, scancopy_head(&copy, head), 9);
  copy.virus = 1;
  copy.name = copy.id = text;
  look_at_lines(head, scancopy_head(&copy, head), 7);
  HOLD(scancopy_crc(scancopy_crc(0, data, size / 2), data + size / 2, size - size / 2) == scancopy_crc(0, data, size));
  free(header);
  free(rules);
  free(head);
  free(text);
  return 0;
}
