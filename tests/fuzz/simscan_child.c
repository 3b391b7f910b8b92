/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Real children that read, talk and end in many ways: their end is told, they get what they were given or nothing more,
 * and none outlives its deadline by much.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "clock.h"
#include "fuzz.h"
#include "scanchild.h"

const char *const fuzz_words[] = {"a", "\n", "some words\n", "\001\001", "\002\001", "\003\001", "\004\001", 0};

static const unsigned char key[SCANHASH_KEY] = "0123456789abcde";

struct heard {
  char bytes[200000];
  size_t length;
  size_t limit;
};

static int hear(void *context, const char *said, size_t length)
{
  struct heard *heard = context;

  if (heard->length + length > heard->limit) {
    errno = EMSGSIZE;
    return -1;
  }
  memcpy(heard->bytes + heard->length, said, length);
  heard->length += length;
  return 0;
}

static int piece_of(struct scanpiece *piece, const char *bytes, size_t size)
{
  struct scanhash hash;

  piece->file = memfd_create("piece", MFD_CLOEXEC);
  HOLD(piece->file != -1 && write(piece->file, bytes, size) == (ssize_t) size);
  piece->offset = 0;
  piece->length = (long long) size;
  scanhash_begin(&hash, key);
  scanhash_add(&hash, bytes, size);
  scanhash_end(&hash, piece->digest);
  return piece->file;
}

/* Repeats the input until it is longer than a pipe takes, sometimes. */
static char *message_of(const uint8_t *data, size_t size, size_t times, size_t *length)
{
  char *message = fuzz_bytes(size * times);
  size_t i;

  for (i = 0; i < times; ++i) memcpy(message + i * size, data, size);
  *length = size * times;
  return message;
}

static void judge(int which, int changed, const struct scanchild_result *result, const struct heard *heard,
                  const char *message, size_t length)
{
  size_t n = heard->length;

  switch (which) {
    case 0: /* cat */
      HOLD(n <= length && memcmp(heard->bytes, message, n) == 0);
      if (changed) HOLD(result->end == SCANCHILD_CHANGED && n < length && !result->fed);
      else if (heard->limit < length) HOLD(result->end == SCANCHILD_STOPPED);
      else HOLD(result->end == SCANCHILD_EXITED && result->code == 0 && result->fed && n == length);
      break;
    case 1: /* head -c 10 */
      HOLD(n <= 10 && n <= length && memcmp(heard->bytes, message, n) == 0);
      break;
    case 2: HOLD(n == 0 && (changed || (result->end == SCANCHILD_EXITED && result->code == 1))); break;
    case 3: HOLD(changed || result->end == SCANCHILD_LATE); break;
    case 4: HOLD(result->end == SCANCHILD_NOT_RUN && result->code == ENOENT); break;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static char *const argv[][4] = {
    {"cat", NULL}, {"head", "-c", "10", NULL}, {"false", NULL}, {"sleep", "100", NULL}, {"missing", NULL},
  };
  static const char *const programs[] = {"/bin/cat", "/usr/bin/head", "/bin/false", "/bin/sleep", "/bin/no-such-program"};
  static char *const environment[] = {NULL};
  static struct heard heard;
  static int prepared;
  struct scanpiece piece;
  struct scanchild_tap tap = {hear, &heard};
  struct scanfeed feed = {"", 0, {&piece, NULL}, key};
  struct scanchild child = {NULL, NULL, environment, -1, {&feed, NULL}, {&tap, &tap}, 1, NULL, NULL, 0};
  struct scanchild_result result;
  size_t length;
  long long begin;
  char *message;
  int which;
  int changed;

  if (size < 4) return 0;
  if (!prepared++) HOLD(scanchild_prepare() == 0);
  which = data[0] % 5;
  message = message_of(data + 3, size - 3, 1 + data[1] % 60, &length);
  changed = data[2] % 4 == 3;
  heard.length = 0;
  heard.limit = data[2] % 4 == 2 ? 20 : sizeof heard.bytes;
  piece_of(&piece, message, length);
  if (changed) piece.digest[3] ^= 1;
  child.program = programs[which];
  child.argv = argv[which];
  begin = clock_ms();
  scanchild_run(&child, begin + (which == 3 ? 20 : 20000), &result);
  HOLD(which != 3 || clock_ms() - begin < 5000);
  if (length <= sizeof heard.bytes) judge(which, changed, &result, &heard, message, length);
  close(piece.file);
  free(message);
  return 0;
}
