/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * smtplaunch OPTIONS -- PROGRAM ARGS...     starts PROGRAM, which ends in qmail-smtpd, for each session of smtpfront
 *
 * Takes sessions and their clients' sockets from smtpfront over a unix socket (frontlink.h), and trusts only that it
 * has a client: the rule is looked up once more for the peer of that socket, and the environment is made of it. A
 * client with bytes to replay never relays, and its mail never goes to another queue than the service's own. Who may
 * relay came to a port where somebody listens, its end is not smtpfront's own (tcppeer.h), and its socket is still what
 * was accepted there (tcporigin.h), at which qmail-smtpd looks again (unshared.h). Of a client with TLS the
 * plain end comes, too, made by smtptls's user, and becomes the session's; such a client has bytes to replay. Sessions
 * are counted by locked files that they inherit (slots.h), so sessions begun before a restart count, too.
 *
 *   -s PATH     the socket, made at the start            -u USER     who may connect to it besides oneself: name, number
 *   -d DIRECTORY of the places                           -x FILE     the compiled rules
 *   -l NAME     TCPLOCALHOST                             -c NUMBER   sessions
 *   -C NUMBER   of them, of one client                   -N NUMBER   of one /24 or /64
 *   -R NUMBER   of them, kept for relay clients          -t USER     smtptls's; without it no client has TLS
 *
 * SIGTERM ends it; sessions continue. The log, in the format of tcpserver:
 *   smtplaunch: status: N/MOST
 *   smtplaunch: pid PID from IP id ID     of the session (sessionid.h), in qmail-smtpd's environment, too
 *   smtplaunch: ok PID NAME:IP:PORT :IP::PORT
 *   smtplaunch: end PID status STATUS
 *   smtplaunch: refused IP WHY            smtpfront should not have handed it over, or the rule has changed since
 *   smtplaunch: warning: ...
 *   smtplaunch: fatal: ...                exit status 111
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "address.h"
#include "cdbread.h"
#include "descriptor.h"
#include "environment.h"
#include "frontlink.h"
#include "sessionid.h"
#include "slots.h"
#include "smtpreply.h"
#include "tcporigin.h"
#include "tcppeer.h"
#include "tcprule.h"

#define FRONTS_MAX 4           /* connections of smtpfront: one, and perhaps one that has not ended yet */
#define LINE_MAX_BYTES 600
#define FIELD_MAX (INET6_ADDRSTRLEN + 2)   /* an address in brackets */

extern char **environ;

struct launcher {
  const char *socket_path;
  const char *places;
  const char *rules;
  const char *local_host;
  uid_t front_uid;
  int front_is_other;          /* -u: it is somebody else, and not trusted */
  uid_t tls_uid;
  int has_tls;                 /* -t */
  int demands_origin;          /* of who may relay: the front is not trusted, and the kernel can tell */
  struct slots_limits limits;
  char **program;
  const char *last_program;    /* the last word of it, qmail-smtpd: it must be executable */
  int listening;
  int front[FRONTS_MAX];       /* -1: free */
};

struct client {
  int end;                     /* of the session: the client's socket, or the plain end of its TLS */
  struct tlsterms tls;
  struct tcptable_end remote;
  struct tcptable_end local;
  char id[SESSIONID_CHARACTERS + 1];
  char remote_ip[INET6_ADDRSTRLEN];
  char local_ip[INET6_ADDRSTRLEN];
};

static volatile sig_atomic_t ended;   /* by SIGTERM */
static int wake[2];                   /* a pipe: a signal came */

static unsigned long dropped;         /* lines for which the log had no room */

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A log that is full, or not read, must not block a session: descriptor 2 does not block. */
static void write_line(const char *line, size_t len)
{
  char more[LINE_MAX_BYTES];
  int n;

  if (dropped) {
    n = snprintf(more, sizeof more, "smtplaunch: warning: dropped %lu lines of the log\n", dropped);
    if (write(2, more, (size_t) n) == n)
      dropped = 0;
  }
  if (dropped || write(2, line, len) == -1)
    ++dropped;
}

static void note(const char *format, ...)
{
  char line[LINE_MAX_BYTES];
  va_list arguments;
  int head = snprintf(line, sizeof line, "smtplaunch: ");
  int n;

  va_start(arguments, format);
  n = vsnprintf(line + head, sizeof line - (size_t) head - 1, format, arguments);
  va_end(arguments);
  if (n < 0)
    return;
  n += head;
  if (n > (int) sizeof line - 2)
    n = (int) sizeof line - 2;
  line[n++] = '\n';
  write_line(line, (size_t) n);
}

static void fatal(const char *what)
{
  note("fatal: %s: %s", what, strerror(errno));
  exit(111);
}

/* ---- signals ---- */

static void on_signal(int number)
{
  int saved = errno;

  if (number == SIGTERM)
    ended = 1;
  if (write(wake[1], "", 1) == -1)
    errno = saved;   /* the pipe is full: it wakes up anyway */
  errno = saved;
}

static void set_signals(void)
{
  struct sigaction action;

  if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) == -1)
    fatal("pipe");
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  if (sigaction(SIGTERM, &action, 0) == -1 || sigaction(SIGCHLD, &action, 0) == -1)
    fatal("sigaction");
  action.sa_handler = SIG_IGN;
  if (sigaction(SIGPIPE, &action, 0) == -1)
    fatal("sigaction");
}

static void reap(void)
{
  pid_t pid;
  int status;

  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    note("end %ld status %d", (long) pid, status);
}

/* ---- the client of a socket ---- */

static int one_end(const struct sockaddr_storage *from, struct tcptable_end *end, char *text)
{
  const struct sockaddr_in *four = (const struct sockaddr_in *) from;
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *) from;
  char shown[INET6_ADDRSTRLEN];

  if (from->ss_family == AF_INET) {
    end->port = ntohs(four->sin_port);
    if (!inet_ntop(AF_INET, &four->sin_addr, shown, sizeof shown))
      return 0;
  } else if (from->ss_family == AF_INET6) {
    end->port = ntohs(six->sin6_port);
    if (!inet_ntop(AF_INET6, &six->sin6_addr, shown, sizeof shown))
      return 0;
  } else {
    return 0;
  }
  /* One of IPv4 that is written as IPv6 becomes that of IPv4. */
  return address_parse(&end->address, shown)
         && inet_ntop(end->address.bits == 32 ? AF_INET : AF_INET6, end->address.bytes, text, INET6_ADDRSTRLEN);
}

/* Returns the value of an option of a socket, -1 for what is no socket. */
static int option_of(int fd, int name)
{
  int value = -1;
  socklen_t len = sizeof value;

  return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

/* Returns 0 unless the socket is a TCP connection whose two ends have addresses. */
static int find_client(struct client *client, int fd)
{
  struct sockaddr_storage remote;
  struct sockaddr_storage local;
  socklen_t remote_len = sizeof remote;
  socklen_t local_len = sizeof local;

  return option_of(fd, SO_TYPE) == SOCK_STREAM
         && getpeername(fd, (struct sockaddr *) &remote, &remote_len) == 0
         && getsockname(fd, (struct sockaddr *) &local, &local_len) == 0
         && one_end(&remote, &client->remote, client->remote_ip) && one_end(&local, &client->local, client->local_ip);
}

/* ---- a session ---- */

/* Runs in the new process. Whatever fails here, the client is deferred. */
static void run(const struct launcher *l, const struct client *client, const struct environment *e, int replay, int place,
                int begun)
{
  const char *sorry = begun ? SMTPREPLY_NO_PLACE : SMTPREPLY_BUSY;

  signal(SIGTERM, SIG_DFL);
  signal(SIGCHLD, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  /* With TLS the client's own socket is smtptls's, which must not block there. */
  if (fcntl(client->end, F_SETFL, fcntl(client->end, F_GETFL) & ~O_NONBLOCK) != -1
      && fcntl(place, F_SETFD, 0) != -1 && dup2(client->end, 0) == 0 && dup2(client->end, 1) == 1
      && (replay == -1 || fcntl(replay, F_SETFD, 0) != -1)) {
    execve(l->program[0], l->program, (char *const *) e->variable);
    note("warning: cannot run %.200s: %s", l->program[0], strerror(errno));
  }
  if (write(client->end, sorry, strlen(sorry)) == -1)
    _exit(112);
  _exit(111);
}

/* Makes a pipe with the session's bytes; returns its reading end, or -1. */
static int replay_of(const char *bytes, size_t len)
{
  int ends[2];

  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1)
    return -1;
  if (write(ends[1], bytes, len) != (ssize_t) len) {
    close(ends[0]);
    ends[0] = -1;
  } else {
    fcntl(ends[0], F_SETFL, 0);
  }
  close(ends[1]);
  return ends[0];
}

/* An address as it stands between colons: one of IPv6 in brackets. */
static const char *in_field(char out[FIELD_MAX], const char *ip)
{
  snprintf(out, FIELD_MAX, strchr(ip, ':') ? "[%s]" : "%s", ip);
  return out;
}

static enum frontlink_answer start(const struct launcher *l, const struct client *client, const struct tcprule_found *rule,
                                   const char *bytes, size_t len, int begun)
{
  struct environment_session session = {l->local_host, client->local_ip, client->remote_ip, client->local.port,
                                        client->remote.port, client->id, begun, !begun && l->demands_origin,
                                        client->tls};
  struct environment e;
  struct slots_taken place;
  char local[FIELD_MAX];
  char remote[FIELD_MAX];
  char handover[32];
  int replay = -1;
  int busy;
  pid_t pid = -1;
  enum slots taken;

  if (access(l->program[0], X_OK) == -1 || access(l->last_program, X_OK) == -1) {
    note("warning: cannot run %.200s: %s", l->last_program, strerror(errno));
    return FRONTLINK_UNABLE;
  }
  if (!environment_make(&e, environ, rule, &session) || e.variables == ENVIRONMENT_MAX) {
    note("warning: too many variables for %s", client->remote_ip);
    return FRONTLINK_UNABLE;
  }
  taken = slots_take(&place, l->places, &l->limits, &client->remote.address,
                     tcprule_value(rule, "RELAYCLIENT") && !begun, &busy);
  if (taken == SLOTS_TROUBLE) {
    note("warning: cannot count sessions in %.200s: %s", l->places, strerror(errno));
    return FRONTLINK_UNABLE;
  }
  if (taken == SLOTS_FULL)
    return FRONTLINK_FULL;
  if (begun) {
    replay = replay_of(bytes, len);
    snprintf(handover, sizeof handover, "HANDOVER=%d", replay);
    e.variable[e.variables++] = handover;
    e.variable[e.variables] = 0;
  }
  if (!begun || replay != -1)
    pid = fork();
  if (pid == 0)
    run(l, client, &e, replay, place.fd, begun);
  if (pid == -1)
    note("warning: cannot start a session: %s", strerror(errno));
  close(place.fd);
  if (replay != -1)
    close(replay);
  if (pid == -1)
    return FRONTLINK_UNABLE;
  note("status: %d/%d", busy, l->limits.all);
  note("pid %ld from %s id %s", (long) pid, client->remote_ip, client->id);
  note("ok %ld %s:%s:%u :%s::%u", (long) pid, l->local_host ? l->local_host : "", in_field(local, client->local_ip),
       client->local.port, in_field(remote, client->remote_ip), client->remote.port);
  return FRONTLINK_TAKEN;
}

/* Whether the descriptor is one end of a pair that smtptls made. */
static int is_plain_end(const struct launcher *l, int fd)
{
  struct ucred maker;
  socklen_t maker_len = sizeof maker;

  return l->has_tls && option_of(fd, SO_DOMAIN) == AF_UNIX && option_of(fd, SO_TYPE) == SOCK_STREAM
         && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &maker_len) == 0 && maker.uid == l->tls_uid;
}

/* Reads what stands before a session with TLS, and finds the session's end. Returns 0 unless both are there, or neither. */
static int find_tls(const struct launcher *l, struct client *client, const int fd[DESCRIPTOR_MOST], const char **bytes, size_t *len)
{
  const int line = frontlink_tls_read(&client->tls, *bytes, *len);

  client->end = line ? fd[1] : fd[0];
  if (line == 0)
    return fd[1] == -1;
  if (line == -1 || fd[1] == -1 || !is_plain_end(l, fd[1]))
    return 0;
  *bytes += line;
  *len -= (size_t) line;
  return 1;
}

/* Returns why smtpfront should not have handed the client over. */
static const char *objection(const struct launcher *l, const struct client *client, int socket, enum tcprule verdict,
                             const struct tcprule_found *rule, int begun)
{
  const char *listed = tcprule_value(rule, "RBLSMTPD");
  const char *why;

  if (verdict == TCPRULE_TROUBLE)
    return rule->trouble;
  if (verdict == TCPRULE_DENY)
    return "the rule denies it";
  if (listed && *listed)
    return "the rule refuses it";
  if (!begun && client->tls.version[0])
    return "it has TLS and has said nothing";
  if (!begun && !tcprule_value(rule, "RELAYCLIENT"))
    return "it has said nothing and may not relay";
  /* Only who has said nothing may relay. */
  if (begun || !l->front_is_other)
    return 0;
  why = tcppeer_objection(&client->local, &client->remote, l->front_uid);
  if (!why && l->demands_origin && !tcporigin_kept(socket))
    why = "its socket is not what came to the port";
  return why;
}

/* smtpfront's number of a session that it has begun, which cannot be much older; else one of our own. */
static void identify(struct client *client, uint64_t number, int begun)
{
  static uint64_t last;

  if (!begun || !sessionid_recent(number, (uint64_t) time(0)))
    number = last = sessionid_new(last);
  sessionid_text(client->id, number);
}

static enum frontlink_answer take(const struct launcher *l, const int fd[DESCRIPTOR_MOST], uint64_t number, const char *bytes,
                                  size_t len)
{
  static struct tcprule_found rule;
  struct handover session;
  struct client client;
  struct cdbread rules;
  enum tcprule verdict = TCPRULE_TROUBLE;
  const char *why;

  if (!find_client(&client, fd[0])) {
    note("refused - no address");
    return FRONTLINK_REFUSED;
  }
  if (!find_tls(l, &client, fd, &bytes, &len)) {
    note("refused %s no session of smtptls", client.remote_ip);
    return FRONTLINK_REFUSED;
  }
  if (!handover_read(&session, bytes, len)) {
    note("refused %s no session", client.remote_ip);
    return FRONTLINK_REFUSED;
  }
  identify(&client, number, session.said_len > 0);
  rule.variables = 0;
  if (cdbread_open(&rules, l->rules) == 0) {
    verdict = tcprule_find(&rule, &rules, &client.remote.address);
    cdbread_close(&rules);
  } else {
    rule.trouble = rules.trouble;
  }
  why = objection(l, &client, fd[0], verdict, &rule, session.said_len > 0);
  if (why) {
    note("refused %s %s", client.remote_ip, why);
    return FRONTLINK_REFUSED;
  }
  return start(l, &client, &rule, bytes, len, session.said_len > 0);
}

/* ---- smtpfront ---- */

static int answer(int front, const char *number, enum frontlink_answer what)
{
  char packet[FRONTLINK_ANSWER];

  memcpy(packet, number, FRONTLINK_HEADER);
  packet[FRONTLINK_HEADER] = (char) what;
  return send(front, packet, sizeof packet, MSG_NOSIGNAL) == (ssize_t) sizeof packet;
}

/* Returns 0 when the connection is over. */
static int serve(const struct launcher *l, int front)
{
  static char packet[FRONTLINK_PACKET_MAX];
  enum frontlink_answer what;
  ssize_t n;
  int fd[DESCRIPTOR_MOST];
  int i;

  n = descriptor_receive_some(front, packet, sizeof packet, fd, DESCRIPTOR_MOST);
  if (n == -1)
    return errno == EAGAIN || errno == EINTR;
  if (n < FRONTLINK_HEADER) {
    what = FRONTLINK_REFUSED;
  } else if (fd[0] == -1) {   /* this process has too many open files, for example */
    note("warning: no socket of a client came with its session");
    what = FRONTLINK_UNABLE;
  } else {
    what = take(l, fd, frontlink_number_read(packet) >> FRONTLINK_SLOT_BITS, packet + FRONTLINK_HEADER,
                (size_t) n - FRONTLINK_HEADER);
  }
  for (i = 0; i < DESCRIPTOR_MOST; ++i)
    if (fd[i] != -1)
      close(fd[i]);
  return n >= FRONTLINK_HEADER && answer(front, packet, what);
}

/* Sends the descriptor of this service's log to smtpfront, whose lines belong among those of qmail-smtpd. */
static int send_log(int front)
{
  char packet[FRONTLINK_ANSWER];

  frontlink_number_write(packet, 0);
  packet[FRONTLINK_HEADER] = FRONTLINK_LOG;
  return descriptor_send(front, packet, sizeof packet, 2);
}

static void accept_front(struct launcher *l)
{
  struct ucred peer;
  socklen_t len = sizeof peer;
  int fd = accept4(l->listening, 0, 0, SOCK_CLOEXEC);
  int i;

  if (fd == -1)
    return;
  for (i = 0; i < FRONTS_MAX && l->front[i] != -1; ++i)
    ;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == l->front_uid || peer.uid == geteuid())
      && i < FRONTS_MAX && send_log(fd)) {
    l->front[i] = fd;
    return;
  }
  note("warning: a connection was refused");
  close(fd);
}

static void listen_here(struct launcher *l)
{
  struct sockaddr_un address;

  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (strlen(l->socket_path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    fatal(l->socket_path);
  }
  strcpy(address.sun_path, l->socket_path);
  l->listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (l->listening == -1)
    fatal("socket");
  if (unlink(l->socket_path) == -1 && errno != ENOENT)
    fatal(l->socket_path);
  if (bind(l->listening, (struct sockaddr *) &address, sizeof address) == -1 || chmod(l->socket_path, 0666) == -1
      || listen(l->listening, 16) == -1)
    fatal(l->socket_path);
}

static void loop(struct launcher *l)
{
  struct pollfd polled[2 + FRONTS_MAX];
  char dump[64];
  int i;

  for (;;) {
    reap();
    if (ended)
      return;
    polled[0].fd = wake[0];
    polled[1].fd = l->listening;
    for (i = 0; i < FRONTS_MAX; ++i)
      polled[2 + i].fd = l->front[i];
    for (i = 0; i < 2 + FRONTS_MAX; ++i) {
      polled[i].events = POLLIN;
      polled[i].revents = 0;
    }
    if (poll(polled, 2 + FRONTS_MAX, -1) == -1) {
      if (errno != EINTR)
        fatal("poll");   /* as with fewer descriptors than these: sessions go on, and supervise starts it again */
      continue;
    }
    if (polled[0].revents)
      while (read(wake[0], dump, sizeof dump) > 0)
        ;
    for (i = 0; i < FRONTS_MAX; ++i) {
      if (!polled[2 + i].revents || serve(l, l->front[i]))
        continue;
      close(l->front[i]);
      l->front[i] = -1;
    }
    if (polled[1].revents)
      accept_front(l);
  }
}

/* ---- options ---- */

static int number(const char *text, int most)
{
  char *end;
  long n = strtol(text, &end, 10);

  if (*text < '0' || *text > '9' || *end || n > most) {
    note("fatal: '%.100s' is not a number; expected one from 0 to %d", text, most);
    exit(100);
  }
  return (int) n;
}

/* From the file alone: a static program has no other sources of names. */
static uid_t user(const char *text)
{
  FILE *f;
  struct passwd *one = 0;

  if (*text >= '0' && *text <= '9')
    return (uid_t) number(text, 2147483647);
  f = fopen("/etc/passwd", "re");
  while (f && (one = fgetpwent(f)) != 0 && strcmp(one->pw_name, text) != 0)
    ;
  if (f)
    fclose(f);
  if (!one || one->pw_uid == 0) {
    note("fatal: there is no user '%.100s', or it is root", text);
    exit(111);
  }
  return one->pw_uid;
}

static void read_options(struct launcher *l, int argc, char **argv)
{
  int option;
  int i;

  l->rules = "/etc/tcp.smtp.cdb";
  l->front_uid = geteuid();
  l->limits.all = 120;
  l->limits.client = 20;
  l->limits.network = 40;
  l->limits.kept_for_relay = 10;
  for (i = 0; i < FRONTS_MAX; ++i)
    l->front[i] = -1;
  while ((option = getopt(argc, argv, "+s:u:t:d:x:l:c:C:N:R:")) != -1)
    switch (option) {
      case 's': l->socket_path = optarg; break;
      case 'u': l->front_uid = user(optarg); l->front_is_other = 1; break;
      case 't': l->tls_uid = user(optarg); l->has_tls = 1; break;
      case 'd': l->places = optarg; break;
      case 'x': l->rules = optarg; break;
      case 'l': l->local_host = optarg; break;
      case 'c': l->limits.all = number(optarg, SLOTS_MAX); break;
      case 'C': l->limits.client = number(optarg, SLOTS_MAX); break;
      case 'N': l->limits.network = number(optarg, SLOTS_MAX); break;
      case 'R': l->limits.kept_for_relay = number(optarg, SLOTS_MAX); break;
      default: exit(100);
    }
  if (!l->socket_path || !l->places || optind >= argc) {
    note("fatal: usage: smtplaunch -s SOCKET -d DIRECTORY OPTIONS -- PROGRAM ARGS...");
    exit(100);
  }
  l->program = argv + optind;
  l->last_program = argv[argc - 1];
}

/* Relay clients are served where the kernel cannot tell (it is older than Linux 4.3, or another one): their mail counts
 * more there than what a smtpfront that is broken into could do with it. */
static void find_out_origin(struct launcher *l)
{
  const int possible = tcporigin_possible();

  l->demands_origin = possible != 0;
  if (possible == 0)
    note("warning: this kernel keeps no SYN, so a smtpfront that is broken into could stand in for who may relay");
  else if (possible == -1)
    note("warning: cannot try whether the kernel keeps a SYN, so it is demanded: %s", strerror(errno));
}

int main(int argc, char **argv)
{
  static struct launcher l;

  read_options(&l, argc, argv);
  if (geteuid() == 0 && l.front_uid != 0) {
    note("fatal: run as root; expected qmaild");
    return 111;
  }
  if (fcntl(2, F_SETFL, fcntl(2, F_GETFL) | O_NONBLOCK) == -1)
    fatal("standard error");
  set_signals();
  if (l.front_is_other)
    find_out_origin(&l);
  listen_here(&l);
  loop(&l);
  return 0;
}
