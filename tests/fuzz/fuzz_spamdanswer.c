/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An answer of spamd's counts when it is whole, in whatever pieces it comes; the header that is delivered then has the
 * answer's X-Spam-* fields and subjects, and all else of the message's own.
 */
#include <errno.h>
#include <math.h>
#include <strings.h>
#include "fuzz.h"
#include "scanmarks.h"
#include "spamdask.h"

const char *const fuzz_words[] = {
  "SPAMD/1.1 0 EX_OK\r\n", "Content-length: ", "Spam: True ; 5.3 / 5.0\r\n", "Spam: False ; -1.0 / 5.0\r\n", "\r\n", "\r\n\r\n", "12\r\n",
  "X-Spam-Status: No\n", "X-Spam-Status: Yes, score=5 required=5.0\n", "X-Spam-Flag: YES\n", "required=", "Subject: x\n", " folded\n", "A: b\n", "\n\n", "76", "2.0", 0,
};

/* Fields of other names, one behind the other: none of them may be lost, or come from elsewhere. */
static size_t others(const char *header, size_t length, char *to)
{
  const char *at = header;
  const char *stop = header + length;
  const char *end;
  size_t n = 0;
  int keep = 1;

  for (; at < stop && *at != '\n'; at = end) {
    end = memchr(at, '\n', (size_t) (stop - at));
    end = end ? end + 1 : stop;
    if (at == header || (*at != ' ' && *at != '\t')) /* a continuation line is kept with its field */
      keep = !((size_t) (stop - at) >= 7 && strncasecmp(at, "X-Spam-", 7) == 0)
             && !((size_t) (stop - at) >= 8 && strncasecmp(at, "Subject:", 8) == 0);
    if (!keep) continue;
    memcpy(to + n, at, (size_t) (end - at));
    n += (size_t) (end - at);
    if (to[n - 1] != '\n') to[n++] = '\n';
  }
  return n;
}

/* The same by a domain's own limits; before has room for the header and two bytes more. */
static void judge(const char *header, size_t size, const char *answer, size_t length, char *before)
{
  static const char tag[] = "[Tag]";
  char *judged = fuzz_bytes(length + SCANMARKS_VERDICT);
  size_t m = scanmarks_judge(answer, length, (int) (size & 1), 4.5, judged);
  size_t room = size + m + SCANMARKS_MORE + scanmarks_tags(header, size, tag);
  char *marked = fuzz_bytes(room);
  char *behind = fuzz_bytes(room + 2);
  size_t n;

  HOLD(m <= length + SCANMARKS_VERDICT);
  n = scanmarks_tag(header, size, judged, m, size & 2 ? tag : "", marked);
  HOLD(n <= room && others(marked, n, behind) == others(header, size, before));
  HOLD(memcmp(before, behind, others(header, size, before)) == 0);
  free(judged);
  free(marked);
  free(behind);
}

static void merge(const uint8_t *own, size_t size, const char *answer, size_t length)
{
  char *header = fuzz_bytes(size);
  char *marked = fuzz_bytes(size + length + SCANMARKS_MORE);
  char *before = fuzz_bytes(size + 2);
  char *behind = fuzz_bytes(size + length + SCANMARKS_MORE + 2);
  size_t n;
  size_t i;

  /* a message's own header has no such fields, and begins with one */
  if (size) memcpy(header, own, size);
  for (i = 0; i + 1 < size; ++i)
    if ((header[i] == 'x' || header[i] == 'X') && header[i + 1] == '-') header[i] = 'y';
  if (size && (header[0] == ' ' || header[0] == '\t')) header[0] = 'a';
  n = scanmarks_merge(header, size, answer, length, marked);
  HOLD(n + 1 >= others(header, size, before) && n <= size + length + SCANMARKS_MORE);
  HOLD(others(marked, n, behind) == others(header, size, before));
  HOLD(memcmp(before, behind, others(header, size, before)) == 0);
  free(behind);
  free(marked);
  judge(header, size, answer, length, before);
  free(header);
  free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct spamdask answer;
  size_t room;
  size_t piece;
  size_t at;
  size_t own;
  size_t n;
  char *text;
  char *header;
  int done = 0;

  if (size < 4) return 0;
  room = 16 + data[0] * 4U;
  piece = 1 + data[1] % 100U;
  own = data[2];
  data += 3;
  size -= 3;
  if (own > size) own = size;
  text = fuzz_bytes(size - own);
  memcpy(text, data + own, size - own);
  header = fuzz_bytes(room);
  spamdask_begin(&answer, header, room);
  for (at = 0; at < size - own && done == 0; at += n) {
    char *exact;

    n = size - own - at < piece ? size - own - at : piece;
    exact = fuzz_bytes(n);
    memcpy(exact, text + at, n);
    done = spamdask_take(&answer, exact, n);
    HOLD(done != -1 || errno == EMSGSIZE);
    free(exact);
  }
  HOLD(answer.length <= room);
  if (!spamdask_wrong(&answer)) {
    HOLD(answer.length == answer.expected && strncmp(text, "SPAMD/1.", 8) == 0);
    HOLD(isfinite(answer.verdict.score) && isfinite(answer.verdict.required));
    HOLD((answer.verdict.spam | 1) == 1);
    if (answer.length > 0 && header[0] > ' ') merge(data, own, header, answer.length);
  } else for (at = 0; answer.words[at]; ++at) HOLD(answer.words[at] >= 32 && answer.words[at] <= 126);
  /* whatever an answer is, the header's other fields are safe */
  if (size > own) merge(data, own, text, size - own);
  free(text);
  free(header);
  return 0;
}
