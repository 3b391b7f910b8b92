/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What programs that confine themselves need of Landlock and seccomp: numbers as in linux/landlock.h, which may be older
 * than the kernel in a distribution, and the architecture whose system calls a filter knows.
 */
#ifndef CONFINE_H
#define CONFINE_H

#include <linux/audit.h>
#include <stdint.h>
#include <sys/syscall.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define RULESET_VERSION 1
#define RULE_PATH_BENEATH 1

#define FS_EXECUTE (UINT64_C(1) << 0)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_REMOVE_DIR (UINT64_C(1) << 4)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_DIR (UINT64_C(1) << 7)
#define FS_MAKE_REG (UINT64_C(1) << 8)
#define FS_FIRST (UINT64_C(0x1fff))       /* the rights of version 1, execution included */
#define FS_REFER (UINT64_C(1) << 13)      /* 2 */
#define FS_TRUNCATE (UINT64_C(1) << 14)   /* 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15)  /* 5 */
#define NET_TCP (UINT64_C(3))             /* 4: bind, connect */
#define SCOPED (UINT64_C(3))              /* 6: abstract sockets, signals */

#define READ (FS_READ_FILE | FS_READ_DIR)

/* Not aligned, as the kernel has it. */
struct path_beneath {
  uint64_t allowed;
  int32_t parent;
} __attribute__((packed));

/* Elsewhere there is no filter. */
#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined __riscv && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined __powerpc64__ && defined __LITTLE_ENDIAN__
#define ARCHITECTURE AUDIT_ARCH_PPC64LE
#elif defined __s390x__
#define ARCHITECTURE AUDIT_ARCH_S390X
#endif

#endif
