/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * smtpfront OPTIONS            the SMTP sessions of all clients, until one names a recipient that could be accepted
 *
 * One process that can refuse, but never accept. It looks clients up in the compiled rules, closes on denied ones,
 * speaks SMTP, and refuses by rule, DNS list, greylist, badmailfrom, rcpthosts and validrcptto. At the first
 * recipient that it would accept, before answering, the session goes to the launcher (smtplaunch.c), which starts
 * qmail-smtpd; a client that may relay goes there at once. Started as root, it takes the port and becomes another
 * user, and executes nothing.
 *
 *   -a ADDRESS  to listen at, of IPv4 or IPv6, up to eight times; :: is passed over where the host has no IPv6
 *   -p PORT     25
 *   -u UID -g GID                                   -s PATH     the launcher's socket
 *   -x FILE     /etc/tcp.smtp.cdb                   -q DIRECTORY /var/qmail/control
 *   -k DIRECTORY /var/qmail/cqgreylist, or none ('')  -e FILE     /etc/mailgate/cqgreylist
 *   -b FILE     /etc/mailgate/dnsbl                 -n FILE     /etc/mailgate/greylist_exempt
 *   -l FILE     the public suffix list              -r REPLY    to a client that a rule denies, 554 or 421 and a text;
 *                                                               none by default
 *   -c NUMBER   sessions, 2000                      -C NUMBER   of them, of one client, 50
 *   -S NUMBER   of them with TLS, 300; then the one that is silent longest ends
 *   -N NUMBER   of one /24 or /64, 200              -B NUMBER   bytes of a client before it is handed over, 131072
 *   -i SECONDS  for one command, 300                -t SECONDS  for a session before it is handed over, 900
 *   -w SECONDS  a client waits for a place, 30          -T PATH     smtptls's socket; none by default: no TLS
 *   REFUSALS_LIMIT, COMMANDS_LIMIT, VALIDRCPTTO_LIMIT, DATABYTES, DNSCACHEIP in the environment, as with qmail-smtpd
 *
 * At SIGTERM it sends 421 to all clients and ends; so it does when a directory that it may use, such as DIRECTORY of -k, is
 * another one than at its start, which is closed to it. At SIGINT it closes the port, and the sessions that there are go on;
 * SIGCONT opens it again. The log is qmail-smtpd's, whose descriptor comes from the launcher; what cannot be written
 * there is dropped and counted. ID is that of a session (sessionid.h), also in lines of refusal.h as from qmail-smtpd:
 *   smtpfront: pid ID from IP              before its other lines, unless all of it is refused by deny, busy, new, early
 *                                          or refused, with unconfirmed or unnamed before it
 *   smtpfront: end ID status 0             to its end here, be it by a hand-over
 *   smtpfront[ID]: deny IP
 *   smtpfront[ID]: busy IP client|network|drained
 *   smtpfront[ID]: new|early|passed|known|skipped|refused|open ...    as cqgreylist.c, and
 *   smtpfront[ID]: passed IP KEY after SECONDS pool DOMAIN            by an attempt from another network
 *   smtpfront[ID]: skipped IP - exempt NAME
 *   smtpfront[ID]: unconfirmed IP NAME                                 as clientname.c
 *   smtpfront[ID]: unnamed IP WHY                                      its name could not be found
 *   smtpfront[ID]: listed|ignored|trouble ...                         as dnsbl.c
 *   smtpfront[ID]: ended IP silent|too slow|too many bytes|all places are in use|all places of TLS are in use|no TLS: WHY
 *   smtpfront[ID]: put off IP no session of qmail-smtpd
 *   smtpfront[ID]: lost IP the launcher went away|the launcher does not answer
 * Of those asked, new, early, refused, ended, put off and lost end with " tls=VERSION/CIPHER" where the client has TLS.
 *   smtpfront: warning: ...
 *   smtpfront: dropped NUMBER lines of the log
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "fileseen.h"
#include "front.h"
#include "listening.h"
#include "refusal.h"
#include "replycode.h"
#include "say.h"
#include "smtpreply.h"

#define ME "smtpfront"
#define BACKLOG 4096         /* connections that wait to be taken, if net.core.somaxconn is as high */
#define EVENTS 256
#define ACCEPTS 64           /* connections that are taken before others have their turn */
#define TICK_MS 1000
#define OTHER_DESCRIPTORS 300
#define END_MS 800           /* to be told, for those who are sending or being handed over just then */
#define END_ROUNDS 32
#ifndef RELAY_CLIENTS_MS
#define RELAY_CLIENTS_MS 800 /* the launcher may take for relay clients before the port is closed */
#endif
#define RELAY_CLIENTS_ROUND_MS 25

struct options {
  const char *address[FRONT_LISTENING_MAX];
  int addresses;
  int port;
  uid_t uid;
  gid_t gid;
  int has_uid;
};

static struct front front;   /* the one front of this process */

static void fatal(const char *what)
{
  say(ME, "fatal: %s: %s", what, strerror(errno));
  exit(111);
}

static long now_ms(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void to_log(const char *line, size_t len)
{
  if (front.talking)
    session_announce(&front, front.talking);
  logqueue_line(&front.log, line, len);
}

/* ---- descriptors of the loop ---- */

/* Takes some of those who are connected. Returns 0 when nobody waits any more. */
static int take_some(struct front *f, int listening)
{
  int i;
  int fd;

  for (i = 0; i < ACCEPTS; ++i) {
    fd = accept4(listening, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd == -1)
      return 0;
    session_begin(f, fd);
  }
  return 1;
}

static void accept_clients(struct watch *watch, uint32_t events)
{
  (void) events;
  take_some(watch->owner, watch->fd);
}

static void log_ready(struct watch *watch, uint32_t events)
{
  (void) watch;
  (void) events;   /* it is written to at the end of each round */
}

static int relay_client_is_handed_over(const struct front *f)
{
  size_t i;

  for (i = 0; i < f->limits.all; ++i)
    if (f->session[i].state == SESSION_HANDING && f->session[i].relay)
      return 1;
  return 0;
}

/* Who may relay is served only while somebody listens (tcppeer.h): the launcher answers for them first. */
static void wait_for_relay_clients(struct front *f)
{
  static const struct timespec moment = {0, RELAY_CLIENTS_ROUND_MS * 1000000L};
  int waited_ms;

  for (waited_ms = 0; waited_ms < RELAY_CLIENTS_MS && f->link.fd != -1 && relay_client_is_handed_over(f);
       waited_ms += RELAY_CLIENTS_ROUND_MS) {
    nanosleep(&moment, 0);
    f->link.ready(&f->link, EPOLLIN);
  }
}

/* Who is connected already is taken first. The port remains this process's own, so no right is needed to open it again. */
static void close_port(struct front *f)
{
  int rounds;
  int i;

  for (i = 0; i < f->listening_n; ++i) {
    if (!f->listening[i].events)
      continue;
    for (rounds = BACKLOG / ACCEPTS; rounds > 0 && take_some(f, f->listening[i].fd); --rounds)
      ;
    wait_for_relay_clients(f);
    watch_set(f->epoll, &f->listening[i], 0);
    if (shutdown(f->listening[i].fd, SHUT_RD) == -1)
      front_say(f, 0, "warning: cannot close the port: %s", strerror(errno));
  }
  front_say(f, 0, "warning: the port is closed until SIGCONT");
}

static void open_port(struct front *f)
{
  int opened = 0;
  int i;

  for (i = 0; i < f->listening_n; ++i) {
    if (f->listening[i].events)
      continue;
    opened = 1;
    if (listen(f->listening[i].fd, BACKLOG) == -1 || !watch_set(f->epoll, &f->listening[i], EPOLLIN)) {
      front_say(f, 0, "warning: cannot open the port: %s", strerror(errno));
      f->ending = 1;   /* the next one opens it */
    }
  }
  if (opened)
    front_say(f, 0, "warning: the port is open again");
}

static void signalled(struct watch *watch, uint32_t events)
{
  struct front *f = watch->owner;
  struct signalfd_siginfo info;

  (void) events;
  if (read(watch->fd, &info, sizeof info) != (ssize_t) sizeof info)
    return;
  if (info.ssi_signo == SIGTERM)
    f->ending = 1;
  else if (info.ssi_signo == SIGINT)
    close_port(f);
  else
    open_port(f);
}

static void listen_at(struct front *f, const char *text, int port)
{
  struct sockaddr_storage address;
  const char *why;
  socklen_t len = listening_address(&address, text, port, &why);
  int fd;

  if (!len) {
    say(ME, "fatal: -a: '%.100s' %s", text, why);
    exit(100);
  }
  fd = listening_open(&address, len, BACKLOG);
  if (fd == -1 && errno == EAFNOSUPPORT && listening_every_ipv6(&address)) {
    say(ME, "warning: this host has no IPv6, so clients of IPv4 alone are served");
    return;
  }
  if (fd == -1)
    fatal(text);
  f->listening[f->listening_n].fd = fd;
  f->listening[f->listening_n].ready = accept_clients;
  f->listening[f->listening_n++].owner = f;
}

/* ---- the beginning ---- */

static long number(const char *text, long most)
{
  char *end;
  long n;

  errno = 0;
  n = strtol(text, &end, 10);
  if (*text < '0' || *text > '9' || *end || errno || n > most) {
    say(ME, "fatal: '%.100s' is not a number; expected one from 0 to %ld", text, most);
    exit(100);
  }
  return n;
}

static void read_deny_reply(struct front *f, const char *reply)
{
  char text[FRONT_TEXT_MAX];
  char before[REPLYCODE_MAX + 1];

  if ((strncmp(reply, "554 ", 4) != 0 && strncmp(reply, "421 ", 4) != 0) || !reply[4]) {
    say(ME, "fatal: '%.100s' is not a reply; expected 554 or 421, a space, and a text", reply);
    exit(100);
  }
  say_printable(text, sizeof text, reply + 4);
  snprintf(f->deny_reply, sizeof f->deny_reply, "%s%s\r\n", replycode(before, reply, text), text);
}

static void read_options(struct front *f, struct options *o, int argc, char **argv)
{
  const char *rules = "/etc/tcp.smtp.cdb";
  const char *control = "/var/qmail/control";
  const char *tls = 0;
  int option;

  while ((option = getopt(argc, argv, "a:p:u:g:s:x:q:k:e:b:n:l:r:c:C:N:S:B:i:t:w:T:")) != -1)
    switch (option) {
      case 'a':
        if (o->addresses == FRONT_LISTENING_MAX) {
          say(ME, "fatal: -a: '%.100s' is one too many; expected %d addresses at most", optarg, FRONT_LISTENING_MAX);
          exit(100);
        }
        o->address[o->addresses++] = optarg;
        break;
      case 'p': o->port = (int) number(optarg, 65535); break;
      case 'u': o->uid = (uid_t) number(optarg, 2147483647); o->has_uid = 1; break;
      case 'g': o->gid = (gid_t) number(optarg, 2147483647); break;
      case 's': f->link_path = optarg; break;
      case 'x': rules = optarg; break;
      case 'q': control = optarg; break;
      case 'k': f->greylist_directory = optarg; break;
      case 'e': f->settings_file = optarg; break;
      case 'b': f->dnsbl_file = optarg; break;
      case 'n': f->exempt_file = optarg; break;
      case 'l': f->suffixes_file = optarg; break;
      case 'r': read_deny_reply(f, optarg); break;
      case 'c': f->limits.all = (size_t) number(optarg, 60000); break;
      case 'C': f->limits.client = (unsigned) number(optarg, 60000); break;
      case 'N': f->limits.network = (unsigned) number(optarg, 60000); break;
      case 'B': f->limits.bytes = (size_t) number(optarg, 100000000); break;
      case 'i': f->limits.idle_ms = 1000 * number(optarg, 86400); break;
      case 't': f->limits.whole_ms = 1000 * number(optarg, 86400); break;
      case 'w': f->limits.place_ms = 1000 * number(optarg, 3600); break;
      case 'T': tls = optarg; break;
      case 'S': f->limits.secured = (size_t) number(optarg, 60000); break;
      default: exit(100);
    }
  if (optind != argc || !f->link_path || !o->addresses || !f->limits.all) {
    say(ME, "fatal: usage: smtpfront -a ADDRESS -s SOCKET OPTIONS");
    exit(100);
  }
  if (tls && strlen(tls) >= TLSLINK_PATH_MAX) {
    say(ME, "fatal: -T: '%.200s' is too long; expected less than %d characters", tls, TLSLINK_PATH_MAX);
    exit(100);
  }
  controls_begin(&f->controls, rules, control);
  f->controls.tls_path = tls;
}

static void set_defaults(struct front *f, struct options *o)
{
  memset(o, 0, sizeof *o);
  o->port = 25;
  f->greylist_directory = "/var/qmail/cqgreylist";
  f->settings_file = "/etc/mailgate/cqgreylist";
  f->dnsbl_file = "/etc/mailgate/dnsbl";
  f->exempt_file = GREYEXEMPT_FILE;
  f->suffixes_file = SUFFIXLIST_DIRECTORY "/public_suffix_list.dat";
  f->limits.all = 2000;
  f->limits.client = 50;
  f->limits.network = 200;
  f->limits.secured = 300;
  f->limits.bytes = 131072;
  f->limits.idle_ms = 300 * 1000L;
  f->limits.whole_ms = 900 * 1000L;
  f->limits.place_ms = 30 * 1000L;
}

static void become(const struct options *o)
{
  if (geteuid() != 0)
    return;
  if (!o->has_uid || o->uid == 0 || o->gid == 0) {
    say(ME, "fatal: run as root; expected -u and -g of another user");
    exit(100);
  }
  if (setgroups(0, 0) == -1 || setgid(o->gid) == -1 || setuid(o->uid) == -1)
    fatal("setuid");
}

static void make_sessions(struct front *f)
{
  unsigned char secret[16];
  size_t i;

  f->session = calloc(f->limits.all, sizeof *f->session);
  if (getrandom(secret, sizeof secret, 0) != (ssize_t) sizeof secret || !f->session
      || !places_begin(&f->places, 3 * f->limits.all, secret))   /* a client, its network, and questions of that */
    fatal("memory");
  for (i = f->limits.all; i-- > 0; ) {
    f->session[i].newer = f->free;
    f->free = &f->session[i];
  }
}

/* The limit of memory that the service runs under is not touched. */
static void allow_descriptors(const struct front *f)
{
  struct rlimit limit;
  /* With TLS: the client's socket, the plain end, and before that the connection to smtptls. */
  rlim_t wanted = (f->controls.tls_path ? 3 : 1) * f->limits.all + OTHER_DESCRIPTORS;

  if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
    fatal("getrlimit");
  if (limit.rlim_cur >= wanted)
    return;
  limit.rlim_cur = wanted;
  if (limit.rlim_max < wanted)
    limit.rlim_max = wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
    fatal("descriptors");
}

static void begin_loop(struct front *f, struct watch *signals)
{
  sigset_t set;
  int i;

  f->epoll = epoll_create1(EPOLL_CLOEXEC);
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGCONT);
  signal(SIGPIPE, SIG_IGN);
  if (f->epoll == -1 || sigprocmask(SIG_BLOCK, &set, 0) == -1)
    fatal("epoll");
  signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  signals->ready = signalled;
  signals->owner = f;
  if (signals->fd == -1 || !watch_set(f->epoll, signals, EPOLLIN))
    fatal("signalfd");
  logqueue_begin(&f->log, -1);
  f->log_watch.fd = -1;
  f->log_watch.ready = log_ready;
  f->log_watch.owner = f;
  refusal_write = to_log;
  resolver_begin(&f->resolver, f->epoll);
  for (i = 0; i < f->listening_n; ++i)
    if (!watch_set(f->epoll, &f->listening[i], EPOLLIN))
      fatal("epoll");
}

/* ---- the loop ---- */

static void tick(struct front *f)
{
  const char *left = frontjail_left(f);
  size_t i;

  if (left) {
    front_say(f, 0, "warning: %s is another directory than at the start; the next smtpfront has it", left);
    f->ending = 1;
  }
  link_time(f);
  for (i = 0; i < f->limits.all && f->sessions; ++i)
    if (f->session[i].state != SESSION_FREE)
      session_time(f, &f->session[i]);
}

/* A log that is broken is closed, as it would wake the loop for ever; the launcher sends another when it is started. */
static void write_log(struct front *f)
{
  int left = logqueue_flush(&f->log);

  if (f->log.fd == -1)
    return;
  if (left == -1) {
    watch_set(f->epoll, &f->log_watch, 0);
    close(f->log.fd);
    f->log.fd = f->log_watch.fd = -1;
  } else if (!watch_set(f->epoll, &f->log_watch, left ? EPOLLOUT : 0)) {
    f->log_watch.events = 0;
  }
}

static void loop(struct front *f)
{
  struct epoll_event event[EVENTS];
  long next_tick = 0;
  long next;
  long wait;
  int n;
  int i;

  while (!f->ending) {
    f->now_ms = now_ms();
    if (f->now_ms >= next_tick) {
      tick(f);
      next_tick = f->now_ms + TICK_MS;
    }
    resolver_time(&f->resolver, f->now_ms);
    verdict_places(f);
    next = resolver_time(&f->resolver, f->now_ms);
    write_log(f);
    wait = f->sessions || f->link.fd == -1 ? next_tick - f->now_ms : -1;
    if (next != -1 && (wait == -1 || next - f->now_ms < wait))
      wait = next - f->now_ms > 0 ? next - f->now_ms : 0;
    n = epoll_wait(f->epoll, event, EVENTS, (int) wait);
    fileseen_round();
    f->now_ms = now_ms();
    for (i = 0; i < n; ++i) {
      struct watch *watch = event[i].data.ptr;

      if (watch->events)   /* it has not left the loop in this round */
        watch->ready(watch, event[i].events);
    }
  }
}

/* Tells everybody; returns whether somebody was sending, or the launcher has not answered for somebody yet. */
static int tell_all(struct front *f)
{
  int more = 0;
  size_t i;

  if (f->link.fd != -1)
    f->link.ready(&f->link, EPOLLIN);
  for (i = 0; i < f->limits.all; ++i) {
    if (f->session[i].state == SESSION_FREE)
      continue;
    session_farewell(f, &f->session[i], SMTPREPLY_SHUTDOWN);
    more |= f->session[i].state == SESSION_HANDING || session_forget_unread(&f->session[i]);
  }
  return more;
}

static void end_all(struct front *f)
{
  static const struct timespec moment = {0, END_MS / END_ROUNDS * 1000000L};
  int round;
  size_t i;

  for (round = 0; round < END_ROUNDS && tell_all(f); ++round)
    nanosleep(&moment, 0);
  for (i = 0; i < f->limits.all; ++i)
    if (f->session[i].state != SESSION_FREE)
      session_end(f, &f->session[i], 0);
  write_log(f);
}

int main(int argc, char **argv)
{
  struct options options;
  struct watch signals;
  const char *missing;
  char rules_directory[512];
  int i;

  memset(&signals, 0, sizeof signals);
  set_defaults(&front, &options);
  read_options(&front, &options, argc, argv);
  allow_descriptors(&front);
  for (i = 0; i < options.addresses; ++i)
    listen_at(&front, options.address[i], options.port);
  if (!front.listening_n) {
    say(ME, "fatal: there is no address to listen at");
    return 111;
  }
  become(&options);
  make_sessions(&front);
  begin_loop(&front, &signals);
  front.now_ms = now_ms();
  pool_begin(&front);
  link_begin(&front);
  if (!frontjail(&front, frontjail_directory(rules_directory, sizeof rules_directory, front.controls.rules_path), &missing))
    fatal("cannot be confined");
  if (missing)
    say(ME, "warning: the kernel has no %s", missing);
  loop(&front);
  end_all(&front);
  return 0;
}
