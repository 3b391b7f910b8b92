/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "clamdask.h"
#include "scantext.h"

void clamdask_begin(struct clamdask *answer)
{
  answer->length = 0;
}

int clamdask_take(void *context, const char *bytes, size_t length)
{
  struct clamdask *answer = context;

  if (length > sizeof answer->bytes - answer->length) {
    errno = EMSGSIZE;
    return -1;
  }
  memcpy(answer->bytes + answer->length, bytes, length);
  answer->length += length;
  return 0;
}

static int begins_with(const char *s, const char *begin)
{
  return strncmp(s, begin, strlen(begin)) == 0;
}

/* Classifies a name that clamd has found. Heuristics.* are viruses except for these. */
static enum clamdask_verdict kind_of(const char *name)
{
  static const char *const suspicions[] = {
    "Heuristics.Phishing.", "Heuristics.Encrypted.", "Heuristics.OLE2.ContainsMacros", "Heuristics.Structured.",
    "Heuristics.Broken.", "Heuristics.PDF.ObfuscatedNameObject", "Heuristics.Zip.OverlappingFiles",
    "Heuristics.Safebrowsing.", "Heuristics.APMPartitionIntersection", "Heuristics.GPTPartitionIntersection",
    "Heuristics.MBRPartition",
  };
  size_t i;

  if (begins_with(name, "Heuristics.Limits.Exceeded.MaxScanTime")) return CLAMDASK_LATE;
  if (begins_with(name, "Heuristics.Limits.Exceeded")) return CLAMDASK_LIMIT;
  if (begins_with(name, "Heuristics.XZ.DicSizeLimit")) return CLAMDASK_LIMIT;
  for (i = 0; i < sizeof suspicions / sizeof *suspicions; ++i)
    if (begins_with(name, suspicions[i])) return CLAMDASK_HEURISTIC;
  return CLAMDASK_VIRUS;
}

/* Returns what comes behind "stream: " or "fd[N]: ", or NULL. */
static const char *behind_prefix(const char *s)
{
  if (begins_with(s, "stream")) s += strlen("stream");
  else if (begins_with(s, "fd[") && isdigit((unsigned char) s[3])) {
    for (s += 3; isdigit((unsigned char) *s); ++s) continue;
    if (*s++ != ']') return NULL;
  } else return NULL;
  return begins_with(s, ": ") ? s + 2 : NULL;
}

enum clamdask_verdict clamdask_judge(const struct clamdask *answer, char *name, size_t size)
{
  static const char found[] = " FOUND";
  size_t length = answer->length;
  char kind[CLAMDASK_ANSWER];
  const char *said;
  size_t i;

  name[0] = 0;
  if (length == 0 || memchr(answer->bytes, 0, length) != answer->bytes + length - 1) return CLAMDASK_UNCLEAR;
  for (i = 0; i < length - 1; ++i)
    if (answer->bytes[i] < ' ' || answer->bytes[i] > '~') return CLAMDASK_UNCLEAR;
  said = behind_prefix(answer->bytes);
  if (!said) return CLAMDASK_UNCLEAR;
  if (strcmp(said, "OK") == 0) return CLAMDASK_CLEAN;
  length = strlen(said);
  if (length < sizeof found || strcmp(said + length - (sizeof found - 1), found) != 0) return CLAMDASK_UNCLEAR;
  length -= sizeof found - 1;
  memcpy(kind, said, length);
  kind[length] = 0;
  scantext_field(kind, length, 0, name, size);
  return kind_of(kind);
}

const char *clamdask_words(const struct clamdask *answer, char *field, size_t size)
{
  size_t length = answer->length;

  while (length > 0 && (answer->bytes[length - 1] == 0 || answer->bytes[length - 1] == '\n')) --length;
  scantext_field(answer->bytes, length, 0, field, size);
  return field;
}
