/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * smtptls OPTIONS     makes TLS sessions with clients whose sockets other programs pass to it (tlslink.h)
 *
 * It alone reads the private keys. Workers are made before they are needed and have everything loaded; each has one
 * session at a time and is replaced after a hundred. A certificate that has been replaced is loaded for the next
 * session; one that cannot be loaded leaves the one before in use. TLS is not offered while all places are taken, or
 * while a certificate is not valid.
 *
 *   -s PATH    the socket, made at the start            -c DIRECTORY of certificates and keys (terms.h)
 *   -u USER    who may ask besides oneself: name or number; up to 8 times
 *   -n NUMBER  sessions (500)                           -i NUMBER  workers that wait for one (4)
 *   -m 1.2     the least version, or 1.3                -h SECONDS for a handshake (30)
 *
 * SIGTERM ends it; sessions continue. The log:
 *   smtptls[PID]: ready until YYYY-MM-DD       a certificate has been loaded
 *   smtptls[PID]: trouble WHY
 *   smtptls[PID]: offered | not offered WHY
 *   smtptls[PID]: failed IP WHY                a handshake
 *   smtptls[PID]: fatal WHY                    exit status 111
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "descriptor.h"
#include "number.h"
#include "relay.h"
#include "say.h"
#include "terms.h"
#include "tickets.h"
#include "tlslink.h"

#define ME "smtptls"
#define WORKERS_MAX 4000
#define USERS_MAX 8
#define SESSIONS_OF_ONE 100
#define SPARE_TIMES 4          /* more than so many times those that should wait are too many */
#define PACKET_MS 1000         /* for the first packet of a connection */
#define TICK_MS 1000           /* between two looks at the certificate */

enum { PLACE_FREE, PLACE_IDLE, PLACE_BUSY };

struct shared {                /* by all processes */
  atomic_uint generation;      /* of the certificate */
  atomic_int place[WORKERS_MAX];
};

struct server {
  const char *path;
  const char *directory;
  uid_t user[USERS_MAX];
  int users;
  int most;
  int spare;
  int least_version;
  long handshake_ms;
  int listening;
  int offer;                   /* the file beside the socket, locked by the master */
  int wake[2];                 /* a byte when a worker has got a session */
  pid_t pid[WORKERS_MAX];
  struct shared *shared;
  struct tickets *tickets;
  struct terms terms;
  struct terms_identity identity;
  char trouble[TERMS_WHY_MAX]; /* why the present certificate cannot be used, or "" */
  unsigned generation;         /* of those terms */
  const char *unoffered;       /* the reason why TLS is not offered, or null */
};

static volatile sig_atomic_t ended;

static void fatal(const char *what)
{
  say(ME, "fatal %.200s: %s", what, strerror(errno));
  exit(111);
}

static void on_signal(int number)
{
  if (number == SIGTERM)
    ended = 1;
}

/* ---- a worker ---- */

static int count(const struct server *s, int what)
{
  int n = 0;
  int i;

  for (i = 0; i < s->most; ++i)
    n += atomic_load(&s->shared->place[i]) == what;
  return n;
}

static int may_ask(const struct server *s, int control)
{
  struct ucred peer;
  socklen_t len = sizeof peer;
  int i;

  if (getsockopt(control, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
    return 0;
  for (i = 0; i < s->users && s->user[i] != peer.uid; ++i)
    ;
  return i < s->users || peer.uid == geteuid();
}

/* The packet of that letter. Returns 0 when another comes, or none. The descriptor that came is in *fd, whatever is
 * returned; with a null fd it is closed. */
static int expect(int control, char letter, int milliseconds, int *fd)
{
  struct pollfd one = {control, POLLIN, 0};
  char packet[2];

  return poll(&one, 1, milliseconds) == 1
         && descriptor_receive_some(control, packet, sizeof packet, fd, fd != 0) == 1 && packet[0] == letter;
}

/* Returns 0 unless it is a connection of TCP. */
static int address_of(char ip[INET6_ADDRSTRLEN], int client)
{
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  int type = 0;
  socklen_t type_len = sizeof type;

  memset(&peer, 0, sizeof peer);
  if (getsockopt(client, SOL_SOCKET, SO_TYPE, &type, &type_len) == -1 || type != SOCK_STREAM
      || getpeername(client, (struct sockaddr *) &peer, &len) == -1)
    return 0;
  if (peer.ss_family == AF_INET)
    return inet_ntop(AF_INET, &((struct sockaddr_in *) &peer)->sin_addr, ip, INET6_ADDRSTRLEN) != 0;
  return peer.ss_family == AF_INET6
         && inet_ntop(AF_INET6, &((struct sockaddr_in6 *) &peer)->sin6_addr, ip, INET6_ADDRSTRLEN) != 0;
}

/* The handshake, and all that follows. Takes the program's connection with it. */
static void hold_session(const struct server *s, SSL *session, int control, int plain, const char *ip)
{
  char packet[TLSLINK_PACKET_MAX];
  char shown[TLSLINK_PACKET_MAX];
  int done;

  done = relay_handshake(session, control, s->handshake_ms, packet);
  say_printable(shown, sizeof shown, packet);
  snprintf(packet, sizeof packet, "%c%.250s", done ? TLSLINK_ESTABLISHED : TLSLINK_FAILED, shown);
  if (!done)
    say(ME, "failed %s %s", ip, shown);
  if (!descriptor_send(control, packet, strlen(packet), -1))
    done = 0;   /* the program has given it up */
  close(control);
  if (done)
    relay(session, plain);
}

/* Prepare the client's socket. Returns 0 when that fails. */
static int make_own(int client)
{
  static const int yes = 1;

  /* Else the reply behind the tickets is kept until the client acknowledges them, for which it may take 40 ms. */
  return setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) == 0
         && fcntl(client, F_SETFL, fcntl(client, F_GETFL) | O_NONBLOCK) != -1;
}

static void begin_session(const struct server *s, int control, int client)
{
  static const char taken = TLSLINK_TAKEN;
  char ip[INET6_ADDRSTRLEN];
  int pair[2];
  int sent;
  SSL *session;

  if (!address_of(ip, client) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1) {
    close(control);
    return;
  }
  sent = descriptor_send(control, &taken, 1, pair[1]);
  close(pair[1]);
  /* Until the program says so, the client's socket is the program's: even a flag of it would be felt there. */
  if (!sent || !expect(control, TLSLINK_GO, (int) s->handshake_ms, 0)
      || !make_own(client) || !(session = SSL_new(s->terms.context))) {
    close(control);
    close(pair[0]);
    return;
  }
  if (SSL_set_fd(session, client) == 1)
    hold_session(s, session, control, pair[0], ip);
  else
    close(control);
  SSL_free(session);
  close(pair[0]);
}

static void renew(struct server *s)
{
  unsigned now = atomic_load(&s->shared->generation);
  char why[TERMS_WHY_MAX];

  if (s->generation == now)
    return;
  if (!terms_load(&s->terms, s->directory, s->least_version, why))
    return;   /* the master says why */
  s->generation = now;
  tickets_use(s->tickets, s->terms.context);
  relay_use(s->terms.context);
}

static void work(struct server *s, int place, const sigset_t *awake)
{
  struct pollfd one = {s->listening, POLLIN, 0};
  int sessions = 0;
  int control;
  int client;

  while (!ended && sessions < SESSIONS_OF_ONE) {
    if (ppoll(&one, 1, 0, awake) != 1)
      continue;
    control = accept4(s->listening, 0, 0, SOCK_CLOEXEC);
    if (control == -1)
      continue;
    atomic_store(&s->shared->place[place], PLACE_BUSY);
    if (write(s->wake[1], "", 1) == -1)
      errno = 0;   /* it is full: the master wakes up anyway */
    ++sessions;
    renew(s);
    client = -1;
    if (may_ask(s, control) && expect(control, TLSLINK_BEGIN, PACKET_MS, &client) && client != -1)
      begin_session(s, control, client);
    else
      close(control);
    if (client != -1)
      close(client);
    atomic_store(&s->shared->place[place], PLACE_IDLE);
    if (count(s, PLACE_IDLE) > SPARE_TIMES * s->spare)
      return;   /* a rush is over */
  }
}

/* ---- the master ---- */

static void start_worker(struct server *s, int place, const sigset_t *awake)
{
  pid_t master = getpid();
  pid_t pid;

  atomic_store(&s->shared->place[place], PLACE_IDLE);
  pid = fork();
  if (pid == 0) {
    close(s->offer);
    close(s->wake[0]);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == master)
      work(s, place, awake);
    _exit(0);
  }
  if (pid == -1) {
    say(ME, "trouble cannot start a worker: %s", strerror(errno));
    atomic_store(&s->shared->place[place], PLACE_FREE);
    return;
  }
  s->pid[place] = pid;
}

static void reap(struct server *s)
{
  pid_t pid;
  int i;

  while ((pid = waitpid(-1, 0, WNOHANG)) > 0)
    for (i = 0; i < s->most; ++i)
      if (s->pid[i] == pid) {
        s->pid[i] = 0;
        atomic_store(&s->shared->place[i], PLACE_FREE);
      }
}

static void keep_workers(struct server *s, const sigset_t *awake)
{
  int missing = s->terms.context ? s->spare - count(s, PLACE_IDLE) : 0;
  int i;

  for (i = 0; i < s->most && missing > 0; ++i)
    if (!s->pid[i]) {
      start_worker(s, i, awake);
      --missing;
    }
}

static void look_at_certificate(struct server *s)
{
  char why[TERMS_WHY_MAX];
  struct tm parts;
  char until[16];

  if (!terms_changed(&s->identity, s->directory))
    return;
  if (!terms_load(&s->terms, s->directory, s->least_version, why)) {
    if (strcmp(why, s->trouble) != 0)
      say(ME, "trouble %s%s", why, s->terms.context ? "; the certificate before stays in use" : "");
    strcpy(s->trouble, why);
    memset(&s->identity, 0, sizeof s->identity);   /* it may be a want of memory, which passes */
    return;
  }
  s->trouble[0] = 0;
  tickets_use(s->tickets, s->terms.context);
  relay_use(s->terms.context);
  s->generation = atomic_fetch_add(&s->shared->generation, 1) + 1;
  gmtime_r(&s->terms.not_after, &parts);
  strftime(until, sizeof until, "%Y-%m-%d", &parts);
  say(ME, "ready until %s", until);
}

static void tell_offer(struct server *s)
{
  time_t now = time(0);
  const char *why = 0;

  if (!s->terms.context)
    why = "there is no certificate";
  else if (now < s->terms.not_before)
    why = "its certificate is not valid yet";
  else if (now > s->terms.not_after)
    why = "its certificate has expired";
  else if (count(s, PLACE_BUSY) >= s->most)
    why = "all places are taken";
  if (why != s->unoffered) {
    say(ME, why ? "not offered: %s" : "offered%s", why ? why : "");
    s->unoffered = why;
    if (pwrite(s->offer, why ? "0" : "1", 1, 0) != 1)
      fatal(TLSLINK_OFFER);
  }
}

static void loop(struct server *s, const sigset_t *awake)
{
  struct pollfd one = {s->wake[0], POLLIN, 0};
  struct timespec tick = {TICK_MS / 1000, 0};
  char dump[64];

  while (!ended) {
    reap(s);
    look_at_certificate(s);
    if (!tickets_rotate(s->tickets, time(0)))
      fatal("no randomness");
    keep_workers(s, awake);
    tell_offer(s);
    if (ppoll(&one, 1, &tick, awake) == 1)
      while (read(s->wake[0], dump, sizeof dump) > 0)
        ;
  }
}

/* ---- the start ---- */

/* Opens a file that nobody else can open yet, and locks it. */
static int locked(const char *name, int flags)
{
  struct flock lock;
  int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

  if (fd == -1)
    fatal(name);
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd, F_SETLK, &lock) == -1)
    fatal("another smtptls runs");
  return fd;
}

/* Everybody may read the offer, and so lock it; therefore each start makes another file, and has its lock before
 * others see it. That there is one smtptls is held by a file of its own. */
static void offer_here(struct server *s)
{
  char name[TLSLINK_PATH_MAX + sizeof TLSLINK_OFFER];
  char made[sizeof name + 4];

  snprintf(made, sizeof made, "%s.lock", s->path);
  (void) locked(made, 0);
  snprintf(name, sizeof name, "%s%s", s->path, TLSLINK_OFFER);
  snprintf(made, sizeof made, "%s.new", name);
  if (unlink(made) == -1 && errno != ENOENT)
    fatal(made);
  s->offer = locked(made, O_EXCL);
  if (fchmod(s->offer, 0644) == -1 || pwrite(s->offer, "0", 1, 0) != 1 || rename(made, name) == -1)
    fatal(name);
  s->unoffered = "";
}

static void listen_here(struct server *s)
{
  struct sockaddr_un address;

  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, s->path);
  s->listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s->listening == -1)
    fatal("socket");
  if (unlink(s->path) == -1 && errno != ENOENT)
    fatal(s->path);
  if (bind(s->listening, (struct sockaddr *) &address, sizeof address) == -1 || chmod(s->path, 0666) == -1
      || listen(s->listening, 128) == -1)
    fatal(s->path);
}

static int number(const char *text, int least, int most)
{
  long long n;

  if (!number_parse(&n, text, least, most)) {
    say(ME, "fatal '%.100s' is not a number; expected one from %d to %d", text, least, most);
    exit(100);
  }
  return (int) n;
}

static void add_user(struct server *s, const char *text)
{
  const struct passwd *one;
  long long n;

  if (s->users == USERS_MAX) {
    say(ME, "fatal more than %d users", USERS_MAX);
    exit(100);
  }
  if (!number_parse(&n, text, 0, INT32_MAX)) {
    one = getpwnam(text);
    if (!one) {
      say(ME, "fatal there is no user '%.100s'", text);
      exit(111);
    }
    n = one->pw_uid;
  }
  s->user[s->users++] = (uid_t) n;
}

static void read_options(struct server *s, int argc, char **argv)
{
  int option;

  s->most = 500;
  s->spare = 4;
  s->least_version = TLS1_2_VERSION;
  s->handshake_ms = TLSLINK_HANDSHAKE_MS;
  while ((option = getopt(argc, argv, "s:c:u:n:i:m:h:")) != -1)
    switch (option) {
      case 's': s->path = optarg; break;
      case 'c': s->directory = optarg; break;
      case 'u': add_user(s, optarg); break;
      case 'n': s->most = number(optarg, 1, WORKERS_MAX); break;
      case 'i': s->spare = number(optarg, 1, 64); break;
      case 'm': s->least_version = strcmp(optarg, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION; break;
      case 'h': s->handshake_ms = 1000L * number(optarg, 1, 600); break;
      default: exit(100);
    }
  if (!s->path || !s->directory || optind != argc || strlen(s->path) >= TLSLINK_PATH_MAX) {
    say(ME, "fatal usage: smtptls -s SOCKET -c DIRECTORY OPTIONS");
    exit(100);
  }
}

static void set_signals(sigset_t *awake)
{
  struct sigaction action;
  sigset_t asleep;

  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  if (sigaction(SIGTERM, &action, 0) == -1 || sigaction(SIGCHLD, &action, 0) == -1)
    fatal("sigaction");
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, 0);
  /* They come while we wait, and at no other time. */
  sigemptyset(&asleep);
  sigaddset(&asleep, SIGTERM);
  sigaddset(&asleep, SIGCHLD);
  sigprocmask(SIG_BLOCK, &asleep, awake);
  sigdelset(awake, SIGTERM);
  sigdelset(awake, SIGCHLD);
}

int main(int argc, char **argv)
{
  static struct server s;
  struct rlimit no_core = {0, 0};
  sigset_t awake;

  read_options(&s, argc, argv);
  if (geteuid() == 0) {
    say(ME, "fatal run as root; expected a user of its own");
    return 111;
  }
  if (prctl(PR_SET_DUMPABLE, 0) == -1 || setrlimit(RLIMIT_CORE, &no_core) == -1)
    fatal("no memory must be readable");
  fcntl(2, F_SETFL, fcntl(2, F_GETFL) | O_NONBLOCK);   /* a log that is not read must not stop a session */
  set_signals(&awake);
  if (pipe2(s.wake, O_CLOEXEC | O_NONBLOCK) == -1)
    fatal("pipe");
  s.shared = mmap(0, sizeof *s.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  s.tickets = tickets_make(time(0));
  if (s.shared == MAP_FAILED || !s.tickets)
    fatal("memory");
  offer_here(&s);
  listen_here(&s);
  loop(&s, &awake);
  return 0;   /* workers without a session end with us */
}
