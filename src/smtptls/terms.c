/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "terms.h"

#define PATH_BYTES 512

static const char *const names[2 * TERMS_PAIRS] = {"certificate.pem", "key.pem", "certificate-2.pem", "key-2.pem"};

int terms_changed(struct terms_identity *identity, const char *directory)
{
  struct terms_identity now;
  char path[PATH_BYTES];
  struct stat st;
  int changed;
  int i;

  memset(&now, 0, sizeof now);
  for (i = 0; i < 2 * TERMS_PAIRS; ++i) {
    snprintf(path, sizeof path, "%s/%s", directory, names[i]);
    if (stat(path, &st) == -1)
      continue;
    now.file[i].device = st.st_dev;
    now.file[i].inode = st.st_ino;
    now.file[i].size = st.st_size;
    now.file[i].changed = st.st_ctim;
  }
  changed = memcmp(&now, identity, sizeof now) != 0;
  *identity = now;
  return changed;
}

static int fail(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(char *why, const char *format, ...)
{
  unsigned long error = ERR_peek_last_error();
  const char *reason = error ? ERR_reason_error_string(error) : 0;
  va_list arguments;
  size_t len;

  va_start(arguments, format);
  vsnprintf(why, TERMS_WHY_MAX, format, arguments);
  va_end(arguments);
  len = strlen(why);
  if (reason)
    snprintf(why + len, TERMS_WHY_MAX - len, ": %s", reason);
  ERR_clear_error();
  return 0;
}

static time_t seconds_of(const ASN1_TIME *time)
{
  struct tm parts;

  return time && ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0;
}

static int load_pair(struct terms *t, const char *directory, const char *certificate, const char *key, char *why)
{
  char path[PATH_BYTES];
  const X509 *loaded;
  time_t from;
  time_t to;

  snprintf(path, sizeof path, "%s/%s", directory, certificate);
  if (SSL_CTX_use_certificate_chain_file(t->context, path) != 1)
    return fail(why, "cannot use %.200s", path);
  snprintf(path, sizeof path, "%s/%s", directory, key);
  if (SSL_CTX_use_PrivateKey_file(t->context, path, SSL_FILETYPE_PEM) != 1)
    return fail(why, "cannot use %.200s with its certificate", path);
  if (SSL_CTX_check_private_key(t->context) != 1)
    return fail(why, "%.200s is not the key of %s", path, certificate);
  loaded = SSL_CTX_get0_certificate(t->context);
  from = seconds_of(X509_get0_notBefore(loaded));
  to = seconds_of(X509_get0_notAfter(loaded));
  if (from > t->not_before)
    t->not_before = from;
  if (to < t->not_after)
    t->not_after = to;
  return 1;
}

static int is_there(const char *directory, const char *name)
{
  char path[PATH_BYTES];

  snprintf(path, sizeof path, "%s/%s", directory, name);
  return access(path, F_OK) == 0;
}

static int load(struct terms *t, const char *directory, int least_version, char *why)
{
  int i;

  if (SSL_CTX_set_min_proto_version(t->context, least_version) != 1)
    return fail(why, "the version is not known");
  SSL_CTX_set_options(t->context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  /* A client that sends its end without TLS's own still hears the last reply: SMTP says itself where a message ends. */
  SSL_CTX_set_options(t->context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(t->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(t->context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(t->context, 1);
  SSL_CTX_set_dh_auto(t->context, 1);
  SSL_CTX_set_session_id_context(t->context, (const unsigned char *) "smtptls", 7);
  for (i = 0; i < 2 * TERMS_PAIRS; i += 2) {
    if (i && !is_there(directory, names[i]) && !is_there(directory, names[i + 1]))
      continue;
    if (!load_pair(t, directory, names[i], names[i + 1], why))
      return 0;
  }
  return 1;
}

int terms_load(struct terms *t, const char *directory, int least_version, char *why)
{
  struct terms made = {SSL_CTX_new(TLS_server_method()), 0, INT64_MAX};

  if (!made.context)
    return fail(why, "no memory for OpenSSL");
  if (!load(&made, directory, least_version, why)) {
    SSL_CTX_free(made.context);
    return 0;
  }
  SSL_CTX_free(t->context);
  *t = made;
  return 1;
}
