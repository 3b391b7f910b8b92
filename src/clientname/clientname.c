/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clientname PROGRAM ARGS...        between cqgreylist and qmail-smtpd
 *
 * Sets TCPREMOTEHOST to the client's name and runs PROGRAM, whatever the outcome. The name is one that the address
 * has by its PTR records, of which 64 are tried, eight at once, and that has the address itself; any other name is
 * ignored, and TCPREMOTEHOST is removed. It is in small letters, and has only letters, digits, "-", "_" and "." in
 * it. All lookups together take a few seconds at most, however slow the resolver is. The name of a relay
 * client is not looked up: SpamAssassin does not check its mail.
 *
 * Read from the environment, or else from /etc/mailgate/cqgreylist (settings.h): CLIENTNAME_SECONDS (5, for all of
 * it). From the environment only: DNSCACHEIP, TCPREMOTEIP, RELAYCLIENT.
 *
 * The log lines, by their first word; a client that has a name, or no PTR record, has no line:
 *   clientname[PID]: unconfirmed IP NAME    NAME, the first one, has not that address
 *   clientname[PID]: trouble IP WHY
 *   clientname[PID]: setting NAME: ...
 *   clientname[PID]: cannot run PROGRAM: WHY     exit status 111
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "address.h"
#include "clock.h"
#include "confirmedname.h"
#include "dnsask.h"
#include "dnsmessage.h"
#include "say.h"
#include "settings.h"

#define ME "clientname"
#define NAMES_AT_ONCE 8

struct asking {
  struct dnsask ask[NAMES_AT_ONCE];
  const struct address *client;
};

static int has_address(int number, void *arg)
{
  const struct asking *some = arg;

  return confirmedname_confirms(some->ask[number].answer, some->ask[number].answer_len, some->client);
}

/* Returns the number of the first of these names that has the client's address, or -1; may say why one is not known. */
static int confirmed(char (*name)[DNSMESSAGE_NAME_MAX], int n, const struct address *a, long long end, const char **trouble)
{
  struct asking some;
  int found = -1;
  int i;

  some.client = a;
  for (i = 0; i < n; ++i)
    dnsask_question(&some.ask[i], name[i], confirmedname_type(a));
  dnsask_all(some.ask, n, end - clock_ms(), has_address, &some);
  for (i = 0; i < n; ++i) {
    if (some.ask[i].state == DNSASK_TROUBLE)
      *trouble = some.ask[i].trouble;
    if (some.ask[i].state == DNSASK_ANSWERED && found < 0 && has_address(i, &some))
      found = i;
    free(some.ask[i].answer);
  }
  return found;
}

/* Finds the name; returns 0 if no name is confirmed. */
static int find(char *found, const char *ip, const struct address *a)
{
  static char name[CONFIRMEDNAME_MOST][DNSMESSAGE_NAME_MAX];
  struct dnsask ask;
  char reversed[DNSMESSAGE_NAME_MAX];
  const char *trouble = 0;
  long long end = clock_ms() + 1000 * say_number(ME, "CLIENTNAME_SECONDS", 1, 60, 5);
  int names;
  int at;
  int i;

  confirmedname_reversed(reversed, sizeof reversed, a);
  dnsask_question(&ask, reversed, DNSMESSAGE_PTR);
  dnsask_all(&ask, 1, end - clock_ms(), 0, 0);
  if (ask.state != DNSASK_ANSWERED) {
    say(ME, "trouble %s %s", ip, ask.trouble);
    return 0;
  }
  names = dnsmessage_names(ask.answer, ask.answer_len, name, CONFIRMEDNAME_MOST);
  free(ask.answer);
  for (at = 0; at < names && !(trouble && clock_ms() >= end); at += NAMES_AT_ONCE) {
    i = confirmed(name + at, names - at < NAMES_AT_ONCE ? names - at : NAMES_AT_ONCE, a, end, &trouble);
    if (i >= 0) {
      strcpy(found, name[at + i]);
      return 1;
    }
  }
  if (trouble)
    say(ME, "trouble %s %s", ip, trouble);
  else if (names)
    say(ME, "unconfirmed %s %s", ip, name[0]);
  return 0;
}

int main(int argc, char **argv)
{
  const char *ip = getenv("TCPREMOTEIP");
  struct address a;
  char name[DNSMESSAGE_NAME_MAX];

  if (argc < 2) {
    say(ME, "usage: clientname PROGRAM ARGS...");
    return 100;
  }
  if (!getenv("RELAYCLIENT")) {
    settings_load(ME, SETTINGS_FILE, "CLIENTNAME_");
    unsetenv("TCPREMOTEHOST");
    if (!ip || !address_parse(&a, ip))
      say(ME, "trouble - TCPREMOTEIP is not an address");
    else if (find(name, ip, &a) && setenv("TCPREMOTEHOST", name, 1) == -1)
      say(ME, "trouble %s %s", ip, strerror(errno));
  }
  execvp(argv[1], argv + 1);
  say(ME, "cannot run %.200s: %s", argv[1], strerror(errno));
  return 111;
}
