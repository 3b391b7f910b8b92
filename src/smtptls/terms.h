/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What smtptls speaks with: certificates and keys of a directory, and its choice of versions and ciphers.
 */
#ifndef TERMS_H
#define TERMS_H

#include <openssl/ssl.h>
#include <sys/types.h>
#include <time.h>

#define TERMS_PAIRS 2            /* one of ECDSA and one of RSA */
#define TERMS_WHY_MAX 300

/* Each pair is two files of PEM: certificate.pem, with the chain behind it, and key.pem; or certificate-2.pem and
 * key-2.pem. The first has to be there. */
struct terms_identity {
  struct {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
  } file[2 * TERMS_PAIRS];
};

struct terms {
  SSL_CTX *context;
  time_t not_before;             /* from when to when all of its certificates are valid */
  time_t not_after;
};

/* Which files are there now. Returns whether they are others than before. */
extern int terms_changed(struct terms_identity *identity, const char *directory);

/* Loads all of it. Returns 0 and the reason, and leaves *t as it is: what was loaded before goes on. */
extern int terms_load(struct terms *t, const char *directory, int least_version, char *why);

#endif
