/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "check.h"
#include "syncdir.h"

/* These two stand in the place of libc's for syncdir(): they watch, and fail when they are told to. */
static int interrupted;      /* so many opens to come are interrupted */
static int fsync_error;
static int fsyncs;
static struct stat synced;   /* what the last fsync was for */

int open(const char *path, int flags, ...)
{
  va_list more;
  int mode;

  if (interrupted > 0) {
    --interrupted;
    errno = EINTR;
    return -1;
  }
  va_start(more, flags);
  mode = flags & O_CREAT ? va_arg(more, int) : 0;
  va_end(more);
  return (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int fsync(int fd)
{
  ++fsyncs;
  CHECK(fstat(fd, &synced) == 0);
  if (fsync_error) {
    errno = fsync_error;
    return -1;
  }
  return (int) syscall(SYS_fsync, fd);
}

static int descriptors(void)
{
  DIR *d = opendir("/proc/self/fd");
  int n = 0;

  CHECK(d != NULL);
  while (readdir(d))
    ++n;
  closedir(d);
  return n;
}

/* Whether syncdir(path) succeeds with one fsync, for this directory, and leaves no descriptor. */
static int writes_out(const char *path, const char *directory)
{
  struct stat want;
  int before = descriptors();
  int r;

  fsyncs = 0;
  memset(&synced, 0, sizeof synced);
  r = syncdir(path);
  CHECK(descriptors() == before);
  CHECK(stat(directory, &want) == 0);
  return r == 0 && fsyncs == 1 && S_ISDIR(synced.st_mode) && synced.st_ino == want.st_ino && synced.st_dev == want.st_dev;
}

/* Whether syncdir(path) fails with this error, and without an fsync that succeeded, and leaves no descriptor. */
static int fails(const char *path, int error)
{
  int before = descriptors();
  int r;

  fsyncs = 0;
  errno = 0;
  r = syncdir(path);
  CHECK(r != -1 || errno == error);
  CHECK(descriptors() == before);
  return r == -1 && (fsyncs == 0 || fsync_error != 0);
}

TEST(the_directory_of_the_file_is_written_out)
{
  char absolute[4096];

  CHECK(mkdir("mess", 0700) == 0 && mkdir("mess/12", 0700) == 0 && mkdir("todo", 0700) == 0);
  CHECK(writes_out("mess/12/3456", "mess/12"));   /* the file itself need not exist */
  CHECK(writes_out("todo/3456", "todo"));
  CHECK(writes_out("./3456", "."));
  CHECK(writes_out("mess/12/../3456", "mess"));
  CHECK(writes_out("mess//3456", "mess"));
  CHECK(getcwd(absolute, 200) != NULL);
  strcat(absolute, "/todo/3456");
  CHECK(writes_out(absolute, "todo"));
}

TEST(a_name_without_a_slash_is_in_the_current_directory)
{
  CHECK(writes_out("3456", "."));
  CHECK(writes_out("", "."));
  CHECK(mkdir("todo", 0700) == 0 && writes_out("todo", "."));   /* the directory's own name */
}

TEST(a_file_of_the_root_directory)
{
  CHECK(writes_out("/3456", "/"));
  CHECK(writes_out("//3456", "/"));
}

TEST(a_directory_that_is_not_there_or_none)
{
  int fd;

  CHECK(fails("nowhere/3456", ENOENT));
  fd = open("plain", O_WRONLY | O_CREAT, 0600);
  CHECK(fd != -1 && close(fd) == 0);
  CHECK(fails("plain/3456", ENOTDIR));   /* an fsync of the plain file would be a lie */
  CHECK(symlink("plain", "link") == 0 && fails("link/3456", ENOTDIR));
  CHECK(symlink("nowhere", "dangling") == 0 && fails("dangling/3456", ENOENT));
  CHECK(mkfifo("fifo", 0600) == 0 && fails("fifo/3456", ENOTDIR));   /* and does not wait for a writer */
}

TEST(a_directory_that_may_not_be_read)
{
  int status;
  pid_t pid;

  CHECK(mkdir("closed", 0300) == 0 && chown("closed", geteuid() ? geteuid() : 65534, (gid_t) -1) == 0);
  pid = fork();
  CHECK(pid != -1);
  if (pid == 0) {   /* root reads everything; and LeakSanitizer wants to end as it began */
    if (geteuid() == 0 && (chmod(".", 0755) != 0 || seteuid(65534) != 0))
      _exit(2);
    errno = 0;
    _exit(syncdir("closed/3456") != -1 || errno != EACCES || fsyncs != 0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

TEST(the_longest_directory_name)
{
  char path[600] = "";
  int n;

  for (n = 0; n < 255; ++n)
    strcat(path, n % 2 ? "/" : ".");   /* ././ ... ./. : 255 bytes that name this directory */
  CHECK(strlen(path) == 255);
  strcat(path, "/3456");
  CHECK(writes_out(path, "."));
  path[255] = 0;
  strcat(path, "//3456");   /* 256 bytes */
  CHECK(fails(path, ENAMETOOLONG) && fsyncs == 0);
  memset(path, 'd', 400);
  path[400] = 0;
  strcat(path, "/3456");
  CHECK(fails(path, ENAMETOOLONG) && fsyncs == 0);
  path[400] = 0;   /* a long file name in the current directory is not a long directory */
  CHECK(writes_out(path, "."));
}

TEST(a_failed_fsync_is_told_with_its_errno)
{
  CHECK(mkdir("todo", 0700) == 0);
  fsync_error = EIO;
  CHECK(fails("todo/3456", EIO) && fsyncs == 1);
  fsync_error = ENOSPC;
  CHECK(fails("todo/3456", ENOSPC) && fsyncs == 1);
  fsync_error = 0;
  CHECK(writes_out("todo/3456", "todo"));
}

TEST(an_interrupted_open_is_tried_again)
{
  CHECK(mkdir("todo", 0700) == 0);
  interrupted = 3;
  fsyncs = 0;
  CHECK(syncdir("todo/3456") == 0 && fsyncs == 1 && interrupted == 0);
}

static const struct test tests[] = {
  { "the_directory_of_the_file_is_written_out", the_directory_of_the_file_is_written_out },
  { "a_name_without_a_slash_is_in_the_current_directory", a_name_without_a_slash_is_in_the_current_directory },
  { "a_file_of_the_root_directory", a_file_of_the_root_directory },
  { "a_directory_that_is_not_there_or_none", a_directory_that_is_not_there_or_none },
  { "a_directory_that_may_not_be_read", a_directory_that_may_not_be_read },
  { "the_longest_directory_name", the_longest_directory_name },
  { "a_failed_fsync_is_told_with_its_errno", a_failed_fsync_is_told_with_its_errno },
  { "an_interrupted_open_is_tried_again", an_interrupted_open_is_tried_again },
};
MAIN(tests)
