/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One fuzz target: LLVMFuzzerTestOneInput() gets any bytes, and HOLD()s what is promised about them. It is run by
 * libFuzzer, or by drive.c where there is only gcc; fuzz_words are what this target's inputs are likely made of.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLD(condition)                                                                                \
  do {                                                                                                 \
    if (!(condition)) {                                                                                \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                    \
      abort();                                                                                         \
    }                                                                                                  \
  } while (0)

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const char *const fuzz_words[];   /* the last one is null */

/* Bytes of exactly this size on the heap, so that ASan sees one byte more. */
static inline char *fuzz_bytes(size_t size)
{
  char *s = malloc(size ? size : 1);

  HOLD(s != NULL);
  return s;
}

/* The input as a text that a NUL ends. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
  char *s = fuzz_bytes(size + 1);

  if (size)
    memcpy(s, data, size);
  s[size] = 0;
  return s;
}

#endif
