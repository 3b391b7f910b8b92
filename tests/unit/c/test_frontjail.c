/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "frontjail.c"
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "check.h"

static struct front front;
static const char *rules_directory = ".";

static int listening_socket(void)
{
  struct sockaddr_in any;
  int fd = socket(AF_INET, SOCK_STREAM, 0);

  memset(&any, 0, sizeof any);
  any.sin_family = AF_INET;
  CHECK(fd != -1 && bind(fd, (struct sockaddr *) &any, sizeof any) == 0 && listen(fd, 5) == 0);
  return fd;
}

static int is_refused(long done)
{
  return done == -1 && errno == EPERM;
}

/* Runs in a process of its own, which ends without the sanitizers' looks at it: they are refused, too. */
static void confined(void (*does)(void))
{
  const char *missing;
  pid_t child = fork();
  int status;

  if (child == 0) {
    if (!front.controls.directory)
      front.controls.directory = ".";
    front.greylist_directory = "";
    if (!frontjail(&front, rules_directory, &missing))
      _exit(2);
    if (!missing)
      (*does)();
    _exit(0);
  }
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int one;
static int other;

static void only_the_port(void)
{
  static const char *const argv[] = {"/bin/true", 0};
  int more = socket(AF_INET, SOCK_STREAM, 0);
  int i;

  for (i = 0; i < 2; ++i) {
    if (shutdown(one, SHUT_RD) == -1 || listen(one, 5) == -1 || listen(other, 5) == -1)
      _exit(3);   /* a pause, and its end */
    if (!is_refused(listen(more, 5)) || !is_refused(close(one)) || !is_refused(close(other)))
      _exit(4);
  }
#ifdef SYS_dup2
  if (!is_refused(syscall(SYS_dup2, more, one)))
    _exit(5);
#endif
  if (!is_refused(syscall(SYS_dup3, more, one, 0)) || !is_refused(syscall(SYS_close_range, one, one, 0)))
    _exit(6);
  if (fcntl(more, F_DUPFD, one) == one || close(more) == -1)
    _exit(7);
  if (!is_refused(execve(argv[0], (char *const *) argv, 0)) || !is_refused(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))
    _exit(8);
  if (!is_refused(bind(socket(AF_INET, SOCK_STREAM, 0), 0, 0)) || !is_refused(kill(getppid(), 0)))
    _exit(9);
}

TEST(nothing_but_the_port_is_listened_at)
{
  one = listening_socket();
  other = listening_socket();
  front.listening[0].fd = one;
  front.listening[1].fd = other;
  front.listening_n = 2;
  confined(only_the_port);
}

static void only_the_offer(void)
{
  char byte;
  int fd = open("tls/socket.offer", O_RDONLY);

  if (fd == -1 || read(fd, &byte, 1) != 1 || open("tls/socket.offer", O_WRONLY) != -1)
    _exit(11);
  if (open("tls/new", O_WRONLY | O_CREAT, 0600) != -1 || unlink("tls/socket.offer") != -1 || open("other/file", O_RDONLY) != -1)
    _exit(12);
}

static void make_file(const char *name)
{
  int fd = open(name, O_WRONLY | O_CREAT, 0600);

  CHECK(fd != -1 && write(fd, "1", 1) == 1 && close(fd) == 0);
}

TEST(the_offer_of_smtptls_is_read)
{
  CHECK(mkdir("tls", 0700) == 0 && mkdir("other", 0700) == 0 && mkdir("rules", 0700) == 0);
  make_file("tls/socket.offer");
  make_file("other/file");
  front.controls.tls_path = "tls/socket";
  rules_directory = front.controls.directory = "rules";
  confined(only_the_offer);
}

static void no_file(void)
{
  if (open("/etc/passwd", O_RDONLY) == -1 || open("/bin/sh", O_RDONLY) != -1 || open("new", O_WRONLY | O_CREAT, 0600) != -1)
    _exit(10);
}

TEST(only_its_files_are_read_and_none_is_written)
{
  confined(no_file);
}

static const struct test tests[] = {
  {"nothing_but_the_port_is_listened_at", nothing_but_the_port_is_listened_at},
  {"the_offer_of_smtptls_is_read", the_offer_of_smtptls_is_read},
  {"only_its_files_are_read_and_none_is_written", only_its_files_are_read_and_none_is_written},
};
MAIN(tests)
