/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A test program: TEST(name) { ... CHECK(condition); ... } for each test, then MAIN with the list of them.
 * It runs the tests that its arguments name, in a new directory of its own; the exit status is 1 after a failure.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct test {
  const char *name;
  void (*run)(void);
};

static const char *check_where = "";   /* said with a failure, for tests that loop */

#define TEST(name) static void name(void)
#define CHECK(condition)                                                                               \
  do {                                                                                                 \
    if (!(condition)) {                                                                                \
      printf("%s:%d: %s does not hold %s\n", __FILE__, __LINE__, #condition, check_where);             \
      exit(1);                                                                                         \
    }                                                                                                  \
  } while (0)
#define MAIN(tests)                                                                                    \
  int main(int argc, char **argv)                                                                      \
  {                                                                                                    \
    size_t i;                                                                                          \
    int ran = 0;                                                                                       \
    for (i = 0; i < sizeof tests / sizeof *tests; ++i)                                                 \
      if (argc == 2 && !strcmp(argv[1], tests[i].name)) {                                              \
        tests[i].run();                                                                                \
        ++ran;                                                                                         \
      }                                                                                                \
    if (!ran)                                                                                          \
      printf("no such test\n");                                                                        \
    return !ran;                                                                                       \
  }

#endif
