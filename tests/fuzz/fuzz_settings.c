/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever a file of settings holds: what is taken from it stands in it as a whole line and has the prefix, nothing
 * else of the environment changes, the output is one line, and a number is within its bounds.
 */
#include <unistd.h>
#include "fuzz.h"

static ssize_t hear(int fd, const void *line, size_t n);

#define write(fd, line, n) hear(fd, line, n)
#include "say.c"
#undef write
#include "settings.c"

extern char **environ;

const char *const fuzz_words[] = {
  "GREYLIST_DELAY_SECONDS=", "GREYLIST_TEXT=", "GREYLIST_", "PATH=/x", "HOME", "=", "#", "\n", "\r\n", "60", "-1", " ", "\xff",
  "99999999999999999999", "GREYLIST_DELAY_SECONDS=7\n", "GREYLIST_=\n", 0,
};

#define PREFIX "GREYLIST_"
#define NAME "settings"

static int said;

static ssize_t hear(int fd, const void *line, size_t n)
{
  const char *s = line;
  size_t i;

  HOLD(fd == 2 && n > 1 && n < SAY_MAX && s[n - 1] == '\n');
  for (i = 0; i + 1 < n; ++i)
    HOLD(s[i] >= ' ' && s[i] <= '~');
  ++said;
  return (ssize_t) n;
}

/* Whether it is a line of the file, up to a NUL, within what is read of it. */
static int is_a_line(const char *wanted, const uint8_t *data, size_t size)
{
  size_t len = strlen(wanted);
  size_t at = 0;
  size_t end;

  if (size > SETTINGS_FILE_MAX)
    size = SETTINGS_FILE_MAX;
  while (at < size) {
    for (end = at; end < size && data[end] != '\n'; ++end)
      ;
    if (end - at >= len && memcmp(data + at, wanted, len) == 0 && (end == at + len || !data[at + len]))
      return end < SETTINGS_FILE_MAX;
    at = end + 1;
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  FILE *f = fopen(NAME, "we");
  char **one;
  char *name;
  size_t others = 0;
  long number;

  HOLD(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
  for (one = environ; one && *one; ++one)
    ++others;
  setenv("GREYLIST_KEPT", "kept", 1);
  said = 0;
  settings_load("fuzz", NAME, PREFIX);
  HOLD(strcmp(getenv("GREYLIST_KEPT"), "kept") == 0);
  HOLD(said == (size >= SETTINGS_FILE_MAX));
  number = say_number("fuzz", "GREYLIST_DELAY_SECONDS", 5, 500, 60);
  HOLD(number >= 5 && number <= 500);
  unsetenv("GREYLIST_KEPT");
  for (one = environ; one && *one;) {
    if (strncmp(*one, PREFIX, strlen(PREFIX)) != 0) {
      ++one;
      continue;
    }
    HOLD(is_a_line(*one, data, size));
    name = strndup(*one, strcspn(*one, "="));
    HOLD(name && unsetenv(name) == 0);
    free(name);
    one = environ;
  }
  for (one = environ; one && *one; ++one)
    --others;
  HOLD(others == 0);
  return 0;
}
