/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * dnsbl PROGRAM ARGS...             between tcpserver and cqgreylist
 *
 * Asks the DNS lists of a file about the client, all at once, and runs PROGRAM, whatever the outcome. For a client that
 * is listed RBLSMTPD is set to "-TEXT (ZONE)", with which cqgreylist refuses. No list is asked about a client that has
 * RBLSMTPD, RELAYCLIENT or WHITELISTED in its environment already. A failure never refuses a client. While
 * /var/qmail/control/drained is there (drained.h), a client hears 421 and nothing is run.
 *
 * Read from the environment, or else from /etc/mailgate/cqgreylist (settings.h): DNSBL_FILE (/etc/mailgate/dnsbl; its
 * form is in dnsbllist.h), DNSBL_SECONDS (3, for all of it). From the environment only: DNSCACHEIP, TCPREMOTEIP, TCPLOCALIP,
 * DRAINED_FILE (/var/qmail/control/drained).
 *
 * The log lines, by their first word; a client that is on no list has no line:
 *   dnsbl[PID]: listed IP ZONE ANSWER
 *   dnsbl[PID]: ignored IP ZONE ANSWER      an answer outside the list's network, such as "your resolver is blocked"
 *   dnsbl[PID]: trouble IP ZONE WHY         ZONE is - when all lists are meant
 *   dnsbl[PID]: line NUMBER of FILE: WHY
 *   dnsbl[PID]: setting NAME: ...
 *   dnsbl[PID]: cannot run PROGRAM: WHY     exit status 111
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "address.h"
#include "dnsask.h"
#include "dnsbllist.h"
#include "dnsmessage.h"
#include "drained.h"
#include "say.h"
#include "settings.h"
#include "smtpreply.h"

#define ME "dnsbl"
#define CONTROL_DIRECTORY "/var/qmail/control"
#define LISTS_MAX DNSASK_QUESTIONS_MAX
#define LINES_MAX 500
#define IGNORED_MAX 32   /* lines of the log for one list */

struct asking {
  struct dnsbllist list[LISTS_MAX];
  struct dnsask ask[LISTS_MAX];
  int told[LISTS_MAX];
  int n;
  const char *ip;
  int listed;   /* number of the list, or -1 */
};

static void read_lists(struct asking *all)
{
  const char *file = getenv("DNSBL_FILE");
  char line[DNSBLLIST_LINE_MAX];
  const char *wrong = "";
  struct stat st;
  int number = 0;
  int c;
  int fd;
  FILE *f;

  if (!file || !*file)
    file = "/etc/mailgate/dnsbl";
  fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);   /* a fifo must not block */
  if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || !(f = fdopen(fd, "r"))) {
    say(ME, "trouble %s - cannot read %.200s: %s", all->ip, file, fd == -1 ? strerror(errno) : "not a regular file");
    if (fd != -1)
      close(fd);
    return;
  }
  while (number++ < LINES_MAX && fgets(line, sizeof line, f)) {
    if (!strchr(line, '\n') && strlen(line) == sizeof line - 1) {
      say(ME, "line %d of %.200s: it is too long", number, file);
      while ((c = getc(f)) != EOF && c != '\n')
        ;
      continue;
    }
    if (all->n == LISTS_MAX) {
      say(ME, "line %d of %.200s: only %d lists are asked", number, file, LISTS_MAX);
      break;
    }
    switch (dnsbllist_parse(&all->list[all->n], line, &wrong)) {
      case DNSBLLIST_LIST: ++all->n; break;
      case DNSBLLIST_WRONG: say(ME, "line %d of %.200s: %s", number, file, wrong); break;
      case DNSBLLIST_COMMENT: break;
    }
  }
  fclose(f);
}

/* Evaluates an answer once; one list that has the client is enough. */
static int judge(int number, void *arg)
{
  struct asking *all = arg;
  static struct address answer[DNSMESSAGE_RECORDS_MAX];
  char text[ADDRESS_TEXT_MAX];
  int n;
  int i;

  if (all->told[number])
    return all->listed >= 0;
  all->told[number] = 1;
  n = dnsmessage_addresses(all->ask[number].answer, all->ask[number].answer_len, answer,
                           DNSMESSAGE_RECORDS_MAX);
  for (i = 0; i < n; ++i) {
    address_text(text, &answer[i], 0, 0);
    if (dnsbllist_counts(&all->list[number], &answer[i])) {
      say(ME, "listed %s %s %s", all->ip, all->list[number].zone, text);
      all->listed = number;
      return 1;
    }
    if (i < IGNORED_MAX)
      say(ME, "ignored %s %s %s", all->ip, all->list[number].zone, text);
  }
  return 0;
}

static void ask(struct asking *all, const struct address *a)
{
  char name[DNSMESSAGE_NAME_MAX];
  char reason[DNSBLLIST_TEXT_MAX + DNSBLLIST_ZONE_MAX + 8];
  long seconds = say_number(ME, "DNSBL_SECONDS", 1, 60, 3);
  int i;

  for (i = 0; i < all->n; ++i)
    dnsask_question(&all->ask[i], dnsmessage_reversed(name, sizeof name, a, all->list[i].zone) ? name : "", DNSMESSAGE_A);
  dnsask_all(all->ask, all->n, seconds * 1000, judge, all);
  for (i = 0; i < all->n; ++i) {
    if (all->ask[i].state == DNSASK_TROUBLE)
      say(ME, "trouble %s %s %s", all->ip, all->list[i].zone, all->ask[i].trouble);
    free(all->ask[i].answer);
  }
  if (all->listed < 0)
    return;
  i = all->listed;
  snprintf(reason, sizeof reason, "-%s (%s)", all->list[i].text[0] ? all->list[i].text : "you are on a list",
           all->list[i].zone);
  if (setenv("RBLSMTPD", reason, 1) == -1)
    say(ME, "trouble %s - %s", all->ip, strerror(errno));
}

/* Whether the gateway was taken out; its own host's sessions go on, by which it is tried. */
static int is_drained(void)
{
  const char *file = getenv("DRAINED_FILE");
  const char *client = getenv("TCPREMOTEIP");
  const char *local = getenv("TCPLOCALIP");
  struct address a;
  struct address b;

  return access(file ? file : CONTROL_DIRECTORY "/" DRAINED_FILE, F_OK) == 0
         && !(client && local && address_parse(&a, client) && address_parse(&b, local) && address_equal(&a, &b));
}

int main(int argc, char **argv)
{
  static struct asking all;
  struct address a;

  if (argc < 2) {
    say(ME, "usage: dnsbl PROGRAM ARGS...");
    return 100;
  }
  if (is_drained())
    return write(1, SMTPREPLY_DRAINED, sizeof SMTPREPLY_DRAINED - 1) == -1;
  settings_load(ME, SETTINGS_FILE, "DNSBL_");
  all.ip = getenv("TCPREMOTEIP");
  all.listed = -1;
  if (!getenv("RBLSMTPD") && !getenv("RELAYCLIENT") && !getenv("WHITELISTED")) {
    if (!all.ip || !address_parse(&a, all.ip)) {
      say(ME, "trouble - - TCPREMOTEIP is not an address");
    } else {
      read_lists(&all);
      if (all.n)
        ask(&all, &a);
    }
  }
  execvp(argv[1], argv + 1);
  say(ME, "cannot run %.200s: %s", argv[1], strerror(errno));
  return 111;
}
