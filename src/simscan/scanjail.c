/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "confine.h"
#include "scanjail.h"

#define MEMORY_BYTES (512LL << 20)
#define DESCRIPTORS 64
#define PROCESSES 64

/* ---- Landlock ---- */

#define CHANGE (READ | FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG)

struct ruleset {
  uint64_t fs;
  uint64_t net;
  uint64_t scoped;
};

static int landlock_version(void)
{
  long version = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);

  return version > 0 ? (int) version : 0;
}

/* Allows these operations below a path; a path that does not exist is skipped. */
static int allow(int rules, uint64_t handled, const char *path, uint64_t access)
{
  struct path_beneath beneath = {access & handled, -1};
  int error;
  long done;

  beneath.parent = open(path, O_PATH | O_CLOEXEC);
  if (beneath.parent == -1) return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
  done = syscall(SYS_landlock_add_rule, rules, RULE_PATH_BENEATH, &beneath, 0);
  error = errno;
  close(beneath.parent);
  errno = error;
  return done == 0 ? 0 : -1;
}

static int allow_all(int rules, uint64_t handled, const struct scanjail *jail, int script)
{
  static const char *const libraries[] = {"/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local/lib", "/lib", "/lib64"};
  static const char *const programs[] = {"/usr", "/bin", "/sbin"};
  static const char *const sources[] = {"/dev/zero", "/dev/urandom", "/dev/random"};
  size_t i;

  if (allow(rules, handled, jail->directory, CHANGE) == -1) return -1;
  if (allow(rules, handled, jail->program, FS_EXECUTE | FS_READ_FILE) == -1) return -1;
  for (i = 0; i < sizeof libraries / sizeof *libraries; ++i)
    if (allow(rules, handled, libraries[i], READ | FS_EXECUTE) == -1) return -1;
  for (i = 0; script && i < sizeof programs / sizeof *programs; ++i)
    if (allow(rules, handled, programs[i], READ | FS_EXECUTE) == -1) return -1;
  for (i = 0; i < sizeof sources / sizeof *sources; ++i)
    if (allow(rules, handled, sources[i], FS_READ_FILE) == -1) return -1;
  if (allow(rules, handled, "/etc/ld.so.cache", FS_READ_FILE) == -1) return -1;
  return allow(rules, handled, "/dev/null", FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE);
}

static int enter_landlock(const struct scanjail *jail, int script)
{
  int version = landlock_version();
  struct ruleset handled = {FS_FIRST, 0, 0};
  size_t size = version >= 6 ? sizeof handled : version >= 4 ? offsetof(struct ruleset, scoped)
                                                             : offsetof(struct ruleset, net);
  int rules;
  int error;
  int done;

  if (version == 0) return 0;
  if (version >= 2) handled.fs |= FS_REFER;
  if (version >= 3) handled.fs |= FS_TRUNCATE;
  if (version >= 5) handled.fs |= FS_IOCTL_DEV;
  if (version >= 4) handled.net = NET_TCP;
  if (version >= 6) handled.scoped = SCOPED;
  rules = (int) syscall(SYS_landlock_create_ruleset, &handled, size, 0);
  if (rules == -1) return -1;
  done = allow_all(rules, handled.fs, jail, script);
  if (done == 0) done = (int) syscall(SYS_landlock_restrict_self, rules, 0);
  error = errno;
  close(rules);
  errno = error;
  return done;
}

/* ---- seccomp ---- */

/* System calls that no program that unpacks a message needs: sockets, other processes, name spaces, the kernel's own
 * machinery. */
static const int forbidden[] = {
  SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept4, SYS_sendmsg, SYS_sendto,
#ifdef SYS_accept
  SYS_accept,
#endif
#ifdef SYS_sendmmsg
  SYS_sendmmsg,
#endif
  SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_setsid, SYS_setpgid,
#ifdef SYS_pidfd_open
  SYS_pidfd_open,
#endif
#ifdef SYS_pidfd_getfd
  SYS_pidfd_getfd,
#endif
#ifdef SYS_pidfd_send_signal
  SYS_pidfd_send_signal,
#endif
  SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot,
  SYS_keyctl, SYS_add_key, SYS_request_key, SYS_perf_event_open, SYS_bpf, SYS_userfaultfd, SYS_memfd_create,
  SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_fanotify_init, SYS_inotify_init1, SYS_personality,
  SYS_shmget, SYS_shmat, SYS_msgget, SYS_semget, SYS_mq_open, SYS_init_module, SYS_finit_module, SYS_kexec_load,
#ifdef SYS_io_uring_setup
  SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
#else
  425, 426, 427,
#endif
};

/* The same for a program that is not a script: it never forks, and never executes another program. */
static const int forbidden_to_programs[] = {
#ifdef SYS_fork
  SYS_fork, SYS_vfork,
#endif
  SYS_clone, 435 /* clone3 */, SYS_execveat,
};

#ifdef ARCHITECTURE

#define COUNT(array) (sizeof (array) / sizeof *(array))
#define LONGEST (8 + 2 * (COUNT(forbidden) + COUNT(forbidden_to_programs)))

static size_t add(struct sock_filter *filter, size_t n, uint16_t code, uint32_t k, uint8_t jump, uint8_t otherwise)
{
  struct sock_filter one = {code, jump, otherwise, k};

  filter[n] = one;
  return n + 1;
}

static size_t refuse_each(struct sock_filter *filter, size_t n, const int *calls, size_t count)
{
  size_t i;

  for (i = 0; i < count; ++i) {
    n = add(filter, n, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) calls[i], 0, 1);
    n = add(filter, n, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
  }
  return n;
}

static int enter_seccomp(int script)
{
  struct sock_filter filter[LONGEST];
  struct sock_fprog program = {0, filter};
  size_t n = 0;

  /* the calls of another architecture have other numbers: all are denied */
  n = add(filter, n, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
  n = add(filter, n, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  n = add(filter, n, BPF_RET | BPF_K, SECCOMP_RET_KILL, 0, 0);
  n = add(filter, n, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
  n = add(filter, n, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
  n = add(filter, n, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
  n = refuse_each(filter, n, forbidden, COUNT(forbidden));
  if (!script) n = refuse_each(filter, n, forbidden_to_programs, COUNT(forbidden_to_programs));
  n = add(filter, n, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
  program.len = (unsigned short) n;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0) return 0;
  return errno == EINVAL || errno == ENOSYS ? 0 : -1; /* a kernel without seccomp */
}

static int has_seccomp(void)
{
  /* a kernel with seccomp reads the filter first, and there is no filter at this address */
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) == -1 && errno == EFAULT;
}

#else

static int enter_seccomp(int script)
{
  (void) script;
  (void) forbidden;
  (void) forbidden_to_programs;
  return 0;
}

static int has_seccomp(void)
{
  return 0;
}

#endif

/* ---- all limits together ---- */

/* No limit may be raised above its present value. */
static int limit(int what, long long value)
{
  struct rlimit now;
  rlim_t wanted = (rlim_t) value;

  if (getrlimit((__rlimit_resource_t) what, &now) == -1) return -1;
  if (now.rlim_max != RLIM_INFINITY && now.rlim_max < wanted) wanted = now.rlim_max;
  now.rlim_cur = now.rlim_cur != RLIM_INFINITY && now.rlim_cur < wanted ? now.rlim_cur : wanted;
  now.rlim_max = wanted;
  return setrlimit((__rlimit_resource_t) what, &now);
}

static int is_script(const char *program)
{
  char begin[2] = {0, 0};
  int fd = open(program, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd == -1 ? 0 : read(fd, begin, sizeof begin);

  if (fd != -1) close(fd);
  return got == (ssize_t) sizeof begin && begin[0] == '#' && begin[1] == '!';
}

int scanjail_enter(const struct scanjail *jail)
{
  int script = is_script(jail->program);

  if (limit(RLIMIT_CPU, jail->seconds) == -1 || limit(RLIMIT_FSIZE, jail->file_bytes) == -1) return -1;
  if (limit(RLIMIT_NOFILE, DESCRIPTORS) == -1 || limit(RLIMIT_AS, MEMORY_BYTES) == -1) return -1;
  if (limit(RLIMIT_NPROC, PROCESSES) == -1 || limit(RLIMIT_CORE, 0) == -1) return -1;
  return enter_landlock(jail, script) == -1 ? -1 : enter_seccomp(script);
}

const char *scanjail_words(char *text, size_t size)
{
  int version = landlock_version();
  const char *seccomp = has_seccomp() ? "seccomp" : "no seccomp";

  if (version > 0) snprintf(text, size, "ripmime is confined by Landlock (version %d), %s", version, seccomp);
  else snprintf(text, size, "ripmime is not confined by Landlock, which this kernel lacks; %s", seccomp);
  return text;
}
