/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/wait.h>
#include "check.h"
#include "backendslot.h"

static const unsigned char one[4] = {198, 51, 100, 1};
static const unsigned char other[4] = {198, 51, 100, 2};

/* A process that has taken a place, or not, and keeps it until it is killed. */
static pid_t holder(const unsigned char ip[4], unsigned long port, unsigned long places, unsigned long seconds, int *taken)
{
  int ends[2];
  char answer;
  pid_t pid;

  CHECK(pipe(ends) == 0);
  pid = fork();
  CHECK(pid != -1);
  if (pid == 0) {
    answer = (char) backendslot_take(ip, port, places, seconds);
    if (write(ends[1], &answer, 1) == 1)
      pause();
    _exit(0);
  }
  CHECK(read(ends[0], &answer, 1) == 1);
  close(ends[0]);
  close(ends[1]);
  *taken = answer;
  return pid;
}

static void end(pid_t pid)
{
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, 0, 0) == pid);
}

TEST(each_back_end_has_its_places)
{
  pid_t pids[6];
  int taken;
  int i;

  CHECK(mkdir(BACKENDSLOT_DIRECTORY, 0700) == 0);
  for (i = 0; i < 3; ++i) {
    pids[i] = holder(one, 25, 3, 0, &taken);
    CHECK(taken);
  }
  CHECK(!backendslot_take(one, 25, 3, 0));
  pids[3] = holder(one, 25, 4, 0, &taken);
  CHECK(taken);
  pids[4] = holder(one, 2525, 1, 0, &taken);
  CHECK(taken);
  pids[5] = holder(other, 25, 1, 0, &taken);
  CHECK(taken);
  CHECK(!backendslot_take(other, 25, 1, 0));
  CHECK(backendslot_take(other, 25, 0, 0));
  end(pids[1]);
  CHECK(backendslot_take(one, 25, 3, 0));
  for (i = 0; i < 6; ++i)
    if (i != 1)
      end(pids[i]);
}

TEST(who_waits_gets_the_place_of_one_that_ends)
{
  pid_t first;
  pid_t second;
  int taken;

  CHECK(mkdir(BACKENDSLOT_DIRECTORY, 0700) == 0);
  first = holder(one, 25, 1, 0, &taken);
  CHECK(taken);
  second = fork();
  CHECK(second != -1);
  if (second == 0) {
    usleep(200000);
    kill(first, SIGKILL);
    _exit(0);
  }
  CHECK(backendslot_take(one, 25, 1, 20));
  CHECK(waitpid(first, 0, 0) == first && waitpid(second, 0, 0) == second);
  second = holder(one, 25, 1, 0, &taken);
  CHECK(!taken);
  end(second);
  CHECK(backendslot_take(other, 25, 1, 0)); /* the place at the first is given back */
  second = holder(one, 25, 1, 0, &taken);
  CHECK(taken);
  end(second);
}

TEST(what_cannot_be_counted_holds_up_no_mail)
{
  CHECK(backendslot_take(one, 25, 1, 0) && backendslot_take(one, 25, 1, 0));
  CHECK(mkdir(BACKENDSLOT_DIRECTORY, 0700) == 0);
  CHECK(mkdir(BACKENDSLOT_DIRECTORY "/198.51.100.1:25", 0700) == 0);
  CHECK(backendslot_take(one, 25, 1, 0));
}

static const struct test tests[] = {
  { "each_back_end_has_its_places", each_back_end_has_its_places },
  { "who_waits_gets_the_place_of_one_that_ends", who_waits_gets_the_place_of_one_that_ends },
  { "what_cannot_be_counted_holds_up_no_mail", what_cannot_be_counted_holds_up_no_mail },
};
MAIN(tests)
