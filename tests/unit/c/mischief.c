/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * mischief ACT PLACE: does what a ripmime must not be able to do. When simscan starts it, ACT is in the name of its file,
 * act-ACT. Status 0: done; 7: refused.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define IS(name) (strcmp(act, name) == 0)

static char path[4096];

static const char *in(const char *place, const char *name)
{
  snprintf(path, sizeof path, "%s/%s", place, name);
  return path;
}

static int opens(const char *name, int flags)
{
  return open(name, flags, 0600) != -1;
}

static int fills(void)
{
  static char block[65536];
  int fd = open("parts/fill", O_WRONLY | O_CREAT, 0600);

  for (;;)
    if (write(fd, block, sizeof block) <= 0) return 0;
}

static int swallows(void)
{
  size_t all = 0;
  char *block;

  for (; all < (size_t) 2 << 30; all += 1 << 20) {
    block = malloc(1 << 20);
    if (!block) return 0;
    block[0] = 1;
  }
  return 1;
}

static int forks(void)
{
  pid_t pid = fork();

  if (pid == 0) _exit(0);
  return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

static int has_two_users(void)
{
  uid_t real;
  uid_t effective;
  uid_t saved;

  return getresuid(&real, &effective, &saved) == 0 && (real != effective || saved != effective);
}

static int has_descriptors(void)
{
  int fd;

  for (fd = 3; fd < 100; ++fd)
    if (fcntl(fd, F_GETFD) != -1) return 1;
  return 0;
}

static int does(const char *act, const char *place)
{
  int status;

  if (IS("read")) return opens(in(place, "secret"), O_RDONLY);
  if (IS("passwd")) return opens("/etc/passwd", O_RDONLY);
  if (IS("list")) return opendir(place) != NULL;
  if (IS("write")) return opens(in(place, "new"), O_WRONLY | O_CREAT);
  if (IS("append")) return opens(in(place, "secret"), O_WRONLY | O_APPEND);
  if (IS("truncate")) return truncate(in(place, "secret"), 0) == 0;
  if (IS("remove")) return unlink(in(place, "secret")) == 0;
  if (IS("above")) return opens("message.new", O_WRONLY | O_CREAT);
  if (IS("link")) return symlink("/etc/passwd", in(place, "symlink")) == 0;
  if (IS("connect")) return socket(AF_INET, SOCK_STREAM, 0) != -1;
  if (IS("unix")) return socket(AF_UNIX, SOCK_STREAM, 0) != -1;
  if (IS("signal")) return kill(getppid(), 0) == 0;
  if (IS("ptrace")) return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
  if (IS("setsid")) return setsid() != -1 || setpgid(0, 0) == 0;
  if (IS("namespace")) return unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_FS) == 0;
  if (IS("memory")) return memfd_create("x", 0) != -1;
  if (IS("privileges")) return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
  if (IS("users")) return has_two_users();
  if (IS("descriptors")) return has_descriptors();
  if (IS("fork")) return forks();
  if (IS("exec")) {
    status = execl("/bin/true", "true", (char *) NULL);
    return status != -1;
  }
  if (IS("spin")) for (;;) continue;
  if (IS("fill")) return fills();
  if (IS("swallow")) return swallows();
  return 1;
}

int main(int argc, char **argv)
{
  char self[4096] = "";
  char place[4096] = "";
  char *act;

  if (argc == 3 && argv[1][0] != '-') return does(argv[1], argv[2]) ? 0 : 7;
  /* started as ripmime: in the work directory's own, which lies in PLACE/work */
  if (!getcwd(place, sizeof place - 1) || readlink("/proc/self/exe", self, sizeof self - 1) <= 0) return 8;
  *strrchr(place, '/') = 0;
  *strrchr(place, '/') = 0;
  act = strstr(self, "/act-");
  return act && does(act + 5, place) ? 0 : 7;
}
