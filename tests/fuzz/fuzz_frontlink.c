/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whatever smtpfront writes before a session: a line of terms is read as it would be written, or not at all; no term has
 * a character that ends a variable or a word of the log, and what is not a line of terms is left alone.
 * fuzz-length: 600
 */
#include "fuzz.h"
#include "frontlink.h"

const char *const fuzz_words[] = {
  "TLS ", "TLSv1.3 ", "TLSv1.2 ", "TLS_AES_256_GCM_SHA384 ", "ECDHE-RSA-AES256-GCM-SHA384 ", "-", "mx.example.com", "\n", "\r", " ",
  "=", "/", "MGH1", "TLS TLSv1.3 X -\nMGH1", 0,
};

static void check_word(const char *text, size_t most)
{
  HOLD(strlen(text) <= most && text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct tlsterms terms;
  char out[FRONTLINK_TLS_MAX];
  char *bytes;
  int len;

  if (!size)
    return 0;
  bytes = fuzz_bytes(size);
  memcpy(bytes, data, size);
  len = frontlink_tls_read(&terms, bytes, size);
  check_word(terms.version, TLSTERMS_VERSION_MAX);
  check_word(terms.cipher, TLSTERMS_CIPHER_MAX);
  check_word(terms.name, TLSTERMS_NAME_MAX);
  if (len > 0)
    HOLD((size_t) len <= size && frontlink_tls_write(out, &terms) == (size_t) len && memcmp(out, bytes, (size_t) len) == 0);
  else
    HOLD(!terms.version[0] && !terms.cipher[0] && !terms.name[0]);
  if (len == 0)
    HOLD(size < strlen(FRONTLINK_TLS) || memcmp(bytes, FRONTLINK_TLS, strlen(FRONTLINK_TLS)) != 0);
  free(bytes);
  return 0;
}
