/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "remotetls.h"

#define WHY_MAX 300

static struct {
  SSL *ssl;
  SSL_CTX *context;
  int fd;
  char why[WHY_MAX];
  char session[128];
} tls = {0, 0, -1, "", ""};

static struct {
  size_t n;
  struct {
    unsigned long length;
    unsigned char data[REMOTETLS_RECORD_MAX];
  } record[REMOTETLS_RECORDS_MAX];
} tlsa;

const char *remotetls_why(void)
{
  return tls.why;
}

int remotetls_on(void)
{
  return tls.ssl != 0;
}

const char *remotetls_session(void)
{
  return tls.ssl ? tls.session : "none";
}

static int fail(const char *what, const char *detail)
{
  snprintf(tls.why, sizeof tls.why, "%s%s%s", what, detail && *detail ? ": " : "", detail ? detail : "");
  return 0;
}

/* The same with OpenSSL's own word for its first error, the cause of the others. */
static int fail_by_openssl(const char *what)
{
  const char *reason = ERR_reason_error_string(ERR_peek_error());

  fail(what, reason);
  ERR_clear_error();
  return 0;
}

/* --- the policy --- */

/* Reads a whole regular file. Returns its bytes, which the caller frees, or 0. */
static char *read_file(const char *path, size_t *length)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  char *bytes = 0;
  ssize_t got = 0;

  *length = 0;
  if (fd == -1)
    return 0;
  if (fstat(fd, &st) == -1)
    goto failed;
  errno = EINVAL;
  if (!S_ISREG(st.st_mode) || st.st_size > TLSPOLICY_FILE_MAX)
    goto failed;
  bytes = malloc((size_t) st.st_size + 1);
  if (!bytes)
    goto failed;
  while (*length <= (size_t) st.st_size) {
    got = read(fd, bytes + *length, (size_t) st.st_size + 1 - *length);
    if (got <= 0)
      break;
    *length += (size_t) got;
  }
  if (got != 0 || *length != (size_t) st.st_size)
    goto failed;
  close(fd);
  return bytes;

failed:
  got = errno;
  free(bytes);
  close(fd);
  errno = (int) got;
  return 0;
}

int remotetls_policy(struct tlspolicy *policy, const char *domain, size_t length)
{
  char where[64];
  size_t bytes;
  size_t line;
  char *file = read_file(REMOTETLS_FILE, &bytes);

  if (!file)
    return fail("cannot read " REMOTETLS_FILE, strerror(errno));
  line = tlspolicy_find(policy, file, bytes, domain, length);
  free(file);
  if (!line)
    return 1;
  snprintf(where, sizeof where, "line %lu", (unsigned long) line);
  return fail(REMOTETLS_FILE " is not valid", where);
}

/* --- waiting --- */

static long long now_ms(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Waits for what OpenSSL wants of the socket. Returns 1, 0: the time is over, -1: it wants nothing, the call has failed. */
static int wait_for(int result, long long deadline_ms)
{
  struct pollfd one;
  int wanted = SSL_get_error(tls.ssl, result);
  long long left;
  int ready;

  if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE)
    return -1;
  one.fd = tls.fd;
  one.events = wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
  for (;;) {
    left = deadline_ms - now_ms();
    if (left <= 0)
      return 0;
    ready = poll(&one, 1, left > 60000 ? 60000 : (int) left);
    if (ready > 0)
      return 1;
    if (ready == -1 && errno != EINTR)
      return -1;
  }
}

static long long after(int seconds)
{
  return now_ms() + 1000LL * (seconds > 0 ? seconds : 0);
}

/* Keeps why a session ended: OpenSSL's error, else the socket's. */
static void keep_why(int result, int system_error)
{
  if (ERR_peek_error())
    fail_by_openssl("TLS");
  else if (SSL_get_error(tls.ssl, result) == SSL_ERROR_SYSCALL && system_error)
    fail("TLS", strerror(system_error));
}

int remotetls_read(int seconds, char *buffer, int length)
{
  long long deadline = after(seconds);
  int result;
  int ready;

  for (;;) {
    ERR_clear_error();
    errno = 0;
    result = SSL_read(tls.ssl, buffer, length);
    if (result > 0)
      return result;
    if (SSL_get_error(tls.ssl, result) == SSL_ERROR_ZERO_RETURN)
      return 0;
    ready = wait_for(result, deadline);
    if (ready == -1)
      keep_why(result, errno);
    if (ready == 0)
      errno = ETIMEDOUT;
    if (ready <= 0)
      return -1;
  }
}

int remotetls_write(int seconds, const char *buffer, int length)
{
  long long deadline = after(seconds);
  int result;
  int ready;

  for (;;) {
    ERR_clear_error();
    errno = 0;
    result = SSL_write(tls.ssl, buffer, length);
    if (result > 0)
      return result;
    ready = wait_for(result, deadline);
    if (ready == -1)
      keep_why(result, errno);
    if (ready == 0)
      errno = ETIMEDOUT;
    if (ready <= 0)
      return -1;
  }
}

/* --- the handshake --- */

/* Returns a name without a dot at its end, in its own place. */
static const char *server_name(const char *host)
{
  static char name[TLSPOLICY_NAME_MAX + 1];
  size_t length = strlen(host);

  while (length && host[length - 1] == '.')
    --length;
  if (!length || length > TLSPOLICY_NAME_MAX)
    return "";
  memcpy(name, host, length);
  name[length] = 0;
  return tlspolicy_is_address(name) ? "" : name;
}

/* The name to ask for: the first whole name of the policy, else the host's. */
static const char *asked_name(const struct tlspolicy *policy, const char *host)
{
  size_t i;

  for (i = 0; i < policy->names; ++i)
    if (policy->name[i][0] != '.' && !tlspolicy_is_address(policy->name[i]))
      return policy->name[i];
  return host;
}

static int has_name(X509 *certificate, const char *name)
{
  if (!*name)
    return 0;
  if (tlspolicy_is_address(name))
    return X509_check_ip_asc(certificate, name, 0) == 1;
  return X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, 0) == 1;
}

/* Whether the certificate has one of the names that the policy takes. */
static int right_name(const struct tlspolicy *policy, const char *domain, const char *host, const char *address)
{
  X509 *certificate = SSL_get1_peer_certificate(tls.ssl);
  char below[TLSPOLICY_NAME_MAX + 2];
  size_t i;
  int right = 0;

  if (!certificate)
    return 0;
  for (i = 0; i < policy->names && !right; ++i)
    right = has_name(certificate, policy->name[i]);
  if (!policy->names && policy->level == TLSPOLICY_SECURE) {
    snprintf(below, sizeof below, ".%s", domain);
    right = strlen(domain) <= TLSPOLICY_NAME_MAX && (has_name(certificate, domain) || has_name(certificate, below));
  } else if (!policy->names) {
    right = has_name(certificate, *host ? host : address);
  }
  X509_free(certificate);
  return right;
}

static int make_context(const struct tlspolicy *policy)
{
  tls.context = SSL_CTX_new(TLS_client_method());
  if (!tls.context || SSL_CTX_set_min_proto_version(tls.context, TLS1_2_VERSION) != 1)
    return fail_by_openssl("OpenSSL cannot be used");
  SSL_CTX_set_options(tls.context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(tls.context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(tls.context, SSL_SESS_CACHE_OFF);
  if (policy->level == TLSPOLICY_DANE && SSL_CTX_dane_enable(tls.context) != 1)
    return fail_by_openssl("DANE cannot be used");
  if (policy->level != TLSPOLICY_VERIFY && policy->level != TLSPOLICY_SECURE)
    return 1;
  SSL_CTX_set_verify(tls.context, SSL_VERIFY_PEER, 0);
  if (!policy->cafile[0])
    /* the directory alone: one is read when it is asked for, not all of them for each mail */
    return SSL_CTX_set_default_verify_dir(tls.context) == 1 ? 1 : fail_by_openssl("no authorities of the system");
  /* one that the site names may be the server's own, or one between */
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(tls.context), X509_V_FLAG_PARTIAL_CHAIN);
  if (SSL_CTX_load_verify_file(tls.context, policy->cafile) != 1)
    return fail_by_openssl("cannot use the authorities of " REMOTETLS_FILE);
  return 1;
}

static int make_session(int fd, const char *name)
{
  int flags = fcntl(fd, F_GETFL);

  tls.ssl = SSL_new(tls.context);
  if (!tls.ssl || SSL_set_fd(tls.ssl, fd) != 1 || flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
    return fail_by_openssl("OpenSSL cannot be used");
  tls.fd = fd;
  if (*name && SSL_set_tlsext_host_name(tls.ssl, name) != 1)
    return fail_by_openssl("the host's name cannot be asked for");
  return 1;
}

int remotetls_record(const unsigned char *data, unsigned long length)
{
  if (tlsa.n == REMOTETLS_RECORDS_MAX || length > REMOTETLS_RECORD_MAX)
    return 0;
  memcpy(tlsa.record[tlsa.n].data, data, length);
  tlsa.record[tlsa.n++].length = length;
  return 1;
}

void remotetls_forget_records(void)
{
  tlsa.n = 0;
}

/*
 * Lets the records decide: those for an authority or a certificate of DANE (RFC 7672, 3.1), of a form that OpenSSL
 * knows. Where none is, TLS is needed all the same, with any certificate.
 */
static int use_records(const char *domain, const char *host)
{
  const unsigned char *data;
  size_t usable = 0;
  size_t i;

  if (SSL_dane_enable(tls.ssl, host) <= 0 || (*domain && SSL_add1_host(tls.ssl, domain) != 1))
    return fail_by_openssl("DANE cannot be used");
  SSL_set_hostflags(tls.ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  SSL_dane_set_flags(tls.ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
  for (i = 0; i < tlsa.n; ++i) {
    data = tlsa.record[i].data;
    if (tlsa.record[i].length > 3 && (data[0] == 2 || data[0] == 3))
      usable += SSL_dane_tlsa_add(tls.ssl, data[0], data[1], data[2], data + 3, tlsa.record[i].length - 3) > 0;
  }
  ERR_clear_error();
  if (usable)
    SSL_set_verify(tls.ssl, SSL_VERIFY_PEER, 0);
  return 1;
}

static int shake_hands(int seconds)
{
  long long deadline = after(seconds < REMOTETLS_HANDSHAKE_SECONDS ? seconds : REMOTETLS_HANDSHAKE_SECONDS);
  long verified;
  int result;
  int ready;

  for (;;) {
    ERR_clear_error();
    errno = 0;
    result = SSL_connect(tls.ssl);
    if (result == 1)
      return 1;
    ready = wait_for(result, deadline);
    if (ready == 0)
      return fail("no handshake in time", 0);
    if (ready == -1)
      break;
  }
  verified = SSL_get_verify_result(tls.ssl);
  if (verified != X509_V_OK && SSL_get_verify_mode(tls.ssl) != SSL_VERIFY_NONE)
    return fail("the certificate is not valid", X509_verify_cert_error_string(verified));
  if (ERR_peek_error())
    return fail_by_openssl("the handshake failed");
  return fail("the handshake failed", errno ? strerror(errno) : "the connection was closed");
}

static void forget(void)
{
  SSL_free(tls.ssl);
  SSL_CTX_free(tls.context);
  tls.ssl = 0;
  tls.context = 0;
  tls.fd = -1;
  ERR_clear_error();
}

int remotetls_begin(int fd, const struct tlspolicy *policy, const char *domain, const char *host, const char *address, int seconds)
{
  char known[TLSPOLICY_NAME_MAX + 1];

  tls.why[0] = 0;
  strcpy(known, server_name(host));
  if (!make_context(policy) || !make_session(fd, server_name(asked_name(policy, host))) ||
      (policy->level == TLSPOLICY_DANE && !use_records(domain, known)) || !shake_hands(seconds)) {
    forget();
    return 0;
  }
  if ((policy->level == TLSPOLICY_VERIFY || policy->level == TLSPOLICY_SECURE) && !right_name(policy, domain, known, address)) {
    fail("the certificate is of another name", 0);
    forget();
    return 0;
  }
  snprintf(tls.session, sizeof tls.session, "%s/%s", SSL_get_version(tls.ssl), SSL_get_cipher_name(tls.ssl));
  return 1;
}

void remotetls_refuse(const char *why)
{
  fail(why, 0);
}

void remotetls_end(void)
{
  if (!tls.ssl)
    return;
  SSL_shutdown(tls.ssl);
  forget();
}
