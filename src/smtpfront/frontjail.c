/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "confine.h"
#include "front.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* ---- Landlock ---- */

#define CHANGE (READ | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG)

/* What may be done below a path; one that is not there is allowed nothing. */
static int allow(int rules, const char *path, uint64_t access)
{
  struct path_beneath beneath = {access, -1};
  long done;
  int error;

  beneath.parent = open(path, O_PATH | O_CLOEXEC);
  if (beneath.parent == -1)
    return errno == ENOENT || errno == EACCES;
  done = syscall(SYS_landlock_add_rule, rules, RULE_PATH_BENEATH, &beneath, 0);
  error = errno;
  close(beneath.parent);
  errno = error;
  return done == 0;
}

/* The same for a directory that may be removed and made again while this process runs. */
static int allow_place(struct front *f, int rules, const char *path, uint64_t access)
{
  struct front_place *place = &f->place[f->places_n];
  struct stat st;

  if (stat(path, &st) == 0) {
    place->there = 1;
    place->device = st.st_dev;
    place->inode = st.st_ino;
  }
  place->path = path;
  ++f->places_n;
  return allow(rules, path, access);
}

const char *frontjail_left(const struct front *f)
{
  const struct front_place *place;
  struct stat st;
  int i;

  for (i = 0; i < f->places_n; ++i) {
    place = &f->place[i];
    if (stat(place->path, &st) == 0 && (!place->there || st.st_dev != place->device || st.st_ino != place->inode))
      return place->path;
  }
  return 0;
}

const char *frontjail_directory(char *directory, size_t size, const char *path)
{
  char *slash;

  snprintf(directory, size, "%s", path);
  slash = strrchr(directory, '/');
  if (!slash)
    return ".";
  *slash = 0;
  return directory;
}

/* smtptls's file that says whether it takes sessions is beside its socket. */
static int allow_tls(struct front *f, int rules)
{
  static char directory[TLSLINK_PATH_MAX];   /* the place is looked at later, too */

  return allow_place(f, rules, frontjail_directory(directory, sizeof directory, f->controls.tls_path), READ);
}

/* Returns 1 when it is done, 0 with errno, -1 when the kernel lacks it. */
static int enter_landlock(struct front *f, const char *rules_directory)
{
  long version = syscall(SYS_landlock_create_ruleset, (void *) 0, 0, RULESET_VERSION);
  uint64_t handled = FS_FIRST;
  int rules;
  int done;
  int error;

  if (version <= 0)
    return errno == ENOSYS || errno == EOPNOTSUPP ? -1 : 0;
  if (version >= 2)
    handled |= FS_REFER;
  if (version >= 3)
    handled |= FS_TRUNCATE;
  rules = (int) syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
  if (rules == -1)
    return 0;
  done = allow_place(f, rules, rules_directory, READ) && allow(rules, "/etc", READ)
         && allow_place(f, rules, f->controls.directory, READ)
         && allow_place(f, rules, "/var/lib/mailgate", READ)   /* validrcptto.cdb leads to recipients in it, which may be made later */
         && allow(rules, SUFFIXLIST_DIRECTORY, READ)
         && allow(rules, "/run/systemd/resolve", READ) && allow(rules, "/run/resolvconf", READ)
         && (!f->controls.tls_path || allow_tls(f, rules))
         && (!*f->greylist_directory || allow_place(f, rules, f->greylist_directory, CHANGE))
         && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
  error = errno;
  close(rules);
  errno = error;
  return done;
}

/* ---- seccomp ---- */

#ifdef ARCHITECTURE
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) offsetof(struct seccomp_data, field))
#define JUMP_UNLESS(value, steps) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) (value), 0, (uint8_t) (steps))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define EPERM_IS_SAID (SECCOMP_RET_ERRNO | EPERM)
#define REFUSE(call) JUMP_UNLESS(call, 1), RETURN(EPERM_IS_SAID)
/* The half of an argument of 64 bits that holds a descriptor. */
#define HALF (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4u : 0u)
#define PORT_STEPS(n) (3 + 2 * (n))   /* of one call */

/* One answer to a call for the descriptors of the port, another for all others. Returns the next free place. */
static struct sock_filter *for_the_port(struct sock_filter *next, const struct front *f, long call, uint32_t for_them,
                                        uint32_t for_others)
{
  int i;

  *next++ = (struct sock_filter) JUMP_UNLESS(call, PORT_STEPS(f->listening_n) - 1);
  *next++ = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) offsetof(struct seccomp_data, args) + HALF);
  for (i = 0; i < f->listening_n; ++i) {
    *next++ = (struct sock_filter) JUMP_UNLESS(f->listening[i].fd, 1);
    *next++ = (struct sock_filter) RETURN(for_them);
  }
  *next++ = (struct sock_filter) RETURN(for_others);
  return next;
}

/* Only the port may be listened at (when it was closed for a while), and nothing else can have its descriptors. */
static int enter_seccomp(const struct front *f)
{
  static const struct sock_filter calls[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
#ifdef __x86_64__
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),   /* x32: other numbers for the same calls */
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
#endif
    REFUSE(SYS_execve),
    REFUSE(SYS_execveat),
#ifdef SYS_fork
    REFUSE(SYS_fork),
#endif
#ifdef SYS_vfork
    REFUSE(SYS_vfork),
#endif
    REFUSE(SYS_clone),
    REFUSE(SYS_clone3),
    REFUSE(SYS_ptrace),
    REFUSE(SYS_process_vm_readv),
    REFUSE(SYS_process_vm_writev),
    REFUSE(SYS_kill),
    REFUSE(SYS_tkill),
    REFUSE(SYS_bind),
#ifdef SYS_dup2
    REFUSE(SYS_dup2),
#endif
    REFUSE(SYS_dup3),
    REFUSE(SYS_close_range),
    REFUSE(SYS_mount),
    REFUSE(SYS_unshare),
    REFUSE(SYS_setns),
    REFUSE(SYS_bpf),
    REFUSE(SYS_perf_event_open),
    REFUSE(SYS_io_uring_setup),
    REFUSE(SYS_userfaultfd),
    REFUSE(SYS_keyctl),
    REFUSE(SYS_add_key),
  };
  struct sock_filter filter[sizeof calls / sizeof *calls + 2 * PORT_STEPS(FRONT_LISTENING_MAX) + 1];
  struct sock_filter *next = filter;
  struct sock_fprog program = {0, filter};

  memcpy(next, calls, sizeof calls);
  next += sizeof calls / sizeof *calls;
  next = for_the_port(next, f, SYS_listen, SECCOMP_RET_ALLOW, EPERM_IS_SAID);
  next = for_the_port(next, f, SYS_close, EPERM_IS_SAID, SECCOMP_RET_ALLOW);
  *next++ = (struct sock_filter) RETURN(SECCOMP_RET_ALLOW);
  program.len = (unsigned short) (next - filter);
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0 ? 1 : errno == EINVAL ? -1 : 0;
}
#else
static int enter_seccomp(const struct front *f)
{
  (void) f;
  return -1;
}
#endif

int frontjail(struct front *f, const char *rules_directory, const char **missing)
{
  int landlock;
  int seccomp;

  *missing = 0;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
    return 0;
  landlock = enter_landlock(f, rules_directory);
  if (landlock == 0)
    return 0;
  seccomp = enter_seccomp(f);
  if (landlock == -1)
    *missing = "Landlock";
  if (seccomp == -1)
    *missing = "seccomp";
  return seccomp != 0;
}
