/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cqgreylist PROGRAM ARGS...        between tcpserver and qmail-smtpd
 * cqgreylist --expire               removes everything that is too old, at once
 *
 * Runs PROGRAM for a client whose network has come back after the delay, before a byte of the client is read; with
 * others it speaks SMTP itself until they leave, and defers each recipient. A client with RBLSMTPD in its
 * environment is refused or deferred with that reason: "-text" is 553 5.7.1 text, "text" is 451 4.7.1 text, and an
 * empty one passes. RELAYCLIENT and WHITELISTED pass, and so do the networks of the file of exempt clients
 * (greyexempt.h); its domains count for smtpfront alone, as no name is known here. When the directory cannot be used,
 * mail passes. A client with which it speaks SMTP itself may have TLS, which smtptls makes (tlslink.h).
 *
 * Read from the environment, or else from /etc/mailgate/cqgreylist (settings.h):
 *   GREYLIST_DIRECTORY         /var/qmail/cqgreylist
 *   GREYLIST_EXEMPT_FILE       /etc/mailgate/greylist_exempt
 *   GREYLIST_DELAY_SECONDS     60        from the first time until it passes
 *   GREYLIST_PASS_SECONDS      3110400   36 days, from the last time until it is forgotten
 *   GREYLIST_PENDING_SECONDS   172800    2 days, for a network that never came back; at least 8 hours above the delay
 *   GREYLIST_IPV4_PREFIX       24        bits of the address that make a network; 32 is the whole address
 *   GREYLIST_IPV6_PREFIX       64
 *   GREYLIST_TEXT              the text behind 451 4.7.1
 *   GREYLIST_IDLE_SECONDS      60        for one command
 *   GREYLIST_SESSION_SECONDS   180       for all of them
 *   TCPREMOTEIP, TCPLOCALHOST  from tcpserver
 *   SMTPTLS                    smtptls's socket; without it there is no STARTTLS
 *
 * One line in the log for each client, by its first word; KEY is the network, such as 198.51.100.0/24:
 *   cqgreylist[PID]: new IP KEY wait SECONDS          refused
 *   cqgreylist[PID]: early IP KEY SECONDS of SECONDS  refused, since the first time
 *   cqgreylist[PID]: passed IP KEY after SECONDS      passes, and from now on
 *   cqgreylist[PID]: known IP KEY                     passes, as before
 *   cqgreylist[PID]: skipped IP - WHY                 passes; WHY is relay, whitelisted, rblsmtpd or exempt
 *   cqgreylist[PID]: refused IP - CODE TEXT           refused, RBLSMTPD
 *   cqgreylist[PID]: open IP KEY WHY                  passes, as nothing can be remembered
 * and for the first recipients of one that is refused:
 *   cqgreylist[PID]: asked IP SENDER to RECIPIENT     both written as refusal.h says; at its end tls=VERSION/CIPHER
 *                                                     where the client has TLS
 * and besides them, about settings and programs:
 *   cqgreylist[PID]: setting NAME: ...
 *   cqgreylist[PID]: cannot run PROGRAM: WHY          exit status 111
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "address.h"
#include "clock.h"
#include "greyexempt.h"
#include "greysession.h"
#include "greystate.h"
#include "replycode.h"
#include "refusal.h"
#include "say.h"
#include "settings.h"
#include "smtpreply.h"
#include "tlslink.h"
#include "tlsterms.h"

#define ME "cqgreylist"
#define LINGER_MS 1000
#define DELAY_SECONDS 60L
#define PENDING_SECONDS (2 * 86400L)
#define LEFT_SECONDS 28800L   /* the least time to pass; Exim tries every 6 hours at last */

static void limits_of_environment(struct greystate_limits *limits)
{
  limits->delay_seconds = say_number(ME, "GREYLIST_DELAY_SECONDS", 0, 86400, DELAY_SECONDS);
  limits->pending_seconds = say_number(ME, "GREYLIST_PENDING_SECONDS", 1, 31536000, PENDING_SECONDS);
  if (limits->pending_seconds - limits->delay_seconds < LEFT_SECONDS) {
    say(ME, "setting GREYLIST_DELAY_SECONDS: %ld leaves %ld seconds to pass until GREYLIST_PENDING_SECONDS %ld;"
        " expected at least %ld; %ld and %ld are used", limits->delay_seconds,
        limits->pending_seconds - limits->delay_seconds, limits->pending_seconds, LEFT_SECONDS, DELAY_SECONDS,
        PENDING_SECONDS);
    limits->delay_seconds = DELAY_SECONDS;
    limits->pending_seconds = PENDING_SECONDS;
  }
  limits->pass_seconds = say_number(ME, "GREYLIST_PASS_SECONDS", 1, 315360000, 36L * 86400);
}

static const char *directory(void)
{
  const char *named = getenv("GREYLIST_DIRECTORY");

  return named && *named ? named : "/var/qmail/cqgreylist";
}

static int run(char **argv)
{
  execvp(argv[0], argv);
  say(ME, "cannot run %.200s: %s", argv[0], strerror(errno));
  return 111;
}

/* Waits until the descriptor is ready; returns 0 when the time is over. */
static int ready(int fd, short event, long long end)
{
  struct pollfd one;
  long long left;
  int r;

  for (;;) {
    left = end - clock_ms();
    if (left <= 0)
      return 0;
    one.fd = fd;
    one.events = event;
    one.revents = 0;
    r = poll(&one, 1, (int) left);
    if (r > 0)
      return 1;
    if (r == 0 || errno != EINTR)
      return 0;
  }
}

static int flush(struct greysession *s, long long end)
{
  size_t at = 0;
  ssize_t n;

  while (at < s->out_len) {
    if (!ready(1, POLLOUT, end))
      return 0;
    n = write(1, s->out + at, s->out_len - at);
    if (n == -1 && errno != EINTR && errno != EAGAIN)
      return 0;
    if (n > 0)
      at += (size_t) n;
  }
  s->out_len = 0;
  return 1;
}

/* Reads what the client still sends, so that closing does not discard the last reply on its way. */
static void linger(void)
{
  char dump[4096];
  long long end = clock_ms() + LINGER_MS;
  int rounds = 0;

  if (shutdown(1, SHUT_WR) == -1)
    return;
  while (rounds++ < 64 && ready(0, POLLIN, end) && read(0, dump, sizeof dump) > 0)
    ;
}

static struct tlsterms terms;   /* without a version: plain text */

/* One line of the log for each recipient: "asked IP SENDER to RECIPIENT", both as refusal.h writes a field. */
static void asked(const void *ip, const char *sender, const char *recipient)
{
  char from[REFUSAL_FIELD_MAX + 5];
  char to[REFUSAL_FIELD_MAX + 5];
  const int has_tls = terms.version[0] != 0;

  refusal_field(from, sender);
  refusal_field(to, recipient);
  say(ME, "asked %s %s to %s%s%s%s%s", (const char *) ip, from, to, has_tls ? " tls=" : "", terms.version,
      has_tls ? "/" : "", terms.cipher);
}

static const char *smtptls;   /* its socket, or null */

static int tls_is_offered(void)
{
  return tlslink_offered(smtptls);
}

static void find_smtptls(void)
{
  smtptls = getenv("SMTPTLS");
  if (smtptls && (!*smtptls || strlen(smtptls) >= TLSLINK_PATH_MAX))
    smtptls = 0;
}

/* Whether the client has sent something that is not read yet. */
static int has_sent(void)
{
  char byte;

  return recv(0, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static int speak_plain_text(int plain)
{
  return dup2(plain, 0) == 0 && dup2(plain, 1) == 1 && fcntl(plain, F_SETFL, fcntl(plain, F_GETFL) | O_NONBLOCK) != -1;
}

/* Answers STARTTLS. What the client has sent behind it is never taken for text of the TLS session. Returns 0 when the
 * session is over. */
static int begin_tls(struct greysession *s, int followed, long long end)
{
  struct tlslink link = {-1, -1, ""};
  long long left;
  int done;

  if (!flush(s, end))
    return 0;
  if (!followed && (!tlslink_begin(&link, smtptls, 0) || tlslink_wait(&link, TLSLINK_BEGIN_MS) != TLSLINK_TAKEN)) {
    tlslink_end(&link);
    greysession_answer(s, SMTPREPLY_NO_TLS);
    return 1;
  }
  if (followed || has_sent()) {
    tlslink_end(&link);
    greysession_answer(s, SMTPREPLY_TLS_FOLLOWED);
    return 1;
  }
  greysession_answer(s, SMTPREPLY_TLS_READY);
  done = flush(s, end) && tlslink_go(&link);
  left = end - clock_ms();
  done = done && tlslink_wait(&link, left < TLSLINK_HANDSHAKE_MS ? (long) left : TLSLINK_HANDSHAKE_MS) == TLSLINK_ESTABLISHED
         && speak_plain_text(link.plain);
  if (done) {
    tlsterms_parse(&terms, link.terms);
    greysession_secured(s);
  }
  tlslink_end(&link);
  return done;
}

static int refuse(const char *ip, const char *refusal)
{
  static struct greysession s;
  const char *host = getenv("TCPLOCALHOST");
  char input[4096];
  long idle = 1000 * say_number(ME, "GREYLIST_IDLE_SECONDS", 1, 3600, 60);
  long session = 1000 * say_number(ME, "GREYLIST_SESSION_SECONDS", 1, 3600, 180);
  long long end = clock_ms() + session;
  long long line_end;
  ssize_t n;
  size_t at;
  int lines = 0;

  alarm((unsigned) (session / 1000) + 5);   /* a last resort */
  signal(SIGALRM, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
  fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK);
  greysession_start(&s, host && *host ? host : "localhost", refusal);
  s.asked = asked;
  s.ip = ip;
  s.tls = smtptls ? tls_is_offered : 0;
  line_end = clock_ms() + idle;
  while (flush(&s, end) && !s.ended) {
    if (!ready(0, POLLIN, line_end < end ? line_end : end)) {
      greysession_end(&s, "4.4.2 timeout");
      flush(&s, clock_ms() + LINGER_MS);
      break;
    }
    n = read(0, input, sizeof input);
    if (n == 0 || (n == -1 && errno != EINTR && errno != EAGAIN))
      return 0;
    for (at = 0; n > 0 && at < (size_t) n && !s.ended; ) {
      at += greysession_feed(&s, input + at, (size_t) n - at);
      if (s.starttls && !begin_tls(&s, at < (size_t) n, end))
        return 0;
      if (at < (size_t) n && !flush(&s, end))
        return 0;
    }
    if (s.lines != lines) {   /* only a whole command extends the time */
      lines = s.lines;
      line_end = clock_ms() + idle;
    }
  }
  if (s.ended)
    linger();
  return 0;
}

static int refuse_by_reason(const char *ip, const char *reason)
{
  char text[201];
  char before[REPLYCODE_MAX + 1];
  char refusal[GREYSESSION_TEXT_MAX];
  int permanent = *reason == '-';
  const char *code = permanent ? "553" : "451";

  say_printable(text, sizeof text, reason + permanent);
  snprintf(refusal, sizeof refusal, "%s%s", replycode(before, code, text), text);
  say(ME, "refused %s - %s %s", ip, code, text);
  return refuse(ip, refusal);
}

static int refuse_for_now(const char *ip)
{
  const char *own = getenv("GREYLIST_TEXT");
  char text[201];
  char before[REPLYCODE_MAX + 1];
  char refusal[GREYSESSION_TEXT_MAX];

  say_printable(text, sizeof text, own && *own ? own : "you are new here, please come back in a few minutes");
  snprintf(refusal, sizeof refusal, "%s%s", replycode(before, "451", text), text);
  return refuse(ip, refusal);
}

/* Whether a line of the file has the client's address. A line that is not valid is said, and exempts nobody. */
static int is_exempt(const struct address *a)
{
  const char *path = getenv("GREYLIST_EXEMPT_FILE");
  char line[GREYEXEMPT_LINE_MAX];
  struct greyexempt entry;
  const char *wrong = "";
  int number = 0;
  int found = 0;
  FILE *f;

  if (!path || !*path)
    path = GREYEXEMPT_FILE;
  f = fopen(path, "re");
  if (!f) {
    if (errno != ENOENT)
      say(ME, "setting %.200s: %s", path, strerror(errno));
    return 0;
  }
  while (!found && number++ < GREYEXEMPT_LINES_MAX && fgets(line, sizeof line, f)) {
    if (greyexempt_parse(&entry, line, &wrong) == GREYEXEMPT_WRONG)
      say(ME, "setting %.200s line %d: %s", path, number, wrong);
    found = greyexempt_has_address(&entry, a);
  }
  fclose(f);
  return found;
}

static int judge(char **argv, const char *ip, struct address *a)
{
  struct greystate_limits limits;
  struct greystate_result result;
  struct timespec now;
  char shown[ADDRESS_TEXT_MAX];
  char key[ADDRESS_TEXT_MAX];
  int prefix;

  if (a->bits == 32)
    prefix = (int) say_number(ME, "GREYLIST_IPV4_PREFIX", 8, 32, 24);
  else
    prefix = (int) say_number(ME, "GREYLIST_IPV6_PREFIX", 16, 128, 64);
  prefix = address_network(a, prefix);
  address_text(shown, a, '/', prefix);
  address_text(key, a, '-', prefix);
  limits_of_environment(&limits);
  clock_gettime(CLOCK_REALTIME, &now);
  switch (greystate_judge(directory(), key, &limits, now, &result)) {
    case GREYSTATE_NEW:
      say(ME, "new %s %s wait %ld", ip, shown, limits.delay_seconds);
      return refuse_for_now(ip);
    case GREYSTATE_EARLY:
      say(ME, "early %s %s %ld of %ld", ip, shown, result.seconds, limits.delay_seconds);
      return refuse_for_now(ip);
    case GREYSTATE_PASSED:
      say(ME, "passed %s %s after %ld", ip, shown, result.seconds);
      break;
    case GREYSTATE_KNOWN:
      say(ME, "known %s %s", ip, shown);
      break;
    case GREYSTATE_TROUBLE:
      say(ME, "open %s %s %s: %s", ip, shown, result.trouble, strerror(result.error));
  }
  return run(argv);
}

static int expire(void)
{
  struct greystate_limits limits;
  struct timespec now;
  long removed;

  limits_of_environment(&limits);
  clock_gettime(CLOCK_REALTIME, &now);
  removed = greystate_expire(directory(), &limits, now);
  if (removed == -1) {
    say(ME, "cannot expire %.200s: %s", directory(), strerror(errno));
    return 111;
  }
  say(ME, "expired %ld", removed);
  return 0;
}

int main(int argc, char **argv)
{
  const char *ip = getenv("TCPREMOTEIP");
  const char *reason = getenv("RBLSMTPD");
  const char *skip = 0;
  struct address a;
  char shown[ADDRESS_TEXT_MAX];

  settings_load(ME, SETTINGS_FILE, "GREYLIST_");
  find_smtptls();
  if (argc < 2 || argv[1][0] == '-') {
    if (argc == 2 && strcmp(argv[1], "--expire") == 0)
      return expire();
    say(ME, "usage: cqgreylist PROGRAM ARGS... or cqgreylist --expire");
    return 100;
  }
  if (!ip || !address_parse(&a, ip)) {
    if (!reason || !*reason) {
      say(ME, "open - - TCPREMOTEIP is not an address");
      return run(argv + 1);
    }
    ip = "-";
  }
  say_printable(shown, sizeof shown, ip);
  if (reason && *reason)
    return refuse_by_reason(shown, reason);
  if (getenv("RELAYCLIENT"))
    skip = "relay";
  else if (getenv("WHITELISTED"))
    skip = "whitelisted";
  else if (reason)
    skip = "rblsmtpd";
  else if (is_exempt(&a))
    skip = "exempt";
  if (skip) {
    say(ME, "skipped %s - %s", shown, skip);
    return run(argv + 1);
  }
  return judge(argv + 1, shown, &a);
}
