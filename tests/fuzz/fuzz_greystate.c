/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever lies in the directory of remembered networks, of whatever kind and age, and whoever comes: it is judged, and
 * judged alike once more; who is refused passes in the end, within some visits; nothing outside is touched, and expiry
 * removes nothing but files that are too old.
 * The first bytes are the client, the delay and the clock; then come files: kind, age, and a name.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "address.h"
#include "fuzz.h"
#include "greystate.h"

const char *const fuzz_words[] = {
  "\x01", "\x02", "\x03", "\x04", "\x10", "\x80", ".new", "10.0.0.0-8", "..", "/", "\n", "\xff", "198.51.100.0-24", 0,
};

#define DIRECTORY "state"
#define CANARY "canary"
#define MARGIN 60

static struct timespec now;
static struct greystate_limits limits;

static int remove_it(const char *path, const struct stat *st, int kind, struct FTW *place)
{
  (void) st;
  (void) kind;
  return place->level ? remove(path) : 0;
}

/* Where greystate.h says that a network's files are. */
static void place_of(char out[16], const char *key)
{
  unsigned h = 2166136261u;

  for (; *key; ++key)
    h = (h ^ (unsigned char) *key) * 16777619u;
  h ^= h >> 16;
  snprintf(out, 16, "%02x/%02x", h % 64, h / 64 % 64);
}

static void lay(const char *place, const char *name, unsigned kind, unsigned age)
{
  static const long ages[] = {-86400, -1, 0, 59, 60, 86400, 2 * 86400, 2 * 86400 + 120, 36L * 86400, 37L * 86400 + 120};
  struct timespec times[2];
  char path[300];
  int fd;

  snprintf(path, sizeof path, DIRECTORY "/%s/%.200s", place, name);
  switch (kind % 8) {
    case 0: if (mkdir(path, 0700) == -1) return; break;
    case 1: if (symlink("../../../" CANARY, path) == -1) return; break;
    case 2: if (mkfifo(path, 0600) == -1) return; break;
    default:
      fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
      if (fd == -1)
        return;
      close(fd);
  }
  times[0] = times[1] = now;
  times[0].tv_sec = times[1].tv_sec = now.tv_sec - ages[age % 10];
  utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static enum greystate visit(const char *key)
{
  struct greystate_result result;
  enum greystate state = greystate_judge(DIRECTORY, key, &limits, now, &result);

  HOLD(state >= GREYSTATE_NEW && state <= GREYSTATE_TROUBLE);
  if (state == GREYSTATE_TROUBLE)
    HOLD(result.trouble != 0 && result.error != 0);
  if (state == GREYSTATE_EARLY)
    HOLD(result.seconds >= 0 && result.seconds < limits.delay_seconds);
  if (state == GREYSTATE_PASSED)
    HOLD(result.seconds >= limits.delay_seconds && result.seconds <= limits.pending_seconds);
  return state;
}

/* Counts what is left, and of it the files that are too old. */
static int left;
static int too_old;

static int count(const char *path, const struct stat *st, int kind, struct FTW *place)
{
  const char *tail = strrchr(path, '.');
  long limit = tail && strcmp(tail, ".new") == 0 ? limits.pending_seconds : limits.pass_seconds;

  if (place->level < 3)   /* state/xx/yy/name */
    return 0;
  ++left;
  if (kind == FTW_F && S_ISREG(st->st_mode) && now.tv_sec - st->st_mtim.tv_sec > limit + MARGIN + 1)
    ++too_old;
  return 0;
}

static int refuses(enum greystate state)
{
  return state == GREYSTATE_NEW || state == GREYSTATE_EARLY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static int made;
  struct address a;
  struct stat before;
  struct stat after;
  enum greystate state;
  char key[ADDRESS_TEXT_MAX];
  char name[ADDRESS_TEXT_MAX + 200];
  char place[16];
  char upper[40];
  size_t at;
  size_t len;
  long removed;
  int all;
  int i;
  int fd;

  if (size < 20)
    return 0;
  if (!made) {
    HOLD(mkdir(DIRECTORY, 0700) == 0 || access(DIRECTORY, W_OK) == 0);
    fd = open(CANARY, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    HOLD(fd != -1);
    close(fd);
    made = 1;
  }
  HOLD(nftw(DIRECTORY, remove_it, 8, FTW_PHYS | FTW_DEPTH) == 0);
  HOLD(stat(CANARY, &before) == 0);
  memset(&a, 0, sizeof a);
  a.bits = data[0] & 1 ? 128 : 32;
  memcpy(a.bytes, data + 1, 16);
  address_text(key, &a, '-', address_network(&a, a.bits == 32 ? 24 : 64));
  limits.delay_seconds = data[17] % 2 ? 60 : 0;
  limits.pending_seconds = 2 * 86400;
  limits.pass_seconds = 36L * 86400;
  now.tv_sec = 1800000000 + data[18];
  now.tv_nsec = data[19] * 3906250L;
  place_of(place, key);
  snprintf(upper, sizeof upper, DIRECTORY "/%.2s", place);
  HOLD(mkdir(upper, 0700) == 0);
  snprintf(upper, sizeof upper, DIRECTORY "/%s", place);
  HOLD(mkdir(upper, 0700) == 0);
  for (i = 0, at = 20; at + 3 <= size && i < 24; ++i, at += len + 3) {
    len = data[at + 2] % 64;
    if (len > size - at - 3)
      len = size - at - 3;
    if (data[at + 2] >= 128) {   /* a file of this client */
      snprintf(name, sizeof name, "%s%s", key, data[at + 2] & 64 ? ".new" : "");
      len = 0;
    } else {
      memcpy(name, data + at + 3, len);
      name[len] = 0;
    }
    lay(place, name, data[at], data[at + 1]);
  }
  state = visit(key);
  if (state == GREYSTATE_NEW && limits.delay_seconds > 0)
    HOLD(visit(key) != GREYSTATE_NEW);   /* it is remembered */
  if (state == GREYSTATE_PASSED || state == GREYSTATE_KNOWN)
    HOLD(!refuses(visit(key)));
  for (i = 0; i < 3; ++i) {
    now.tv_sec += 60;
    state = visit(key);
  }
  HOLD(!refuses(state));
  if (data[19] % 32 == 0) {   /* which looks into 4096 directories */
    left = too_old = 0;
    HOLD(nftw(DIRECTORY, count, 8, FTW_PHYS) == 0);
    all = left;
    i = too_old;
    removed = greystate_expire(DIRECTORY, &limits, now);
    left = too_old = 0;
    HOLD(nftw(DIRECTORY, count, 8, FTW_PHYS) == 0);
    HOLD(removed >= i && too_old == 0 && all - left == removed);
  }
  HOLD(stat(CANARY, &after) == 0 && before.st_mtim.tv_sec == after.st_mtim.tv_sec
       && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
  return 0;
}
