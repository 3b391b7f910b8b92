/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clamd's answer is clean, or has a name, only when it is one whole line of those; its cuts change nothing, and the name is
 * a field of the log.
 */
#include <errno.h>
#include "clamdask.h"
#include "fuzz.h"

const char *const fuzz_words[] = {
  "stream: ", "fd[12]: ", "OK", " FOUND", "Eicar", "Heuristics.Limits.Exceeded", "Heuristics.Phishing.", " ERROR", ": ", "]", "\n",
  0,
};

/* Feeds the bytes in pieces; 0 when they are too many. */
static int feed(struct clamdask *answer, const char *bytes, size_t size, size_t piece)
{
  size_t at;
  size_t n;

  clamdask_begin(answer);
  for (at = 0; at < size; at += n) {
    n = size - at < piece ? size - at : piece;
    if (clamdask_take(answer, bytes + at, n) == -1) {
      HOLD(errno == EMSGSIZE && size > CLAMDASK_ANSWER);
      return 0;
    }
  }
  HOLD(size <= CLAMDASK_ANSWER);
  return 1;
}

static int ends_with(const char *s, const char *end)
{
  return strlen(s) > strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct clamdask answer;
  enum clamdask_verdict verdict;
  size_t room;
  size_t i;
  char *text;
  char *name;
  int nul;

  if (size < 3) return 0;
  nul = data[2] % 4 != 0; /* most have their NUL */
  room = 8 + data[1] % 60;
  size -= 3;
  text = fuzz_text(data + 3, size);
  size += (size_t) nul;
  name = fuzz_bytes(room);
  if (feed(&answer, text, size, 1 + data[0] % 50U)) {
    verdict = clamdask_judge(&answer, name, room);
    HOLD(memchr(name, 0, room) != NULL);
    for (i = 0; name[i]; ++i) HOLD(name[i] >= 32 && name[i] <= 126 && name[i] != ':');
    if (verdict != CLAMDASK_UNCLEAR) {
      HOLD(size > 0 && strlen(text) == size - 1 && (strncmp(text, "stream: ", 8) == 0 || strncmp(text, "fd[", 3) == 0));
      HOLD(verdict == CLAMDASK_CLEAN ? ends_with(text, ": OK") && !name[0] : ends_with(text, " FOUND") && name[0]);
    }
    HOLD(strcmp(text, "stream: OK") != 0 || !nul || verdict == CLAMDASK_CLEAN);
    HOLD(feed(&answer, text, size, size + 1) && clamdask_judge(&answer, name, room) == verdict);
    clamdask_words(&answer, name, room);
    for (i = 0; name[i]; ++i) HOLD(name[i] >= 32 && name[i] <= 126 && name[i] != ':');
  }
  free(text);
  free(name);
  return 0;
}
