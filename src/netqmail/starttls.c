/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "refusal.h"
#include "smtpreply.h"
#include "starttls.h"
#include "tlslink.h"
#include "tlsterms.h"
#include "unshared.h"

#define PATIENCE_MS 2000   /* above the time that smtptls has for a handshake */

static struct {
  const char *path;        /* of smtptls's socket, or null */
  int active;
  struct tlsterms terms;
  struct tlslink link;
  char comment[TLSTERMS_VERSION_MAX + TLSTERMS_CIPHER_MAX + 20];
} tls;

/* From now on the session has TLS; of which terms is not known when they cannot be read. */
static void take(const char *terms)
{
  tls.active = 1;
  tls.comment[0] = 0;
  if (tlsterms_parse(&tls.terms, terms))
    sprintf(tls.comment, "%s %s encrypted SMTP", tls.terms.version, tls.terms.cipher);
  refusal_tls(tls.terms.version, tls.terms.cipher);
}

static void take_environment(const char *version)
{
  const char *cipher = getenv("TLS_CIPHER");
  const char *name = getenv("TLS_NAME");
  char terms[TLSTERMS_MAX + 2];   /* one that is too long stays so when it is cut */

  snprintf(terms, sizeof terms, "%s %s %s", version, cipher ? cipher : "", name && *name ? name : "-");
  take(terms);
}

static int give_environment(void)
{
  return setenv("TLS_VERSION", tls.terms.version, 1) == 0 && setenv("TLS_CIPHER", tls.terms.cipher, 1) == 0
         && setenv("TLS_NAME", tls.terms.name, 1) == 0;
}

void starttls_begin(void)
{
  const char *version = getenv("TLS_VERSION");

  memset(&tls, 0, sizeof tls);
  tls.path = getenv("SMTPTLS");
  if (tls.path && (!*tls.path || strlen(tls.path) >= TLSLINK_PATH_MAX))
    tls.path = 0;
  refusal_tls("", "");
  if (version)
    take_environment(version);
}

char *starttls_offer(void)
{
  return tls.path && !tls.active && tlslink_offered(tls.path) ? SMTPREPLY_EHLO_STARTTLS : "";
}

char *starttls_objection(const char *argument, int transaction)
{
  if (tls.active)
    return SMTPREPLY_TLS_AGAIN;
  if (!tls.path)
    return SMTPREPLY_UNIMPLEMENTED;
  if (*argument)
    return SMTPREPLY_TLS_PARAMETER;
  return transaction ? SMTPREPLY_TLS_MAIL : 0;
}

int starttls_prepare(void)
{
  if (!tlslink_offered(tls.path) || !tlslink_begin(&tls.link, tls.path, 0))
    return 0;
  if (tlslink_wait(&tls.link, TLSLINK_BEGIN_MS) == TLSLINK_TAKEN)
    return 1;
  tlslink_end(&tls.link);
  return 0;
}

int starttls_followed(void)
{
  char byte;

  return recv(0, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

int starttls_turn(void)
{
  int done = tlslink_go(&tls.link)
             && tlslink_wait(&tls.link, TLSLINK_HANDSHAKE_MS + PATIENCE_MS) == TLSLINK_ESTABLISHED
             && unshared_secured() && dup2(tls.link.plain, 0) == 0 && dup2(tls.link.plain, 1) == 1;

  if (done) {
    take(tls.link.terms);
    done = give_environment();
  }
  tlslink_end(&tls.link);
  return done;
}

int starttls_active(void)
{
  return tls.active;
}

char *starttls_protocol(void)
{
  return tls.active ? "ESMTPS" : "SMTP";
}

char *starttls_comment(void)
{
  return tls.comment[0] ? tls.comment : 0;
}
