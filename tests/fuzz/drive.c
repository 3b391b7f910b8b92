/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * drive SEED SECONDS: gives a target inputs of its words, noise and repetitions, and mutations of earlier ones, the
 * same for the same seed. A failing input is written to ./crash before the target sees it, so it is there afterwards.
 */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>
#include "fuzz.h"

#ifndef INPUT_MAX
#define INPUT_MAX 3000
#endif
#define KEPT 64

static uint64_t state;
static uint8_t kept[KEPT][INPUT_MAX];
static size_t kept_len[KEPT];

static uint32_t below(uint32_t n)
{
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t) (state >> 32) % n;
}

static size_t add(uint8_t *input, size_t len, const void *piece, size_t n)
{
  if (n > INPUT_MAX - len)
    n = INPUT_MAX - len;
  memcpy(input + len, piece, n);
  return len + n;
}

static size_t compose(uint8_t *input, size_t words)
{
  uint8_t piece[700];
  size_t len = 0;
  size_t n;
  size_t i;
  uint32_t pieces = below(12);

  while (pieces-- > 0) {
    n = 1 + below(below(4) ? 8 : sizeof piece);
    switch (below(4)) {
      case 0:
        for (i = 0; i < n; ++i)
          piece[i] = (uint8_t) below(256);
        len = add(input, len, piece, n);
        break;
      case 1:
        memset(piece, (int) (below(3) ? ' ' + below(95) : below(256)), sizeof piece);
        len = add(input, len, piece, n);
        break;
      default:
        if (words) {
          i = below((uint32_t) words);
          len = add(input, len, fuzz_words[i], strlen(fuzz_words[i]));
        }
    }
  }
  return len;
}

static size_t mutate(uint8_t *input)
{
  uint32_t from = below(KEPT);
  size_t len = kept_len[from];
  uint32_t changes = 1 + below(4);

  memcpy(input, kept[from], len);
  while (changes-- > 0 && len > 0)
    switch (below(4)) {
      case 0: input[below((uint32_t) len)] = (uint8_t) below(256); break;
      case 1: input[below((uint32_t) len)] ^= (uint8_t) (1u << below(8)); break;
      case 2: len = below((uint32_t) len + 1); break;
      default: len = add(input, len, kept[from], below((uint32_t) kept_len[from] + 1));
    }
  return len;
}

int main(int argc, char **argv)
{
  static uint8_t input[INPUT_MAX];
  unsigned long inputs = 0;
  size_t words = 0;
  size_t len;
  time_t end;
  int fd;

  if (argc != 3)
    return 2;
  state = strtoull(argv[1], 0, 10) * 2654435761u + 88172645463325252u;
  end = time(0) + atoi(argv[2]);
  while (fuzz_words[words])
    ++words;
  fd = open("crash", O_RDWR | O_CREAT | O_TRUNC, 0600);
  while (inputs % 256 || time(0) < end) {
    len = inputs >= KEPT && below(2) ? mutate(input) : compose(input, words);
    memcpy(kept[inputs % KEPT], input, len);
    kept_len[inputs % KEPT] = len;
    if (fd == -1 || pwrite(fd, input, len, 0) != (ssize_t) len || ftruncate(fd, (off_t) len) == -1) {
      perror("crash");
      return 1;
    }
    LLVMFuzzerTestOneInput(input, len);
    ++inputs;
  }
  unlink("crash");
  printf("%lu inputs\n", inputs);
  return 0;
}
