/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include "check.h"
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include "slots.h"

static struct slots_limits limits = {12, 3, 5, 2};
static int busy;

static enum slots take(struct slots_taken *taken, const char *ip, int relay)
{
  struct address client;

  CHECK(address_parse(&client, ip));
  return slots_take(taken, "slots", &limits, &client, relay, &busy);
}

static int fits(const char *ip)
{
  struct slots_taken taken;

  return take(&taken, ip, 0) == SLOTS_TAKEN;
}

TEST(shares)
{
  struct slots_taken first;

  CHECK(mkdir("slots", 0700) == 0);
  CHECK(take(&first, "198.51.100.7", 0) == SLOTS_TAKEN && busy == 1 && first.number == 0);
  CHECK(fits("198.51.100.7") && fits("198.51.100.7") && !fits("198.51.100.7"));
  CHECK(fits("198.51.100.8") && fits("198.51.100.9") && !fits("198.51.100.10") && busy == 5);
  CHECK(fits("198.51.101.1"));
  CHECK(close(first.fd) == 0);
  CHECK(fits("198.51.100.7") && busy == 6);
}

TEST(places_for_relay_clients)
{
  char ip[32];
  struct slots_taken taken;
  int i;

  CHECK(mkdir("slots", 0700) == 0);
  for (i = 0; i < 10; ++i) {
    sprintf(ip, "198.51.%d.1", i);
    CHECK(fits(ip));
  }
  CHECK(!fits("203.0.113.1"));
  CHECK(take(&taken, "10.0.0.1", 1) == SLOTS_TAKEN && take(&taken, "10.0.0.1", 1) == SLOTS_TAKEN && busy == 12);
  CHECK(take(&taken, "10.0.0.1", 1) == SLOTS_FULL);
}

TEST(ipv6_by_64)
{
  CHECK(mkdir("slots", 0700) == 0);
  CHECK(fits("2001:db8::1") && fits("2001:db8::1") && fits("2001:db8::1") && !fits("2001:db8::1"));
  CHECK(fits("2001:db8::2") && fits("2001:db8::3") && !fits("2001:db8::4") && fits("2001:db8:0:1::4"));
}

/* A process that inherits the descriptor holds the place, whatever becomes of who took it. */
TEST(a_place_is_held_by_who_inherits_it)
{
  struct slots_taken taken;
  int ends[2];
  pid_t child;
  char c;

  CHECK(mkdir("slots", 0700) == 0 && pipe(ends) == 0);
  limits.all = 1;
  limits.kept_for_relay = 0;
  CHECK(take(&taken, "198.51.100.7", 0) == SLOTS_TAKEN);
  child = fork();
  if (child == 0) {
    close(ends[1]);
    _exit(read(ends[0], &c, 1) != 0);
  }
  CHECK(child > 0 && close(taken.fd) == 0 && close(ends[0]) == 0);
  CHECK(!fits("203.0.113.1") && busy == 1);
  CHECK(close(ends[1]) == 0);
  while (!fits("203.0.113.1"))
    ;
}

TEST(what_cannot_be_counted_is_not_given_away)
{
  struct slots_taken taken;

  CHECK(take(&taken, "198.51.100.7", 0) == SLOTS_TROUBLE);   /* no directory */
  CHECK(mkdir("slots", 0700) == 0 && mkdir("slots/0003", 0700) == 0);
  CHECK(take(&taken, "198.51.100.7", 0) == SLOTS_TROUBLE);
  CHECK(rmdir("slots/0003") == 0 && symlink("/dev/null", "slots/0003") == 0);
  CHECK(take(&taken, "198.51.100.7", 0) == SLOTS_TROUBLE);
  CHECK(unlink("slots/0003") == 0 && fits("198.51.100.7"));
}

/* ---- the property: whatever starts, ends and is restarted, the count is that of the sessions that live ---- */

#define STEPS 400
#define CLIENTS 6

static const char *const clients[CLIENTS] = {"198.51.100.7", "198.51.100.8", "198.51.101.7", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"};
static const int networks[CLIENTS] = {0, 0, 1, 2, 2, 3};

struct living {
  pid_t pid;
  int client;
};

static struct living living[20];
static int n_living;

static unsigned chance(unsigned of)
{
  static unsigned state = 1;

  state = state * 1103515245u + 12345u;
  return (state >> 16) % of;
}

/* A session: it holds the place until it is killed. */
static pid_t session_of(const struct slots_taken *taken)
{
  pid_t pid = fork();

  if (pid == 0)
    for (;;)
      pause();
  CHECK(pid > 0 && close(taken->fd) == 0);
  return pid;
}

struct told {
  enum slots result;
  int busy;
  pid_t pid;
};

/* What a launcher that has just been started answers to its first session; then it is gone, and the session is not. */
static struct told of_new_launcher(const char *ip, int relay)
{
  struct slots_taken taken;
  struct told told = {SLOTS_FULL, 0, 0};
  int ends[2];
  pid_t launcher;

  CHECK(pipe(ends) == 0);
  launcher = fork();
  if (launcher == 0) {
    told.result = take(&taken, ip, relay);
    told.busy = busy;
    if (told.result == SLOTS_TAKEN)
      told.pid = session_of(&taken);
    _exit(write(ends[1], &told, sizeof told) != (ssize_t) sizeof told);
  }
  CHECK(launcher > 0 && close(ends[1]) == 0 && read(ends[0], &told, sizeof told) == (ssize_t) sizeof told);
  CHECK(close(ends[0]) == 0 && waitpid(launcher, 0, 0) == launcher);
  return told;
}

static struct told of_this_launcher(const char *ip, int relay)
{
  struct slots_taken taken;
  struct told told = {take(&taken, ip, relay), 0, 0};

  told.busy = busy;
  if (told.result == SLOTS_TAKEN)
    told.pid = session_of(&taken);
  return told;
}

static int is_taken(int client, int relay)
{
  int same = 0;
  int near = 0;
  int i;

  for (i = 0; i < n_living; ++i) {
    same += living[i].client == client;
    near += networks[living[i].client] == networks[client];
  }
  if (relay)
    return n_living < limits.all;
  return n_living < limits.all - limits.kept_for_relay && same < limits.client && near < limits.network;
}

/* Ended sessions that are not this process's own are reaped by nobody here: the lock is gone all the same. */
static void end_one(int i)
{
  CHECK(kill(living[i].pid, SIGKILL) == 0);
  while (kill(living[i].pid, 0) == 0 && waitpid(living[i].pid, 0, 0) == -1 && errno == ECHILD) {
    char state[64];
    FILE *f;

    sprintf(state, "/proc/%d/stat", (int) living[i].pid);
    f = fopen(state, "r");
    if (!f)
      break;
    if (fscanf(f, "%*d %*s %2s", state) == 1 && *state == 'Z') {
      fclose(f);
      break;
    }
    fclose(f);
  }
  living[i] = living[--n_living];
}

TEST(the_count_is_right_across_restarts)
{
  struct told told;
  int client;
  int relay;
  int step;

  CHECK(mkdir("slots", 0700) == 0);
  for (step = 0; step < STEPS; ++step) {
    if (n_living && chance(5) < 2) {
      end_one((int) chance((unsigned) n_living));
      continue;
    }
    client = (int) chance(CLIENTS);
    relay = chance(6) == 0;
    told = chance(3) ? of_this_launcher(clients[client], relay) : of_new_launcher(clients[client], relay);
    CHECK(told.result == (is_taken(client, relay) ? SLOTS_TAKEN : SLOTS_FULL));
    CHECK(told.busy == n_living + (told.result == SLOTS_TAKEN));
    if (told.result == SLOTS_TAKEN) {
      living[n_living].pid = told.pid;
      living[n_living++].client = client;
    }
  }
  while (n_living)
    end_one(0);
}

static const struct test tests[] = {
  {"shares", shares},
  {"places_for_relay_clients", places_for_relay_clients},
  {"ipv6_by_64", ipv6_by_64},
  {"a_place_is_held_by_who_inherits_it", a_place_is_held_by_who_inherits_it},
  {"what_cannot_be_counted_is_not_given_away", what_cannot_be_counted_is_not_given_away},
  {"the_count_is_right_across_restarts", the_count_is_right_across_restarts},
};
MAIN(tests)
