/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/mman.h>
#include "tickets.h"

#define IV_BYTES 16

static struct tickets *used;   /* OpenSSL's callback has no argument of ours */

static int make_key(struct tickets *t, unsigned number, time_t now)
{
  struct ticket_key *key = &t->key[number % 3];

  if (RAND_bytes(key->name, sizeof key->name) != 1 || RAND_priv_bytes(key->cipher, sizeof key->cipher) != 1
      || RAND_priv_bytes(key->mac, sizeof key->mac) != 1)
    return 0;
  t->made = now;
  atomic_store(&t->current, number);
  return 1;
}

struct tickets *tickets_make(time_t now)
{
  struct tickets *t = mmap(0, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  if (t == MAP_FAILED)
    return 0;
  madvise(t, sizeof *t, MADV_DONTDUMP);
  return make_key(t, 3, now) ? t : 0;   /* 3: the one before is number 2, which nobody has a ticket of */
}

int tickets_rotate(struct tickets *t, time_t now)
{
  if (now >= t->made && now - t->made < TICKETS_SECONDS)
    return 1;
  return make_key(t, atomic_load(&t->current) + 1, now);
}

static int prepare(const struct ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
  unsigned char secret[TICKETS_KEY];
  char digest[] = "SHA256";
  OSSL_PARAM parameters[3];
  int done;

  memcpy(secret, key->mac, sizeof secret);
  parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof secret);
  parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
  parameters[2] = OSSL_PARAM_construct_end();
  done = EVP_MAC_CTX_set_params(mac, parameters) == 1
         && EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), 0, key->cipher, iv, encrypt) == 1;
  OPENSSL_cleanse(secret, sizeof secret);
  return done;
}

/* Returns -1: the handshake fails; 0: no ticket; 1: good; 2: good, and to be renewed. */
static int on_ticket(SSL *session, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
  unsigned current = atomic_load(&used->current);
  const struct ticket_key *key = &used->key[current % 3];

  (void) session;
  if (encrypt) {
    memcpy(name, key->name, TICKETS_NAME);
    return RAND_bytes(iv, IV_BYTES) == 1 && prepare(key, iv, cipher, mac, 1) ? 1 : -1;
  }
  if (CRYPTO_memcmp(name, key->name, TICKETS_NAME) == 0)
    return prepare(key, iv, cipher, mac, 0) ? 1 : -1;
  key = &used->key[(current - 1) % 3];
  if (CRYPTO_memcmp(name, key->name, TICKETS_NAME) == 0)
    return prepare(key, iv, cipher, mac, 0) ? 2 : -1;
  return 0;
}

void tickets_use(struct tickets *t, SSL_CTX *context)
{
  used = t;
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
  SSL_CTX_set_timeout(context, 2 * TICKETS_SECONDS);
}
