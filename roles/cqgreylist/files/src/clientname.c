/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * clientname PROGRAM ARGS...        between cqgreylist and qmail-smtpd
 *
 * Sets TCPREMOTEHOST to the client's name and becomes PROGRAM, whatever comes of it. The name is one that the address
 * has by its PTR record and that has the address itself; any other counts as none, and TCPREMOTEHOST is removed. It is
 * in small letters, and has nothing but letters, digits, "-", "_" and "." in it. All of it together takes a few
 * seconds at most, however slow the resolver is. Nobody asks for the name of a relay client: SpamAssassin does not
 * judge its mail.
 *
 * The environment, or what it does not say /etc/mailgate/cqgreylist (settings.h): CLIENTNAME_SECONDS (5, for all of
 * it). The environment alone: DNSCACHEIP, TCPREMOTEIP, RELAYCLIENT.
 *
 * The log, by the first word; nothing is said of a client that has a name, or no PTR record:
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
#include "dnsask.h"
#include "dnsmessage.h"
#include "say.h"
#include "settings.h"

#define ME "clientname"
#define NAMES_MAX 4
#define ADDRESSES_MAX 64

/* Finds the name; returns 0 if there is none that is sure. */
static int find(char *found, const char *ip, const struct address *a)
{
  static char name[NAMES_MAX][DNSMESSAGE_NAME_MAX];
  struct dnsask ask[NAMES_MAX];
  struct address address[ADDRESSES_MAX];
  char reversed[DNSMESSAGE_NAME_MAX];
  const char *trouble = 0;
  long end = dnsask_now_ms() + 1000 * say_number(ME, "CLIENTNAME_SECONDS", 1, 60, 5);
  int names = 0;
  int known = 0;
  int n;
  int i;

  dnsmessage_reversed(reversed, sizeof reversed, a, a->bits == 32 ? "in-addr.arpa" : "ip6.arpa");
  dnsask_question(&ask[0], reversed, DNSMESSAGE_PTR);
  dnsask_all(ask, 1, end - dnsask_now_ms(), 0, 0);
  if (ask[0].state != DNSASK_ANSWERED) {
    say(ME, "trouble %s %s", ip, ask[0].trouble);
    return 0;
  }
  names = dnsmessage_names(ask[0].answer, ask[0].answer_len, name, NAMES_MAX);
  free(ask[0].answer);
  if (!names)
    return 0;
  for (i = 0; i < names; ++i)
    dnsask_question(&ask[i], name[i], a->bits == 32 ? DNSMESSAGE_A : DNSMESSAGE_AAAA);
  dnsask_all(ask, names, end - dnsask_now_ms(), 0, 0);
  for (i = 0; i < names; ++i) {
    if (ask[i].state != DNSASK_ANSWERED) {
      trouble = ask[i].trouble;
      continue;
    }
    n = dnsmessage_addresses(ask[i].answer, ask[i].answer_len, address, ADDRESSES_MAX);
    free(ask[i].answer);
    while (!known && n-- > 0)
      if (address_equal(&address[n], a)) {
        strcpy(found, name[i]);
        known = 1;
      }
  }
  if (!known && trouble)
    say(ME, "trouble %s %s", ip, trouble);
  else if (!known)
    say(ME, "unconfirmed %s %s", ip, name[0]);
  return known;
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
      say(ME, "trouble - TCPREMOTEIP is no address");
    else if (find(name, ip, &a) && setenv("TCPREMOTEHOST", name, 1) == -1)
      say(ME, "trouble %s %s", ip, strerror(errno));
  }
  execvp(argv[1], argv + 1);
  say(ME, "cannot run %.200s: %s", argv[1], strerror(errno));
  return 111;
}
