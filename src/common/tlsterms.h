/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What smtptls says of an established session (tlslink.h), "VERSION CIPHER NAME": OpenSSL's names of the version and of
 * the cipher, as in "TLSv1.3 TLS_AES_256_GCM_SHA384 mx.example.com", and the name that the client asked for, or "-".
 * qmail-smtpd has them in its environment as TLS_VERSION, TLS_CIPHER and TLS_NAME. The last one is a stranger's, and each
 * of them is a claim of the program that passes the session on. Pure; valid as gnu89 and as C99.
 */
#ifndef TLSTERMS_H
#define TLSTERMS_H

#define TLSTERMS_VERSION_MAX 16    /* characters: letters, digits and dots */
#define TLSTERMS_CIPHER_MAX 64     /* letters, digits, _ and - */
#define TLSTERMS_NAME_MAX 199      /* letters, digits, and any of - . _ */
#define TLSTERMS_MAX (TLSTERMS_VERSION_MAX + TLSTERMS_CIPHER_MAX + TLSTERMS_NAME_MAX + 2)

struct tlsterms {
  char version[TLSTERMS_VERSION_MAX + 1];   /* empty: the session is in plain text */
  char cipher[TLSTERMS_CIPHER_MAX + 1];
  char name[TLSTERMS_NAME_MAX + 1];         /* empty where the client asked for none */
};

/* Reads it. Returns 0, with each of them empty, unless the text is exactly as described above. */
extern int tlsterms_parse(struct tlsterms *t, const char *text);

#endif
