/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "check.h"
#include "mtastsask.h"

#define LONG_MS 60000

static struct mtasts policy;
static const char *why;

static enum mtasts_state ask(const char *path, int milliseconds)
{
  why = "";
  return mtastsask(&policy, path, "example.test", 12, milliseconds, &why);
}

static int listening(const char *path, int backlog)
{
  struct sockaddr_un address;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);

  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, path);
  CHECK(fd != -1 && bind(fd, (struct sockaddr *) &address, sizeof address) == 0 && listen(fd, backlog) == 0);
  return fd;
}

TEST(nobody_is_there)
{
  char path[200];

  CHECK(ask("nothing", LONG_MS) == MTASTS_UNKNOWN && strcmp(why, "its resolver cannot be reached") == 0);
  close(listening("gone", 1));
  CHECK(ask("gone", LONG_MS) == MTASTS_UNKNOWN && strcmp(why, "its resolver cannot be reached") == 0);
  CHECK(ask("", LONG_MS) == MTASTS_UNKNOWN);
  memset(path, 'a', sizeof path - 1);
  path[sizeof path - 1] = 0;
  CHECK(ask(path, LONG_MS) == MTASTS_UNKNOWN);
}

TEST(nobody_answers)
{
  int fd = listening("silent", 5);

  CHECK(ask("silent", 30) == MTASTS_UNKNOWN && strcmp(why, "its resolver gave no answer in time") == 0);
  close(fd);
}

TEST(nobody_accepts)
{
  int fd = listening("busy", 0);
  int i;

  for (i = 0; i < 4; ++i)
    CHECK(ask("busy", 100) == MTASTS_UNKNOWN);
  close(fd);
}

TEST(what_is_not_asked_has_no_policy)
{
  CHECK(mtastsask(&policy, "nothing", "[127.0.0.1]", 11, LONG_MS, &why) == MTASTS_NONE);
}

/* Answers byte by byte, when the whole question is there. */
static void answer(int fd, const char *text)
{
  static const char question[] = "20:mta-sts example.test,";
  char heard[sizeof question];
  size_t length = 0;
  ssize_t n;
  int peer = accept(fd, 0, 0);

  while (length < sizeof question - 1 && (n = read(peer, heard + length, sizeof question - 1 - length)) > 0)
    length += (size_t) n;
  if (length != sizeof question - 1 || memcmp(heard, question, length) != 0)
    _exit(1);
  for (; *text; ++text)
    if (write(peer, text, 1) != 1)
      _exit(2);
  close(peer);
}

TEST(an_answer_in_pieces)
{
  int fd = listening("resolver", 5);
  int status;
  pid_t child = fork();

  CHECK(child != -1);
  if (!child) {
    answer(fd, "9:NOTFOUND ,");
    answer(fd, "25:OK secure match=a:.b.test,");
    answer(fd, "9:NOTFOUND");
    _exit(0);
  }
  CHECK(ask("resolver", LONG_MS) == MTASTS_NONE);
  CHECK(ask("resolver", LONG_MS) == MTASTS_ENFORCED);
  CHECK(mtasts_lists(&policy, "x.b.test") && mtasts_lists(&policy, "A") && !mtasts_lists(&policy, "b.test"));
  CHECK(ask("resolver", LONG_MS) == MTASTS_UNKNOWN && strcmp(why, "its resolver gave no answer") == 0);
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  close(fd);
}

static const struct test tests[] = {
  { "nobody_is_there", nobody_is_there },
  { "nobody_answers", nobody_answers },
  { "nobody_accepts", nobody_accepts },
  { "what_is_not_asked_has_no_policy", what_is_not_asked_has_no_policy },
  { "an_answer_in_pieces", an_answer_in_pieces },
};

MAIN(tests)
