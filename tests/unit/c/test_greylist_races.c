/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * greystate.c with sessions between any two of its system calls, with system calls that fail, and with processes that
 * judge at the same instant.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include "check.h"

enum call { OPEN, FSTATAT, OPENAT, MKDIRAT, RENAMEAT, UNLINKAT, UTIMENSAT, FUTIMENS, FACCESSAT, CALLS };

static int called;                     /* system calls so far, of the session that is outside */
static int depth;
static int between[3];                 /* before which call of the session at that depth another one comes; 0: none */
static void intrude(void);
static void wait_for_turn(void);
static int in_turns;                   /* threads, of which one goes on to its next system call at a time */
static int fails_at;                   /* that call fails, */
static int fails_always = -1;          /* or all of that kind, */
static int fails_with;                 /* with that errno */

/* Returns -1 if that call is to fail. */
static int before(enum call call)
{
  if (in_turns) {
    wait_for_turn();
    return 0;
  }
  if (depth == 0)
    ++called;
  if (between[depth] && --between[depth] == 0) {
    ++depth;
    intrude();
    --depth;
  }
  if ((depth == 0 && called == fails_at) || (int) call == fails_always) {
    errno = fails_with;
    return -1;
  }
  return 0;
}

static int my_openat(int base, const char *path, int flags, mode_t mode)
{
  return before(OPENAT) ? -1 : openat(base, path, flags, mode);
}

#define open(path, flags) (before(OPEN) ? -1 : open(path, flags))
#define fstatat(base, path, st, flags) (before(FSTATAT) ? -1 : fstatat(base, path, st, flags))
#define my_openat_3(base, path, flags) my_openat(base, path, flags, 0)
#define my_openat_4(base, path, flags, mode) my_openat(base, path, flags, mode)
#define pick(a, b, c, d, chosen, ...) chosen
#define openat(...) pick(__VA_ARGS__, my_openat_4, my_openat_3, 0)(__VA_ARGS__)
#define mkdirat(base, path, mode) (before(MKDIRAT) ? -1 : mkdirat(base, path, mode))
#define renameat(a, b, c, d) (before(RENAMEAT) ? -1 : renameat(a, b, c, d))
#define unlinkat(base, path, flags) (before(UNLINKAT) ? -1 : unlinkat(base, path, flags))
#define utimensat(base, path, times, flags) (before(UTIMENSAT) ? -1 : utimensat(base, path, times, flags))
#define futimens(fd, times) (before(FUTIMENS) ? -1 : futimens(fd, times))
#define faccessat(base, path, mode, flags) (before(FACCESSAT) ? -1 : faccessat(base, path, mode, flags))
#include "greystate.c"
#undef open

#define KEY "198.51.100.0-24"

static struct greystate_limits limits = {60, 2 * 86400, 36L * 86400};
static struct timespec now = {1800000000, 500000000};
static int heard[16];   /* by GREYSTATE_*, how often */
static char found[400];

static void visit(void)
{
  struct greystate_result result;
  struct timespec mine = now;

  mine.tv_nsec -= 1000000 * depth;   /* who comes later may have looked at the clock before */
  ++heard[greystate_judge(".", KEY, &limits, mine, &result)];
}

static void intrude(void)
{
  visit();
}

static int name_of(const char *path, const struct stat *st, int kind, struct FTW *place)
{
  (void) st;
  if (kind == FTW_F)
    snprintf(found + strlen(found), sizeof found - strlen(found), "%s ", path + place->base);
  return 0;
}

static int remove_it(const char *path, const struct stat *st, int kind, struct FTW *place)
{
  (void) st;
  (void) kind;
  return place->level ? remove(path) : 0;
}

static const char *files(void)
{
  found[0] = 0;
  CHECK(nftw(".", name_of, 16, FTW_PHYS) == 0);
  return found;
}

/* Nothing is remembered but what that many visits, so many seconds apart, leave behind. */
static void afresh(int visits, long seconds)
{
  memset(between, 0, sizeof between);
  fails_at = 0;
  fails_always = -1;
  CHECK(nftw(".", remove_it, 16, FTW_PHYS | FTW_DEPTH) == 0);
  now.tv_sec = 1800000000;
  for (; visits > 0; --visits) {
    visit();
    now.tv_sec += seconds;
  }
  memset(heard, 0, sizeof heard);
  called = 0;
}

static int refused(void)
{
  return heard[GREYSTATE_NEW] + heard[GREYSTATE_EARLY];
}

/* One session, another before its call number i, and a third before the second's number j, for all i and j; the
 * sessions before them are so many seconds apart. Returns how many orders that are. */
static int each_order(int visits, long seconds, void (*held)(void))
{
  static char where[60];
  int orders = 0;
  int i;
  int j;

  check_where = where;
  for (i = 1; i == 1 || between[0] == 0; ++i)
    for (j = 1; j == 1 || (between[0] == 0 && between[1] == 0); ++j) {
      snprintf(where, sizeof where, "(%d, %d, delay %ld)", i, j, limits.delay_seconds);
      afresh(visits, seconds);
      between[0] = i;
      between[1] = j;
      visit();
      held();
      ++orders;
    }
  check_where = "";
  return orders;
}

static void passed_by_all(void)
{
  CHECK(refused() == 0 && heard[GREYSTATE_TROUBLE] == 0);
  CHECK(heard[GREYSTATE_PASSED] >= 1);
  CHECK(strcmp(files(), KEY " ") == 0);
}

static void new_to_all(void)
{
  CHECK(heard[GREYSTATE_NEW] >= 1 && refused() >= 1);
  CHECK(heard[GREYSTATE_PASSED] + heard[GREYSTATE_KNOWN] + heard[GREYSTATE_TROUBLE] == 0);
  CHECK(strcmp(files(), KEY ".new ") == 0);
}

TEST(who_comes_when_it_passes_is_not_refused)
{
  static const long delays[] = {60, 1, 0};
  size_t d;

  for (d = 0; d < 3; ++d) {
    limits.delay_seconds = delays[d];
    CHECK(each_order(1, 100, passed_by_all) > 10);
  }
}

TEST(first_contacts_at_once_are_one)
{
  CHECK(each_order(0, 0, new_to_all) > 30);
  CHECK(each_order(1, 37L * 86400, new_to_all) > 10);   /* one that is too old does not count */
}

TEST(an_older_file_is_no_passage_and_no_hindrance)
{
  afresh(1, 60);
  visit();
  now.tv_sec += 37L * 86400;
  visit();
  CHECK(heard[GREYSTATE_PASSED] == 1 && heard[GREYSTATE_NEW] == 1);
  now.tv_sec += 60;
  visit();
  CHECK(heard[GREYSTATE_PASSED] == 2 && strcmp(files(), KEY " ") == 0);
  visit();
  CHECK(heard[GREYSTATE_KNOWN] == 1);
}

#define SESSIONS 3
#define SCHEDULES 1500

static sem_t turn[SESSIONS];
static sem_t stepped;
static __thread int me;
static int ended[SESSIONS];
static enum greystate state_of[SESSIONS];

static void wait_for_turn(void)
{
  sem_post(&stepped);
  sem_wait(&turn[me]);
}

static void *session(void *number)
{
  struct greystate_result result;

  me = *(int *) number;
  sem_wait(&turn[me]);
  state_of[me] = greystate_judge(".", KEY, &limits, now, &result);
  ended[me] = 1;
  sem_post(&stepped);
  return 0;
}

/* Three sessions whose system calls come in one order of many, none of them within another. */
TEST(who_comes_in_any_order_when_it_passes_is_not_refused)
{
  static char where[40];
  pthread_t thread[SESSIONS];
  int number[SESSIONS];
  unsigned random = 20070101;
  int schedule;
  int left;
  int i;

  check_where = where;
  CHECK(sem_init(&stepped, 0, 0) == 0);
  for (i = 0; i < SESSIONS; ++i)
    CHECK(sem_init(&turn[i], 0, 0) == 0);
  for (schedule = 0; schedule < SCHEDULES; ++schedule) {
    snprintf(where, sizeof where, "(schedule %d)", schedule);
    afresh(1, 100);
    in_turns = 1;
    for (i = 0; i < SESSIONS; ++i) {
      number[i] = i;
      ended[i] = 0;
      CHECK(pthread_create(&thread[i], 0, session, &number[i]) == 0);
    }
    for (left = SESSIONS; left > 0; left -= ended[i]) {
      do {
        random = random * 1664525 + 1013904223;
        i = (int) ((random >> 16) % SESSIONS);
      } while (ended[i]);
      sem_post(&turn[i]);
      sem_wait(&stepped);
    }
    for (i = 0; i < SESSIONS; ++i)
      CHECK(pthread_join(thread[i], 0) == 0);
    in_turns = 0;
    for (i = 0; i < SESSIONS; ++i)
      CHECK(state_of[i] == GREYSTATE_PASSED || state_of[i] == GREYSTATE_KNOWN);
    CHECK(strcmp(files(), KEY " ") == 0);
  }
}

/* Each visit that has to be judged with something failing; and the next ones when nothing fails any more. */
static void with_failures(void)
{
  int passes;
  int i;

  for (passes = i = 0; i < 4 && !passes; ++i) {
    visit();
    passes = heard[GREYSTATE_PASSED] + heard[GREYSTATE_KNOWN] + heard[GREYSTATE_TROUBLE];
    now.tv_sec += 100;
  }
  CHECK(passes);   /* whatever fails, nobody is refused for ever */
  fails_at = 0;
  fails_always = -1;
  for (i = 0; i < 3; ++i) {
    memset(heard, 0, sizeof heard);
    visit();
    now.tv_sec += 100;
  }
  CHECK(heard[GREYSTATE_KNOWN] == 1);
  CHECK(strcmp(files(), KEY " ") == 0);
}

TEST(a_system_call_that_fails_refuses_nobody_for_ever)
{
  static const int errors[] = {EIO, ENOSPC, EACCES, ENOENT, EEXIST};
  static char where[60];
  size_t e;
  int visits;
  int i;

  check_where = where;
  for (visits = 0; visits < 3; ++visits)
    for (e = 0; e < sizeof errors / sizeof *errors; ++e) {
      fails_with = errors[e];
      for (i = 1; i < 40; ++i) {
        snprintf(where, sizeof where, "(%d visits, %s, call %d)", visits, strerror(errors[e]), i);
        afresh(visits, 100);
        fails_at = i;
        with_failures();
      }
      for (i = 0; i < CALLS; ++i) {
        snprintf(where, sizeof where, "(%d visits, %s, kind %d)", visits, strerror(errors[e]), i);
        if (i == FSTATAT && fails_with == ENOENT)
          continue;   /* that is not a failure */
        afresh(visits, 100);
        fails_always = i;
        with_failures();
      }
    }
}

#define AT_ONCE 8
#define TURNS 250

/* Processes of their own; each of them starts when all are there. */
TEST(eight_processes_at_the_same_instant)
{
  struct shared {
    _Atomic int round;
    _Atomic int there;
    _Atomic int heard[8];
  } *shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct greystate_result result;
  struct timespec first;
  struct timespec clock_now;
  pid_t child[AT_ONCE];
  char key[64];
  int status;
  int round;
  int i;

  CHECK(shared != MAP_FAILED);
  for (i = 0; i < AT_ONCE; ++i) {
    child[i] = fork();
    CHECK(child[i] != -1);
    if (child[i])
      continue;
    for (round = 1; round <= TURNS; ++round) {
      snprintf(key, sizeof key, "10.0.%d.0-24", round);
      while (atomic_load(&shared->round) < round)
        sched_yield();
      clock_gettime(CLOCK_REALTIME, &clock_now);
      atomic_fetch_add(&shared->heard[greystate_judge(".", key, &limits, clock_now, &result)], 1);
      atomic_fetch_add(&shared->there, 1);
    }
    _exit(0);
  }
  for (round = 1; round <= TURNS; ++round) {
    snprintf(key, sizeof key, "10.0.%d.0-24", round);
    clock_gettime(CLOCK_REALTIME, &first);
    first.tv_sec -= 61;
    CHECK(greystate_judge(".", key, &limits, first, &result) == GREYSTATE_NEW);
    atomic_store(&shared->round, round);
    while (atomic_load(&shared->there) < round * AT_ONCE)
      sched_yield();
    CHECK(atomic_load(&shared->heard[GREYSTATE_PASSED]) == round);
  }
  for (i = 0; i < AT_ONCE; ++i)
    CHECK(waitpid(child[i], &status, 0) == child[i] && status == 0);
  CHECK(atomic_load(&shared->heard[GREYSTATE_KNOWN]) == TURNS * (AT_ONCE - 1));
  CHECK(strstr(files(), ".new") == 0);
}

static const struct test tests[] = {
  {"who_comes_when_it_passes_is_not_refused", who_comes_when_it_passes_is_not_refused},
  {"who_comes_in_any_order_when_it_passes_is_not_refused", who_comes_in_any_order_when_it_passes_is_not_refused},
  {"first_contacts_at_once_are_one", first_contacts_at_once_are_one},
  {"an_older_file_is_no_passage_and_no_hindrance", an_older_file_is_no_passage_and_no_hindrance},
  {"a_system_call_that_fails_refuses_nobody_for_ever", a_system_call_that_fails_refuses_nobody_for_ever},
  {"eight_processes_at_the_same_instant", eight_processes_at_the_same_instant},
};

MAIN(tests)
