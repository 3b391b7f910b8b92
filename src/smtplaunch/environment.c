/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <string.h>
#include "environment.h"

static int named(const char *variable, const char *name)
{
  size_t len = strlen(name);

  return strncmp(variable, name, len) == 0 && variable[len] == '=';
}

/* Variables that say who the client is, or what it may do: they never come from the service's environment or the
 * rule. */
static int of_the_session(const char *variable)
{
  return strncmp(variable, "TCP", 3) == 0 || strncmp(variable, "TLS_", 4) == 0 || named(variable, "PROTO") || named(variable, "HANDOVER")
         || named(variable, "SMTPSESSION") || named(variable, "SMTPMAIL");
}

static int of_the_rule(const char *variable)
{
  return named(variable, "RELAYCLIENT") || named(variable, "RBLSMTPD") || named(variable, "WHITELISTED");
}

/* Adds a variable, or replaces the one of that name. */
static int put(struct environment *e, const char *variable)
{
  size_t len = strcspn(variable, "=") + 1;
  int i;

  for (i = 0; i < e->variables; ++i)
    if (strncmp(e->variable[i], variable, len) == 0)
      break;
  if (i == ENVIRONMENT_MAX)
    return 0;
  e->variable[i] = variable;
  if (i == e->variables)
    e->variable[++e->variables] = 0;
  return 1;
}

static int put_own(struct environment *e, int *used, const char *name, const char *value)
{
  int n = snprintf(e->own[*used], ENVIRONMENT_TEXT, "%s=%s", name, value);

  return n > 0 && n < ENVIRONMENT_TEXT && put(e, e->own[(*used)++]);
}

int environment_make(struct environment *e, char *const *base, const struct tcprule_found *found,
                     const struct environment_session *session)
{
  const int stranger = session->begun || session->tls.version[0];
  char port[16];
  int used = 0;
  int i;

  e->variables = 0;
  e->variable[0] = 0;
  for (; *base; ++base)
    if (strchr(*base, '=') && !of_the_session(*base) && !of_the_rule(*base) && !put(e, *base))
      return 0;
  for (i = 0; i < found->variables; ++i) {
    const char *variable = found->variable[i];

    if (of_the_session(variable)
        || (stranger && (named(variable, "RELAYCLIENT") || named(variable, "QMAILQUEUE"))))
      continue;
    if (!put(e, variable))
      return 0;
  }
  if (!put_own(e, &used, "PROTO", strchr(session->remote_ip, ':') ? "TCP6" : "TCP")
      || !put_own(e, &used, "TCPLOCALIP", session->local_ip) || !put_own(e, &used, "TCPREMOTEIP", session->remote_ip)
      || !put_own(e, &used, "SMTPSESSION", session->id))
    return 0;
  snprintf(port, sizeof port, "%u", session->local_port);
  if (!put_own(e, &used, "TCPLOCALPORT", port))
    return 0;
  snprintf(port, sizeof port, "%u", session->remote_port);
  if (!put_own(e, &used, "TCPREMOTEPORT", port))
    return 0;
  if (session->tls.version[0] && (!put_own(e, &used, "TLS_VERSION", session->tls.version)
                                  || !put_own(e, &used, "TLS_CIPHER", session->tls.cipher)))
    return 0;
  if (session->tls.name[0] && !put_own(e, &used, "TLS_NAME", session->tls.name))
    return 0;
  if (session->accepted && !put_own(e, &used, "TCPACCEPTED", "1"))
    return 0;
  return !session->local_host || put_own(e, &used, "TCPLOCALHOST", session->local_host);
}
