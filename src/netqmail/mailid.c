/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "mailid.h"
#include "refusal.h"
#include "sessionid.h"

static char session[SESSIONID_CHARACTERS + 1];
static char message[SESSIONID_MESSAGE_MAX];
static unsigned long messages;

void mailid_begin(void)
{
  const char *given = getenv("SMTPSESSION");

  messages = 0;
  message[0] = 0;
  if (sessionid_is_session(given))
    memcpy(session, given, sizeof session);
  else
    sessionid_text(session, sessionid_new(0));
  unsetenv("SMTPSESSION");
  unsetenv("SMTPMAIL");
  mailid_session();
}

void mailid_session(void)
{
  refusal_session(session, (long) getpid());
}

int mailid_next(void)
{
  sessionid_message(message, session, ++messages);
  refusal_session(message, (long) getpid());
  return setenv("SMTPMAIL", message, 1) == 0;
}

char *mailid(void)
{
  return message;
}
