/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "greystate.h"

#define FAN 64
#define PENDING ".new"
#define MARGIN_SECONDS 60   /* a session that relies on a file ends long before the file is removed */
#define ROUNDS 8
#define PLACE_MAX 16
#define PATH_ROOM 128

static unsigned hash(const char *key)
{
  unsigned h = 2166136261u;   /* FNV-1a */

  for (; *key; ++key)
    h = (h ^ (unsigned char) *key) * 16777619u;
  return h ^ (h >> 16);
}

static long age(struct timespec now, struct timespec then)
{
  long seconds = (long) (now.tv_sec - then.tv_sec);

  return now.tv_nsec < then.tv_nsec ? seconds - 1 : seconds;
}

static int set_time(int base, const char *path, struct timespec now)
{
  struct timespec times[2];

  times[0] = times[1] = now;
  return utimensat(base, path, times, AT_SYMLINK_NOFOLLOW);
}

static int too_old(const char *name, const struct stat *st, const struct greystate_limits *limits, struct timespec now)
{
  size_t len = strlen(name);
  size_t tail = sizeof PENDING - 1;
  long limit = len > tail && strcmp(name + len - tail, PENDING) == 0 ? limits->pending_seconds : limits->pass_seconds;

  return age(now, st->st_mtim) > limit + MARGIN_SECONDS;
}

/* Clears one directory; returns how many files, or -1 with errno. */
static long sweep(int base, const char *place, long most, const struct greystate_limits *limits, struct timespec now)
{
  struct dirent *entry;
  struct stat st;
  long removed = 0;
  DIR *dir;
  int fd = openat(base, place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

  if (fd == -1)
    return errno == ENOENT ? 0 : -1;
  dir = fdopendir(fd);
  if (!dir) {
    close(fd);
    return -1;
  }
  while (most-- > 0 && (entry = readdir(dir)) != 0)
    if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)
        && too_old(entry->d_name, &st, limits, now) && unlinkat(fd, entry->d_name, 0) == 0)
      ++removed;
  closedir(dir);
  return removed;
}

static enum greystate trouble(struct greystate_result *result, const char *what)
{
  result->trouble = what;
  result->error = errno;
  return GREYSTATE_TROUBLE;
}

/* Begins a result. Returns the directory, or -1, which is trouble. */
static int open_base(const char *directory, struct greystate_result *result)
{
  int base = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

  memset(result, 0, sizeof *result);
  if (base == -1)
    trouble(result, "cannot open the directory");
  return base;
}

/* Creates a file, and the directories above it when they are missing. */
static int create(int base, const char *place, const char *path)
{
  char upper[PLACE_MAX];
  int fd;

  fd = openat(base, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd == -1 && errno == ENOENT) {
    snprintf(upper, sizeof upper, "%.2s", place);
    if (mkdirat(base, upper, 0700) == -1 && errno != EEXIST)
      return -1;
    if (mkdirat(base, place, 0700) == -1 && errno != EEXIST)
      return -1;
    fd = openat(base, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  }
  return fd;
}

/* Whether the network has passed: GREYSTATE_KNOWN, GREYSTATE_NEW if not (or too long ago), or GREYSTATE_TROUBLE. */
static enum greystate look(int base, const char *passed, const struct greystate_limits *limits, struct timespec now,
                           struct greystate_result *result)
{
  struct stat st;
  long old;

  if (fstatat(base, passed, &st, AT_SYMLINK_NOFOLLOW) == -1)
    return errno == ENOENT ? GREYSTATE_NEW : trouble(result, "cannot read");
  old = age(now, st.st_mtim);
  if (old > limits->pass_seconds)
    return GREYSTATE_NEW;
  if ((old < 0 || old > limits->pass_seconds / 32) && set_time(base, passed, now) == -1 && errno != ENOENT)
    return trouble(result, "cannot renew");
  return GREYSTATE_KNOWN;
}

struct paths {
  unsigned hash;
  char place[PLACE_MAX];
  char pending[PATH_ROOM];
  char passed[PATH_ROOM];
};

static void find_paths(struct paths *paths, const char *key)
{
  paths->hash = hash(key);
  snprintf(paths->place, sizeof paths->place, "%02x/%02x", paths->hash % FAN, paths->hash / FAN % FAN);
  snprintf(paths->passed, sizeof paths->passed, "%s/%s", paths->place, key);
  snprintf(paths->pending, sizeof paths->pending, "%s/%s" PENDING, paths->place, key);
}

static void sweep_sometimes(int base, const struct paths *paths, const struct greystate_limits *limits,
                            struct timespec now)
{
  if ((paths->hash ^ (unsigned) (now.tv_nsec / 1000)) % 16 == 0)
    sweep(base, paths->place, GREYSTATE_SWEEP_MAX, limits, now);
}

static enum greystate judge(int base, const char *key, const struct greystate_limits *limits, struct timespec now,
                            struct greystate_result *result)
{
  struct timespec times[2];
  struct paths paths;
  const char *place = paths.place;
  const char *pending = paths.pending;
  const char *passed = paths.passed;
  struct stat st;
  enum greystate state;
  long old;
  int rounds;
  int fd;

  find_paths(&paths, key);
  times[0] = times[1] = now;
  for (rounds = 0; rounds < ROUNDS; ++rounds) {   /* again when another session changed the files meanwhile */
    state = look(base, passed, limits, now, result);
    if (state != GREYSTATE_NEW)
      return state;
    if (fstatat(base, pending, &st, AT_SYMLINK_NOFOLLOW) == 0) {
      old = age(now, st.st_mtim);
      if (old >= limits->delay_seconds && old <= limits->pending_seconds) {
        if (renameat(base, pending, base, passed) == 0) {
          set_time(base, passed, now);
          result->seconds = old;
          return GREYSTATE_PASSED;
        }
        if (errno != ENOENT)
          return trouble(result, "cannot remember that it passed");
        continue;
      }
      if (old < 0 || old > limits->pending_seconds) {   /* the clock was set back, or the first time is too long ago */
        if (set_time(base, pending, now) == -1) {
          if (errno != ENOENT)
            return trouble(result, "cannot remember");
          continue;
        }
        old = -1;
      } else if (faccessat(base, place, W_OK | X_OK, AT_EACCESS) == -1) {
        return trouble(result, "cannot write");   /* nor when the delay is over */
      }
      state = look(base, passed, limits, now, result);
      if (state != GREYSTATE_NEW)
        return state;
      result->seconds = old;
      return old < 0 ? GREYSTATE_NEW : GREYSTATE_EARLY;
    }
    if (errno != ENOENT)
      return trouble(result, "cannot read");
    fd = create(base, place, pending);
    if (fd == -1) {
      if (errno != EEXIST)
        return trouble(result, "cannot remember");
      continue;
    }
    futimens(fd, times);
    close(fd);
    state = look(base, passed, limits, now, result);
    if (state != GREYSTATE_NEW) {
      unlinkat(base, pending, 0);
      return state;
    }
    sweep_sometimes(base, &paths, limits, now);
    return GREYSTATE_NEW;
  }
  errno = EAGAIN;
  return trouble(result, "cannot settle");
}

enum greystate greystate_judge(const char *directory, const char *key, const struct greystate_limits *limits,
                               struct timespec now, struct greystate_result *result)
{
  enum greystate state;
  int base = open_base(directory, result);

  if (base == -1)
    return GREYSTATE_TROUBLE;
  state = judge(base, key, limits, now, result);
  close(base);
  return state;
}

static enum greystate await(int base, const char *key, int may_create, const struct greystate_limits *limits,
                            struct timespec now, struct greystate_result *result)
{
  struct timespec times[2];
  struct paths paths;
  struct stat st;
  int rounds;
  int fd;

  find_paths(&paths, key);
  times[0] = times[1] = now;
  for (rounds = 0; rounds < ROUNDS; ++rounds) {   /* again when another session changed the file meanwhile */
    if (fstatat(base, paths.pending, &st, AT_SYMLINK_NOFOLLOW) == 0) {
      result->seconds = age(now, st.st_mtim);
      if (result->seconds >= 0 && result->seconds <= limits->pending_seconds)
        return result->seconds < limits->delay_seconds ? GREYSTATE_EARLY : GREYSTATE_PASSED;
      if (!may_create || set_time(base, paths.pending, now) == 0)
        return GREYSTATE_NEW;
      if (errno != ENOENT)
        return trouble(result, "cannot remember");
      continue;
    }
    if (errno != ENOENT)
      return trouble(result, "cannot read");
    if (!may_create)
      return GREYSTATE_NEW;
    fd = create(base, paths.place, paths.pending);
    if (fd != -1) {
      futimens(fd, times);
      close(fd);
      sweep_sometimes(base, &paths, limits, now);
      return GREYSTATE_NEW;
    }
    if (errno != EEXIST)
      return trouble(result, "cannot remember");
  }
  errno = EAGAIN;
  return trouble(result, "cannot settle");
}

enum greystate greystate_await(const char *directory, const char *key, int create_it,
                               const struct greystate_limits *limits, struct timespec now,
                               struct greystate_result *result)
{
  enum greystate state;
  int base = open_base(directory, result);

  if (base == -1)
    return GREYSTATE_TROUBLE;
  state = await(base, key, create_it, limits, now, result);
  close(base);
  return state;
}

static enum greystate pass(int base, const char *key, struct timespec now, struct greystate_result *result)
{
  struct paths paths;
  int fd;

  find_paths(&paths, key);
  if (renameat(base, paths.pending, base, paths.passed) == -1) {
    if (errno != ENOENT)
      return trouble(result, "cannot remember that it passed");
    fd = create(base, paths.place, paths.passed);
    if (fd == -1 && errno != EEXIST)
      return trouble(result, "cannot remember that it passed");
    if (fd != -1)
      close(fd);
  }
  set_time(base, paths.passed, now);
  return GREYSTATE_PASSED;
}

enum greystate greystate_pass(const char *directory, const char *key, struct timespec now,
                              struct greystate_result *result)
{
  enum greystate state;
  int base = open_base(directory, result);

  if (base == -1)
    return GREYSTATE_TROUBLE;
  state = pass(base, key, now, result);
  close(base);
  return state;
}

long greystate_expire(const char *directory, const struct greystate_limits *limits, struct timespec now)
{
  char place[PLACE_MAX];
  long removed = 0;
  long here;
  int i;
  int base = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

  if (base == -1)
    return -1;
  for (i = 0; i < FAN * FAN; ++i) {
    snprintf(place, sizeof place, "%02x/%02x", i % FAN, i / FAN);
    here = sweep(base, place, 1000000000L, limits, now);
    if (here == -1) {
      removed = -1;
      break;
    }
    removed += here;
  }
  close(base);
  return removed;
}
