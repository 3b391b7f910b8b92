/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 * qmail-smtpd and qmail-queue of the stand-in for netqmail, told apart by the name they are called with. */
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "dataread.h"
#include "envelopeaddress.h"
#include "limitcount.h"
#include "mailid.h"
#include "mailsize.h"
#include "recipientlist.h"
#include "recipientrule.h"
#include "refusal.h"
#include "remotereply.h"
#include "replay.h"
#include "scannertext.h"
#include "smtpreply.h"
#include "starttls.h"
#include "tlsrequired.h"
#include "unshared.h"
#include "validrcptto.h"

/* The lines that are neither blank nor comments: their number, or -1 when the file is missing or unreadable. */
static int control_lines(const char *name, char ***lines)
{
  char line[1100];
  FILE *f;
  int n = 0;

  if (!(f = fopen(name, "r")))
    return -1;
  while (fgets(line, sizeof line, f)) {
    line[strcspn(line, "\t\r\n")] = 0;
    if (*line && *line != '#' && (*lines = realloc(n ? *lines : 0, (size_t) (n + 1) * sizeof **lines)))
      (*lines)[n++] = strdup(line);
  }
  n = ferror(f) ? -1 : n;
  fclose(f);
  return n;
}

static const char *control(const char *name, const char *otherwise)
{
  char **lines;

  return control_lines(name, &lines) > 0 ? lines[0] : otherwise;
}

static const char *ip, *relayclient;
static char **rcpthosts, **badmailfrom, address[10000], sender[1000], recipients[1000000];
static int hosts, bad, seenmail, barred, text, timeout, queue, count, full;
static struct limitcount limits;
static size_t databytes, taken, recipients_len;
static FILE *message, *envelope;   /* pipes to descriptors 0 and 1 of $QMAILQUEUE or qmail-queue; text is from its 4 */

/* One of smtpreply.h, or a text without the end of its line. While a session that smtpfront began is repeated nothing
 * is said but its end. */
static void reply(const char *s)
{
  if (replay_quiet() && strncmp(s, "421", 3))
    return;
  replay_speak();
  unshared_wrote(printf("%s%s", s, strchr(s, '\n') ? "" : "\r\n"));
  fflush(stdout);
}

static void die(const char *s)
{
  reply(s);
  exit(1);
}

static int get(void)
{
  char one;
  int replayed = replay_read(&one, 1) == 1, fresh = !replayed && stdin->_IO_read_ptr == stdin->_IO_read_end;
  int ch = replayed ? (unsigned char) one : getchar_unlocked();

  if (ch == EOF || (fresh && !unshared_read(1 + (int) (stdin->_IO_read_end - stdin->_IO_read_ptr))))
    exit(1);
  if (ch == '\n')
    alarm((unsigned int) timeout);
  return ch;
}

/* Puts the address of an argument, source route and quotes stripped, into address; null, or the reason if it is not one. */
static const char *parse(const char *s)
{
  const char *open = strchr(s, '<'), *colon = strchr(s, ':'), *arg = s;
  enum envelopeaddress_fault fault;
  size_t n = 0;
  int quoted = 0;

  s = open ? open + 1 : colon ? colon + 1 + strspn(colon + 1, " ") : "";
  if (*s == '@')
    s = strchr(s, ':') ? strchr(s, ':') + 1 : "";
  for (; *s && (quoted || *s != (open ? '>' : ' ')); ++s)
    if (*s == '\\' && s[1])
      address[n++] = *++s;
    else if (*s == '"')
      quoted = !quoted;
    else if (*s != '\\')
      address[n++] = *s;
  address[n] = 0;
  fault = envelopeaddress_check(address, n);
  for (; *arg && !fault; ++arg)
    if ((*arg > 0 && *arg < 32 && *arg != '\t') || *arg == 127)
      fault = ENVELOPEADDRESS_CONTROL;
  return fault ? envelopeaddress_word(fault) : 0;
}

/* What stands behind the command was sent in plain text: it ends the session. */
static const char *starttls(const char *arg, char *helo)
{
  const char *objection = starttls_objection(arg, seenmail);
  int behind = stdin->_IO_read_ptr < stdin->_IO_read_end || replay_left();

  if (objection || (!behind && !starttls_prepare()))
    return objection ? objection : SMTPREPLY_NO_TLS;
  if (behind || starttls_followed())
    return refusal_command("starttls", "followed", 0, "", ip), SMTPREPLY_TLS_FOLLOWED;
  reply(SMTPREPLY_TLS_READY);
  if (!starttls_turn())
    exit(1);
  *helo = 0;
  return "";
}

static int listed(char **list, int n, const char *what)
{
  while (what && n-- > 0)
    if (!strcasecmp(list[n], what))
      return 1;
  return 0;
}

/* 1 for a domain of rcpthosts or no domain at all, 0, or -1 when rcpthosts cannot be used. */
static int ours(const char *s)
{
  const char *at = strrchr(s, '@');

  if (hosts <= 0)
    return refusal_trouble("rcpthosts", "missing, empty or unreadable"), -1;
  for (s = at ? at + 1 : 0; s && !listed(rcpthosts, hosts, s);)
    s = strchr(s + 1, '.');
  return !at || s;
}

static const char *mail(const char *arg)
{
  const char *why = parse(arg);

  mailid_session();
  if (why)
    return refusal_command("mail", why, 0, address, ip), SMTPREPLY_SENDER;
  if (mailsize_exceeds(arg, databytes))
    return refusal_command("mail", "too-large", 0, address, ip), SMTPREPLY_SIZE;
  barred = listed(badmailfrom, bad, address) || listed(badmailfrom, bad, strrchr(address, '@'));
  strcpy(sender, address);
  recipients_len = count = full = 0;
  seenmail = 1;
  return SMTPREPLY_OK;
}

static const char *rcpt(const char *arg)
{
  const char *why;
  int r;

  if (!seenmail)
    return SMTPREPLY_WANT_MAIL;
  if ((why = parse(arg)))
    return refusal_command("rcpt", why, address, sender, ip), SMTPREPLY_RECIPIENT;
  if (barred)
    return refusal_badmailfrom(sender, address, ip), SMTPREPLY_BADMAILFROM;
  r = relayclient ? VALIDRCPTTO_FOUND : ours(address);
  if (r == 0)
    return refusal_rcpthosts(address, sender, ip), SMTPREPLY_RCPTHOSTS;
  if (r == 1 && !relayclient)
    r = validrcptto_check(address, sender, ip);
  if (r == VALIDRCPTTO_EXCESS)
    die(SMTPREPLY_MISSES);
  if (r != VALIDRCPTTO_FOUND)
    return r == VALIDRCPTTO_MISSING ? SMTPREPLY_VALIDRCPTTO : SMTPREPLY_UNCERTAIN;
  if ((why = tlsrequired(address, sender, ip)))
    return why;
  if (recipientlist_holds(recipients, recipients_len, address))
    return SMTPREPLY_OK;
  switch (recipientrule(recipients, recipients_len, address, relayclient != 0, sender, ip)) {
    case RECIPIENTRULE_TOGETHER: break;
    case RECIPIENTRULE_OTHER: return SMTPREPLY_OTHER_RULE;
    case RECIPIENTRULE_LATER: return SMTPREPLY_LATER;
    case RECIPIENTRULE_UNSURE: return SMTPREPLY_UNCERTAIN;
  }
  if (count == LIMITCOUNT_RECIPIENTS) {
    if (!full++)
      refusal_command("rcpt", "too-many", address, sender, ip);
    return SMTPREPLY_TOO_MANY;
  }
  ++count;
  recipients_len += (size_t) sprintf(recipients + recipients_len, "T%s%.900s%c", address,
    relayclient ? relayclient : "", 0);
  return SMTPREPLY_OK;
}

/* Hands on the message up to its final dot; returns its hops. A bare LF ends the session. */
static unsigned long blast(void)
{
  struct dataread d;
  enum dataread_event event = DATAREAD_MORE;
  char in, out[DATAREAD_ROOM(1)];
  size_t used, n, i;

  for (dataread_begin(&d); event == DATAREAD_MORE;) {
    in = (char) get();
    event = dataread(&d, &in, 1, &used, out, &n);
    for (i = 0; i < n; ++i)
      if (++taken <= databytes || !databytes)
        putc_unlocked(out[i], message);
  }
  if (event == DATAREAD_BARE_LF) {
    refusal_command("data", "bare-lf", 0, sender, ip);
    die(SMTPREPLY_BARE_LF);
  }
  return d.hops;
}

static void queue_open(void)
{
  const char *given = getenv("QMAILQUEUE"), *program = given && *given ? given : "bin/simscan";
  int m[2], e[2], t[2];

  if (pipe2(m, O_CLOEXEC) == -1 || pipe2(e, O_CLOEXEC) == -1 || pipe2(t, O_CLOEXEC) == -1 || (queue = fork()) == -1)
    die(SMTPREPLY_QQT);
  if (queue == 0) {
    t[1] = fcntl(t[1], F_DUPFD_CLOEXEC, 10);
    if (dup2(m[0], 0) == 0 && dup2(e[0], 1) == 1 && dup2(t[1], 4) == 4)
      execl(program, program, (char *) 0);
    _exit(120);
  }
  message = fdopen(m[1], "w");
  envelope = fdopen(e[1], "w");
  text = t[0];
  (void) (close(m[0]), close(e[0]), close(t[1]));
}

static const char *data(const char *helo)
{
  static const char *const known[128] = {
    [31] = "554 mail server permanently rejected message (#5.3.0)", [54] = "451 qq read error (#4.3.0)",
    [71] = "451 mail server temporarily rejected message (#4.3.0)",
    [73] = "451 connection to mail server rejected (#4.4.1)", [120] = "451 unable to exec qq (#4.3.0)" };
  static char line[400];
  const char *host = getenv("TCPREMOTEHOST");
  char said[300], *end = said;
  time_t t = time(0);
  int status, code, failed, looping;

  if (!seenmail || !recipients_len)
    return seenmail ? SMTPREPLY_WANT_RCPT : SMTPREPLY_WANT_MAIL;
  seenmail = 0;
  taken = 0;
  if (!mailid_next())
    die(SMTPREPLY_NOMEM);
  queue_open();
  reply("354 go ahead");
  strftime(line, sizeof line, "%-d %b %Y %H:%M:%S -0000", gmtime(&t));
  fprintf(message, "Received: from %s (HELO %s) (%s) (envelope-sender <%s>)\n  by %s with %s%s%s%s (id %s); %s\n",
    host ? host : "unknown", helo, ip, sender, control("control/me", "unknown"), starttls_protocol(),
    starttls_comment() ? " (" : "", starttls_comment() ? starttls_comment() : "", starttls_comment() ? ")" : "", mailid(), line);
  looping = blast() >= 100;
  failed = fclose(message) == EOF || looping || (databytes && taken > databytes);
  if (!failed) {
    fprintf(envelope, "F%s%c", sender, 0);
    fwrite(recipients, 1, recipients_len + 1, envelope);
  }
  failed |= fclose(envelope) == EOF;
  while (read(text, end, 1) == 1)
    end += end < said + sizeof said - 1 && *end >= ' ' && *end <= '~';
  *end = 0;
  close(text);
  if (waitpid(queue, &status, 0) != queue || !WIFEXITED(status))
    return "451 qq crashed (#4.3.0)";
  code = WEXITSTATUS(status) == 0 && failed ? 54 : WEXITSTATUS(status);
  if (looping)
    return SMTPREPLY_HOPS;
  if (databytes && taken > databytes)
    return SMTPREPLY_SIZE;
  queue = (int) scannertext_queued(said, (unsigned long) queue);
  snprintf(line, sizeof line, "250 ok %ld qp %d id %s", (long) time(0), queue, mailid());
  if (code == 0)
    refusal_accepted(sender, ip, (unsigned long) queue);
  if (code == 82)
    snprintf(line, sizeof line, "%s %s", said[0] == 'Z' && said[1] ? "451" : "554",
      (said[0] == 'D' || said[0] == 'Z') && said[1] ? said + 1 : known[31] + 4);
  return code == 0 || code == 82 ? line : code < 128 && known[code] ? known[code] :
    code >= 11 && code <= 40 ? "554 qq permanent problem (#5.3.0)" : "451 qq temporary problem (#4.3.0)";
}

static int smtpd(void)
{
  const char *greeting = control("control/smtpgreeting", control("control/me", 0));
  const char *said;
  char line[10000], helo[1000] = "", ehlo[MAILSIZE_EHLO_MAX], banner[1000 + MAILSIZE_EHLO_MAX], *arg, *h;
  int ch, n;

  limitcount_begin(&limits, getenv("REFUSALS_LIMIT"), 0);
  if (!replay_begin(&limits))
    die(SMTPREPLY_CONTROL);
  mailid_begin();
  unshared_begin();
  starttls_begin();
  hosts = control_lines("control/rcpthosts", &rcpthosts);
  bad = control_lines("control/badmailfrom", &badmailfrom);
  if (!greeting || (bad == -1 && access("control/badmailfrom", F_OK) == 0))
    die(SMTPREPLY_CONTROL);
  timeout = atoi(control("control/timeoutsmtpd", "1200"));
  databytes = mailsize_limit(control("control/databytes", 0), getenv("DATABYTES"));
  ip = getenv("TCPREMOTEIP") ? getenv("TCPREMOTEIP") : "unknown";
  relayclient = getenv("RELAYCLIENT");
  snprintf(banner, sizeof banner, "220 %s ESMTP", greeting);
  reply(banner);
  for (alarm((unsigned int) timeout);;) {
    fflush(stdout);
    for (n = 0; (ch = get()) != '\n'; line[n++] = (char) (ch ? ch : 1))
      if (n == (int) sizeof line - 1)
        die(SMTPREPLY_NOMEM);
    line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = 0;
    arg = line + strcspn(line, " ") + strspn(line + strcspn(line, " "), " ");
    line[strcspn(line, " ")] = 0;
    seenmail &= strcasecmp(line, "helo") && strcasecmp(line, "ehlo") && strcasecmp(line, "rset");
    if (!strcasecmp(line, "helo") || !strcasecmp(line, "ehlo")) {
      snprintf(helo, sizeof helo, "%.255s", arg);
      for (h = helo; *h; ++h)
        *h = strchr("()<>\"\\=", *h) || *h <= ' ' || *h > '~' ? '?' : *h;
      snprintf(banner, sizeof banner, *line == 'h' || *line == 'H' ? "250 %s\r\n" : "250-%s%s%s", greeting, starttls_offer(),
        mailsize_ehlo(ehlo, (unsigned) databytes));
      reply(banner);
    } else if (!strcasecmp(line, "quit"))
      return printf("221 %s\r\n", greeting) < 0;
    else {
      said = (!strcasecmp(line, "mail") ? mail(arg) : !strcasecmp(line, "rcpt") ? rcpt(arg) :
        !strcasecmp(line, "data") ? data(helo) : !strcasecmp(line, "noop") ? SMTPREPLY_OK :
        !strcasecmp(line, "help") ? SMTPREPLY_HELP : !strcasecmp(line, "starttls") ? starttls(arg, helo) :
        !strcasecmp(line, "vrfy") ? SMTPREPLY_VRFY :
        !strcasecmp(line, "rset") ? SMTPREPLY_FLUSHED : SMTPREPLY_UNIMPLEMENTED);
      if (*said == '5' && strncmp(said, "554", 3) && (strncmp(said, "552", 3) || strcasecmp(line, "data"))
          && limitcount_refused(&limits)) {
        refusal_hangup("refusals", ip);
        said = SMTPREPLY_EXCESS;
      }
      if (*said)
        reply(said);
      if (!strncmp(said, "421", 3))
        return 1;
    }
  }
}

/* Where an address goes, by smtproutes; without a route to the domain itself. */
static void route(const char *to, char *host, size_t size, const char **port)
{
  const char *domain = strrchr(to, '@') ? strrchr(to, '@') + 1 : to, *key, *found = 0;
  char **lines, *colon;
  int n = control_lines("control/smtproutes", &lines), i;

  for (key = domain; !found; key = strchr(key + 1, '.') ? strchr(key + 1, '.') : "") {
    for (i = n - 1; i >= 0 && !found; --i)
      if (!strncasecmp(lines[i], key, strlen(key)) && lines[i][strlen(key)] == ':')
        found = lines[i] + strlen(key) + 1;
    if (!*key)
      break;
  }
  found = found && *found ? found : domain;
  snprintf(host, size, "%s", found + (*found == '['));
  *port = (colon = strchr(host, ':')) ? colon + 1 : "25";
  host[strcspn(host, ":]")] = 0;
}

/* What an address of this host stands for: the first line of its alias without '&', or null; else the address. */
static const char *forward(const char *to)
{
  const char *at = strrchr(to, '@'), *line;
  char path[1100];

  if (at && strcasecmp(at + 1, control("control/me", "")))
    return to;
  snprintf(path, sizeof path, "alias/.qmail-%.*s", at ? (int) (at - to) : 999, to);
  line = strchr(to, '/') ? 0 : control(path, 0);
  return line && *line == '&' ? line + 1 : 0;
}

/* Says a line and reads the reply: 0, or an exit code. */
static int say(FILE *in, FILE *out, const char *verb, const char *arg, const char *end, int expected)
{
  struct remotereply heard;
  enum remotereply_state state;
  int ch;

  fprintf(out, "%s%s%s", verb, arg, end);
  if (fflush(out) == EOF)
    return 74;
  remotereply_begin(&heard);
  do
    if ((ch = getc(in)) == EOF)
      return 74;
  while ((state = remotereply_byte(&heard, (char) ch)) == REMOTEREPLY_MORE);
  return state == REMOTEREPLY_WRONG ? 71 : (int) heard.code / 100 == expected ? 0 : heard.code >= 500 ? 31 : 71;
}

static int deliver(FILE *file, const char *from, const char *to)
{
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_INET }, *a;
  char host[1100];
  const char *port, *me = control("control/me", "localhost");
  FILE *in, *out;
  int fd, code, ch, last = '\n';

  if (!(to = forward(to)))
    return 31;
  route(to, host, sizeof host, &port);
  if (getaddrinfo(host, port, &hints, &a) != 0 || (fd = socket(AF_INET, SOCK_STREAM, 0)) == -1 ||
      connect(fd, a->ai_addr, a->ai_addrlen) == -1 || !(in = fdopen(fd, "r")) || !(out = fdopen(dup(fd), "w")))
    return 73;
  if ((code = say(in, out, "", "", "", 2)) || (code = say(in, out, "HELO ", me, "\r\n", 2)) ||
      (code = say(in, out, "MAIL FROM:<", from, ">\r\n", 2)) ||
      (code = say(in, out, "RCPT TO:<", to, ">\r\n", 2)) || (code = say(in, out, "DATA", "", "\r\n", 3)))
    return code;
  for (rewind(file); (ch = getc_unlocked(file)) != EOF; last = ch) {
    if (last == '\n' && ch == '.')
      putc_unlocked('.', out);
    if (ch == '\r' && (ch = getc_unlocked(file)) != '\n')
      ungetc(ch, file), ch = ' ';
    fputs(ch == '\n' ? "\r" : "", out), putc_unlocked(ch ? ch : ' ', out);
  }
  if (ferror(file) || (code = say(in, out, last == '\n' ? "" : "\r\n", ".", "\r\n", 2)))
    return code ? code : 54;
  say(in, out, "QUIT", "", "\r\n", 2);
  return fclose(in), fclose(out), 0;
}

static int enqueue(void)
{
  static char buf[2000000];
  char name[64], *e;
  size_t len = 0;
  ssize_t r;
  FILE *file;
  int code = 0;

  alarm(300);   /* a back end that hangs is a crash of qmail-queue, 451 */
  snprintf(name, sizeof name, "queue/mess/%ld", (long) getpid());
  if (!(file = fopen(name, "w+")) || unlink(name) == -1)
    return 62;
  while ((r = read(0, buf, sizeof buf)) > 0 && fwrite(buf, 1, (size_t) r, file) == (size_t) r)
    ;
  if (r != 0 || fflush(file) == EOF)
    return 54;
  while (len < sizeof buf && (r = read(1, buf + len, sizeof buf - len)) > 0)
    len += (size_t) r;
  if (r == -1 || len < 4 || len == sizeof buf || buf[len - 1] || buf[len - 2])
    return 54;
  for (e = buf; *e; e += strlen(e) + 1)
    if (*e != (e == buf ? 'F' : 'T') || strlen(e) > 1000)
      return *e == 'F' || *e == 'T' ? 11 : 91;
  for (e = buf + strlen(buf) + 1; *e && code == 0; e += strlen(e) + 1)
    code = deliver(file, buf + 1, e + 1);
  return code;
}

int main(int argc, char **argv)
{
  if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || chdir(QMAIL) == -1)
    return 61;
  return argc && strstr(argv[0], "qmail-queue") ? enqueue() : smtpd();
}
