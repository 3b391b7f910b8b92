/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <ftw.h>
#include "check.h"
#include "greystate.h"

static const struct greystate_limits limits = {60, 2 * 86400, 36L * 86400};
static struct greystate_result result;
static struct timespec now = {1800000000, 500000000};
static int files;
static int directories;
static long fullest;

static enum greystate visit(const char *key, long seconds)
{
  now.tv_sec += seconds;
  return greystate_judge(".", key, &limits, now, &result);
}

static int count(const char *path, const struct stat *st, int kind, struct FTW *place)
{
  (void) path;
  (void) place;
  if (kind == FTW_F) {
    ++files;
    CHECK(st->st_size == 0 && (st->st_mode & 07777) == 0600);
  } else {
    ++directories;
    CHECK(place->level == 0 || (st->st_mode & 07777) == 0700);
  }
  return 0;
}

static void counted(void)
{
  files = directories = 0;
  CHECK(nftw(".", count, 16, FTW_PHYS) == 0);
}

TEST(the_delay_ends_to_the_nanosecond)
{
  CHECK(visit("a-24", 0) == GREYSTATE_NEW);
  now.tv_nsec -= 1;
  CHECK(visit("a-24", 60) == GREYSTATE_EARLY && result.seconds == 59);
  now.tv_nsec += 1;
  CHECK(visit("a-24", 0) == GREYSTATE_PASSED && result.seconds == 60);
  CHECK(visit("a-24", 0) == GREYSTATE_KNOWN);
  counted();
  CHECK(files == 1 && directories == 3);
}

TEST(ages_end_as_they_are_set)
{
  CHECK(visit("p-24", 0) == GREYSTATE_NEW);
  CHECK(visit("q-24", 0) == GREYSTATE_NEW);
  CHECK(visit("q-24", 60) == GREYSTATE_PASSED);
  CHECK(visit("p-24", 2 * 86400 - 60) == GREYSTATE_PASSED);   /* to the second */
  CHECK(visit("r-24", 0) == GREYSTATE_NEW);
  CHECK(visit("r-24", 2 * 86400 + 1) == GREYSTATE_NEW);
  CHECK(visit("r-24", 59) == GREYSTATE_EARLY);
  CHECK(visit("p-24", 36L * 86400 - (2 * 86400 + 60)) == GREYSTATE_KNOWN);
  CHECK(visit("p-24", 36L * 86400) == GREYSTATE_KNOWN);
  CHECK(visit("p-24", 36L * 86400 + 1) == GREYSTATE_NEW);
  CHECK(visit("q-24", 0) == GREYSTATE_NEW);
}

TEST(a_delay_of_nothing_takes_two_visits)
{
  static const struct greystate_limits none = {0, 86400, 86400};

  CHECK(greystate_judge(".", "a-24", &none, now, &result) == GREYSTATE_NEW);
  CHECK(greystate_judge(".", "a-24", &none, now, &result) == GREYSTATE_PASSED);
}

TEST(names_are_spread_over_the_directories)
{
  char key[64];
  char place[32];
  struct dirent *entry;
  DIR *dir;
  long here;
  int i;
  int j;

  for (i = 0; i < 65536; ++i) {   /* a whole /8 */
    snprintf(key, sizeof key, "10.%d.%d.0-24", i / 256, i % 256);
    CHECK(visit(key, 0) == GREYSTATE_NEW);
  }
  for (i = 0; i < 64; ++i)
    for (j = 0; j < 64; ++j) {
      snprintf(place, sizeof place, "%02x/%02x", i, j);
      dir = opendir(place);
      here = 0;
      while (dir && (entry = readdir(dir)) != 0)
        here += entry->d_name[0] != '.';
      if (dir)
        closedir(dir);
      if (here > fullest)
        fullest = here;
    }
  CHECK(fullest >= 16 && fullest < 64);   /* 16 on average */
  now.tv_sec += 3 * 86400;
  CHECK(greystate_expire(".", &limits, now) == 65536);
  counted();
  CHECK(files == 0);
}

TEST(a_link_is_not_followed)
{
  CHECK(visit("a-24", 0) == GREYSTATE_NEW);
  CHECK(system("f=$(find . -name 'a-24.new'); rm $f; touch -d 2001-01-01 target; ln -s $PWD/target $f") == 0);
  visit("a-24", 86400);
  visit("a-24", 86400);
  CHECK(system("test -n \"$(find target -newermt 2001-01-02)\" && exit 1; exit 0") == 0);
}

static enum greystate await(const char *key, int create, long seconds)
{
  now.tv_sec += seconds;
  return greystate_await(".", key, create, &limits, now, &result);
}

TEST(an_attempt_of_its_own_key_never_becomes_a_network_that_passed)
{
  CHECK(await("pool-a", 0, 0) == GREYSTATE_NEW);
  counted();
  CHECK(files == 0);
  CHECK(await("pool-a", 1, 0) == GREYSTATE_NEW);
  CHECK(await("pool-a", 1, 59) == GREYSTATE_EARLY && result.seconds == 59);
  CHECK(await("pool-a", 0, 1) == GREYSTATE_PASSED && result.seconds == 60);
  CHECK(await("pool-a", 1, 2 * 86400 - 60) == GREYSTATE_PASSED);
  CHECK(await("pool-a", 0, 1) == GREYSTATE_NEW);   /* too old, and left alone */
  CHECK(await("pool-a", 0, 0) == GREYSTATE_NEW);
  CHECK(await("pool-a", 1, 0) == GREYSTATE_NEW);   /* begins again */
  CHECK(await("pool-a", 1, 0) == GREYSTATE_EARLY && result.seconds == 0);
  CHECK(await("pool-a", 1, -5) == GREYSTATE_NEW);   /* the clock was set back */
  CHECK(await("pool-a", 1, 60) == GREYSTATE_PASSED);
  counted();
  CHECK(files == 1);
  now.tv_sec += 2 * 86400 + 61;
  CHECK(greystate_expire(".", &limits, now) == 1);
}

TEST(a_network_passes_by_another_key)
{
  CHECK(visit("a-24", 0) == GREYSTATE_NEW);
  CHECK(greystate_pass(".", "a-24", now, &result) == GREYSTATE_PASSED);
  CHECK(visit("a-24", 0) == GREYSTATE_KNOWN);
  CHECK(greystate_pass(".", "b-24", now, &result) == GREYSTATE_PASSED);   /* its first file is gone */
  CHECK(greystate_pass(".", "b-24", now, &result) == GREYSTATE_PASSED);
  CHECK(visit("b-24", 36L * 86400) == GREYSTATE_KNOWN);
  counted();
  CHECK(files == 2);
  CHECK(greystate_pass("missing", "b-24", now, &result) == GREYSTATE_TROUBLE && result.error == ENOENT);
  CHECK(greystate_await("missing", "b-24", 1, &limits, now, &result) == GREYSTATE_TROUBLE);
}

static const struct test tests[] = {
  {"the_delay_ends_to_the_nanosecond", the_delay_ends_to_the_nanosecond},
  {"ages_end_as_they_are_set", ages_end_as_they_are_set},
  {"a_delay_of_nothing_takes_two_visits", a_delay_of_nothing_takes_two_visits},
  {"names_are_spread_over_the_directories", names_are_spread_over_the_directories},
  {"a_link_is_not_followed", a_link_is_not_followed},
  {"an_attempt_of_its_own_key_never_becomes_a_network_that_passed",
   an_attempt_of_its_own_key_never_becomes_a_network_that_passed},
  {"a_network_passes_by_another_key", a_network_passes_by_another_key},
};

MAIN(tests)
