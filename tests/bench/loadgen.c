/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * loadgen -m MODE [options]: many SMTP clients, or the host behind the mail servers, in one process. It connects to
 * and listens on 127.0.0.0/8 only; its source addresses must be addresses of the network namespace it runs in.
 *
 *   drop    connect, read the first reply or the end, close
 *   quit    the same, then QUIT, and wait for the end
 *   rcpt    EHLO, MAIL, RCPT, QUIT
 *   data    EHLO, MAIL, RCPT, DATA, a message, QUIT; no two messages are alike
 *   hold    connect, read the greeting, say nothing; connect again when the server closes
 *   sink    listen and accept every message for every recipient
 *
 *   -p PORT  -c SESSIONS at once  -t SECONDS  -n MOST sessions in all (hold: 0)
 *   -b ADDRESS -k COUNT -j STEP   source addresses: the first, how many to go round, and how far apart
 *   -o NUMBER     number of the first session, which chooses its source, its unique names and its message
 *   -f SENDER -r RECIPIENT        as given, a '%' in them is the session's number
 *   -s BYTES      of a message  -w FILE of words for it
 *   -i MS         pause before a finished session's place is used again
 *   -T MS         a session that takes longer is closed and counted as late
 *   -x KIND       every session begins with EHLO, STARTTLS and a handshake: full, or resumed, with the last ticket that
 *                 any session got; drop and quit have no more commands, hold is silent after it. Certificates are not checked
 *   -a KEY        the kind of the server's key, ecdsa or rsa, by the signatures that are offered
 *   -v VERSION    of TLS, 1.2 or 1.3, and no other
 *
 * One line of JSON on standard output. Status 2 for a wrong option, 1 when the run could not begin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define SLOTS_MAX 16384
#define LATENCIES_MAX 1000000
#define WORDS_MAX 400000
#define IN_BYTES 4096
#define OUT_BYTES 1024
#define CODES 1000
#define OVER_MS 60000 /* what is open when the time is over may end within this */

enum mode { DROP, QUIT, RCPT, DATA, HOLD, SINK };
static const char *const mode_names[] = {"drop", "quit", "rcpt", "data", "hold", "sink"};

/* what the server's next reply answers */
enum step { GREETING, PLAIN_EHLO, STARTTLS, EHLO, MAIL, RECIPIENT, DATA_WORD, MESSAGE, QUIT_WORD };

enum tls { PLAIN, FULL, RESUMED };
static const char *const tls_names[] = {"", "full", "resumed"};

/* What is offered, so that the server has one kind of key to choose: the same curve, hash and cipher with either. */
static const struct key_kind {
  const char *name, *signatures, *ciphers;
} key_kinds[] = {
  {"ecdsa", "ECDSA+SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"},
  {"rsa", "RSA-PSS+SHA256:RSA+SHA256", "ECDHE-RSA-AES256-GCM-SHA384"},
};

struct options {
  enum mode mode;
  uint16_t port;
  size_t sessions;
  double seconds;
  uint64_t most;
  uint32_t source;
  uint64_t sources;
  uint64_t source_step;
  uint64_t first;
  const char *sender;
  const char *recipient;
  size_t message_bytes;
  const char *word_file;
  double pause_ms;
  double patience_ms;
  enum tls tls;
  const struct key_kind *key; /* null: either */
  int version;                /* 0: either */
};

struct session {
  int fd; /* -1: the place is free */
  SSL *tls; /* from STARTTLS on */
  int encrypted; /* the handshake is done */
  enum step step;
  int greeted;
  int noted;
  uint64_t number;
  double began_ms;
  double free_from_ms;
  size_t in_len;
  char in[IN_BYTES];
  char *out; /* what waits to be written, or null */
  size_t out_len;
  size_t out_at;
};

static struct {
  struct options with;
  int epoll;
  uint64_t begun;
  uint64_t done, errors, late, ends_without_reply, closed_by_server;
  uint64_t codes[CODES];
  uint64_t handshakes, resumed; /* resumed ones are handshakes, too */
  SSL_CTX *tls;
  SSL_SESSION *ticket; /* the last one */
  float *latencies_ms;
  size_t latencies;
  char **words;
  size_t words_len;
  struct session *slots;
} run;

static double now_ms(void)
{
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec * 1000 + (double) t.tv_nsec / 1e6;
}

static void fail(const char *what)
{
  fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *room(size_t bytes)
{
  void *found = calloc(1, bytes);

  if (!found)
    fail("memory");
  return found;
}

static struct sockaddr_in loopback(uint16_t port)
{
  struct sockaddr_in address = {.sin_family = AF_INET};

  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/* --- messages */

static uint32_t chance(uint32_t *state)
{
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

/* text with the session's number for each '%' */
static size_t fill(char *to, size_t room_bytes, const char *text, uint64_t number)
{
  size_t len = 0;

  for (; *text && len + 24 < room_bytes; ++text)
    if (*text == '%')
      len += (size_t) snprintf(to + len, room_bytes - len, "%llu", (unsigned long long) number);
    else
      to[len++] = *text;
  to[len] = 0;
  return len;
}

static void compose(struct session *s)
{
  size_t room_bytes = run.with.message_bytes + OUT_BYTES + 1024;
  uint32_t state = (uint32_t) (s->number * 2654435761u) | 1;
  time_t t = time(0);
  struct tm tm;
  char date[64], recipient[256];
  size_t len, column = 0;
  const char *word;
  int n;

  s->out = room(room_bytes);
  gmtime_r(&t, &tm);
  strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm);
  fill(recipient, sizeof recipient, run.with.recipient, s->number);
  n = snprintf(s->out, room_bytes,
               "From: Ann <ann@sender.test>\r\nTo: <%s>\r\nSubject: report %llu of the week\r\nDate: %s\r\n"
               "Message-ID: <%llu.%lld@sender.test>\r\nMIME-Version: 1.0\r\n"
               "Content-Type: text/plain; charset=us-ascii\r\n\r\n%llu %lld\r\n",
               recipient, (unsigned long long) s->number, date, (unsigned long long) s->number, (long long) t,
               (unsigned long long) s->number, (long long) t);
  len = (size_t) n;
  while (len < run.with.message_bytes) {
    word = run.words[chance(&state) % run.words_len];
    len += (size_t) snprintf(s->out + len, room_bytes - len, "%s", word);
    column += strlen(word) + 1;
    if (column > 66) {
      column = 0;
      len += (size_t) snprintf(s->out + len, room_bytes - len, "\r\n");
    } else
      s->out[len++] = ' ';
  }
  len += (size_t) snprintf(s->out + len, room_bytes - len, "\r\n.\r\n");
  s->out_len = len;
}

static void read_words(void)
{
  char line[128];
  FILE *file = fopen(run.with.word_file, "r");

  if (!file)
    fail(run.with.word_file);
  run.words = room(sizeof *run.words * WORDS_MAX);
  while (run.words_len < WORDS_MAX && fgets(line, sizeof line, file)) {
    line[strcspn(line, "\r\n")] = 0;
    if (*line && strlen(line) < 64 && !(run.words[run.words_len++] = strdup(line)))
      fail("memory");
  }
  fclose(file);
  if (!run.words_len) {
    fprintf(stderr, "loadgen: %s: no words; expected one a line\n", run.with.word_file);
    exit(1);
  }
}

/* --- sockets */

static void watch(struct session *s, int operation, uint32_t events)
{
  struct epoll_event event = {.events = events, .data.ptr = s};

  if (epoll_ctl(run.epoll, operation, s->fd, &event) < 0)
    fail("epoll_ctl");
}

/* --- TLS */

/* a copy, as OpenSSL marks what a session of TLS 1.3 has used: no other could use it */
static int keep_ticket(SSL *tls, SSL_SESSION *ticket)
{
  (void) tls;
  SSL_SESSION_free(run.ticket);
  run.ticket = SSL_SESSION_dup(ticket);
  return 0;
}

static void make_context(void)
{
  const struct options *with = &run.with;

  run.tls = SSL_CTX_new(TLS_client_method());
  if (!run.tls || SSL_CTX_set_min_proto_version(run.tls, with->version ? with->version : TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(run.tls, with->version) != 1 ||
      (with->key && (SSL_CTX_set1_sigalgs_list(run.tls, with->key->signatures) != 1 ||
                     SSL_CTX_set_cipher_list(run.tls, with->key->ciphers) != 1))) {
    ERR_print_errors_fp(stderr);
    fprintf(stderr, "loadgen: OpenSSL cannot be used as wanted\n");
    exit(1);
  }
  SSL_CTX_set_options(run.tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(run.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (with->tls == RESUMED) {
    SSL_CTX_set_session_cache_mode(run.tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(run.tls, keep_ticket);
  } else
    SSL_CTX_set_session_cache_mode(run.tls, SSL_SESS_CACHE_OFF);
}

/* what read and write say, with EAGAIN where OpenSSL waits for the socket */
static ssize_t as_of_socket(SSL *tls, int n)
{
  int why = SSL_get_error(tls, n);

  if (n > 0)
    return n;
  if (why == SSL_ERROR_ZERO_RETURN)
    return 0;
  errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
  return -1;
}

static ssize_t get(struct session *s, char *to, size_t bytes)
{
  if (!s->tls)
    return read(s->fd, to, bytes);
  ERR_clear_error();
  return as_of_socket(s->tls, SSL_read(s->tls, to, (int) bytes));
}

static ssize_t put(struct session *s, const char *from, size_t bytes)
{
  if (!s->tls)
    return write(s->fd, from, bytes);
  ERR_clear_error();
  return as_of_socket(s->tls, SSL_write(s->tls, from, (int) bytes));
}

static int make_tls(struct session *s)
{
  SSL_SESSION *ticket = run.ticket ? SSL_SESSION_dup(run.ticket) : 0;
  int made = !run.ticket || ticket;

  s->tls = SSL_new(run.tls);
  made = made && s->tls && SSL_set_fd(s->tls, s->fd) == 1 && (!ticket || SSL_set_session(s->tls, ticket) == 1);
  if (made)
    SSL_set_connect_state(s->tls);
  SSL_SESSION_free(ticket);
  return made;
}

static void forget_tls(struct session *s)
{
  SSL_free(s->tls);
  s->tls = 0;
  s->encrypted = 0;
}

/* --- clients */

static void begin(struct session *s)
{
  struct sockaddr_in to = loopback(run.with.port), from = {.sin_family = AF_INET};
  int yes = 1;

  s->number = run.with.first + run.begun++;
  s->step = GREETING;
  s->greeted = s->noted = 0;
  s->in_len = 0;
  s->began_ms = now_ms();
  s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (s->fd < 0)
    fail("socket");
  setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (run.with.sources) {
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    from.sin_addr.s_addr =
      htonl(run.with.source + (uint32_t) (s->number % run.with.sources * run.with.source_step));
    if (bind(s->fd, (struct sockaddr *) &from, sizeof from) < 0)
      fail("bind to a source address");
  }
  if (connect(s->fd, (struct sockaddr *) &to, sizeof to) < 0 && errno != EINPROGRESS) {
    ++run.errors;
    close(s->fd);
    s->fd = -1;
    s->free_from_ms = now_ms() + run.with.pause_ms;
    return;
  }
  watch(s, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
}

static void end(struct session *s, uint64_t *count)
{
  double now = now_ms();

  if (s->fd < 0)
    return;
  forget_tls(s);
  close(s->fd);
  s->fd = -1;
  free(s->out);
  s->out = 0;
  s->free_from_ms = now + run.with.pause_ms;
  ++*count;
  if (count == &run.done && run.latencies < LATENCIES_MAX)
    run.latencies_ms[run.latencies++] = (float) (now - s->began_ms);
}

/* writes what waits; 0 when the connection is broken */
static int write_out(struct session *s)
{
  ssize_t n;

  while (s->out_at < s->out_len) {
    n = put(s, s->out + s->out_at, s->out_len - s->out_at);
    if (n < 0 && errno == EAGAIN) {
      watch(s, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
      return 1;
    }
    if (n < 0)
      return 0;
    s->out_at += (size_t) n;
  }
  free(s->out);
  s->out = 0;
  watch(s, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
  return 1;
}

static int say(struct session *s, enum step next, const char *before, const char *text, const char *after)
{
  char filled[256];

  s->step = next;
  s->out_at = 0;
  if (next == MESSAGE)
    compose(s);
  else {
    fill(filled, sizeof filled, text, s->number);
    s->out = room(OUT_BYTES);
    s->out_len = (size_t) snprintf(s->out, OUT_BYTES, "%s%s%s\r\n", before, filled, after);
  }
  return write_out(s);
}

static void note(struct session *s, unsigned code)
{
  if (!s->noted)
    ++run.codes[code];
  s->noted = 1;
}

/* acts on a good reply in front of the handshake; as answer */
static uint64_t *towards_tls(struct session *s)
{
  int ok;

  if (s->step == GREETING)
    ok = say(s, PLAIN_EHLO, "EHLO ", "client.sender.test", "");
  else if (s->step == PLAIN_EHLO)
    ok = say(s, STARTTLS, "STARTTLS", "", "");
  else
    ok = make_tls(s);
  return ok ? 0 : &run.errors;
}

/* goes on with the handshake, and when it is done with what the mode wants; as answer */
static uint64_t *shake(struct session *s)
{
  int n, why;

  ERR_clear_error();
  n = SSL_connect(s->tls);
  if (n != 1) {
    why = SSL_get_error(s->tls, n);
    if (why == SSL_ERROR_WANT_WRITE)
      watch(s, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : &run.errors;
  }
  s->encrypted = s->greeted = 1;
  ++run.handshakes;
  run.resumed += (uint64_t) SSL_session_reused(s->tls);
  if (run.with.mode == RCPT || run.with.mode == DATA)
    return say(s, EHLO, "EHLO ", "client.sender.test", "") ? 0 : &run.errors;
  note(s, 220);
  if (run.with.mode == DROP)
    return &run.done;
  return run.with.mode == HOLD || say(s, QUIT_WORD, "QUIT", "", "") ? 0 : &run.errors;
}

/* acts on a whole reply; the result is null while the session goes on, else what it counts as */
static uint64_t *answer(struct session *s, unsigned code)
{
  static const enum step last[] = {GREETING, GREETING, RECIPIENT, MESSAGE};
  int ok;

  if (run.with.tls && !s->tls && s->step != QUIT_WORD && code < 400)
    return towards_tls(s);
  s->greeted |= !run.with.tls;
  if (run.with.mode == HOLD) {
    note(s, code);
    return 0;
  }
  if (s->step == QUIT_WORD)
    return &run.done;
  if (s->step == last[run.with.mode] || code >= 400) {
    note(s, code);
    if (run.with.mode == DROP)
      return &run.done;
    return say(s, QUIT_WORD, "QUIT", "", "") ? 0 : &run.errors;
  }
  switch (s->step) {
    case GREETING:
      ok = say(s, EHLO, "EHLO ", "client.sender.test", "");
      break;
    case EHLO:
      ok = say(s, MAIL, "MAIL FROM:<", run.with.sender, ">");
      break;
    case MAIL:
      ok = say(s, RECIPIENT, "RCPT TO:<", run.with.recipient, ">");
      break;
    case RECIPIENT:
      ok = say(s, DATA_WORD, "DATA", "", "");
      break;
    default:
      ok = say(s, MESSAGE, "", "", "");
      break;
  }
  return ok ? 0 : &run.errors;
}

/* reads what is there; the result as that of answer */
static uint64_t *listen_to(struct session *s)
{
  uint64_t *over = 0;
  char *line, *newline;
  ssize_t n;

  for (;;) {
    if (s->tls && !s->encrypted) {
      over = shake(s);
      if (over || !s->encrypted)
        return over;
    }
    n = get(s, s->in + s->in_len, sizeof s->in - 1 - s->in_len);
    if (n < 0 && errno == EAGAIN)
      return 0;
    if (n <= 0) {
      if (run.with.mode == HOLD)
        return &run.closed_by_server;
      if (n == 0 && !s->noted) {
        s->noted = 1;
        ++run.ends_without_reply;
      }
      return n == 0 && (s->step == QUIT_WORD || s->step == GREETING) ? &run.done : &run.errors;
    }
    s->in_len += (size_t) n;
    s->in[s->in_len] = 0;
    for (line = s->in; !over && (!s->tls || s->encrypted) && (newline = strchr(line, '\n')); line = newline + 1)
      if (newline - line >= 4 && line[3] != '-' && atoi(line) >= 100 && atoi(line) < CODES)
        over = answer(s, (unsigned) atoi(line));
    if (!over && s->tls && !s->encrypted && *line)
      over = &run.errors; /* what came behind the reply to STARTTLS was not said in TLS */
    if (over)
      return over;
    s->in_len = strlen(line);
    memmove(s->in, line, s->in_len + 1);
    if (s->in_len == sizeof s->in - 1)
      return &run.errors;
  }
}

static size_t open_sessions(void)
{
  size_t i, count = 0;

  for (i = 0; i < run.with.sessions; ++i)
    count += run.slots[i].fd >= 0;
  return count;
}

/* waits for events; closes what is late and, while more may begin, fills free places */
static void turn(int more, int timeout_ms)
{
  struct epoll_event events[256];
  struct session *s;
  uint64_t *over;
  double now;
  size_t i;
  int n, k;

  n = epoll_wait(run.epoll, events, 256, timeout_ms);
  for (k = 0; k < n; ++k) {
    s = events[k].data.ptr;
    if (s->fd < 0)
      continue;
    over = events[k].events & EPOLLOUT && !write_out(s) ? &run.errors : listen_to(s);
    if (over) {
      end(s, over);
      if (more && !run.with.pause_ms && run.begun < run.with.most)
        begin(s);
    }
  }
  if (n > 0 && !run.with.pause_ms && !run.with.patience_ms)
    return;
  now = now_ms();
  for (i = 0; i < run.with.sessions; ++i) {
    s = &run.slots[i];
    if (s->fd >= 0 && run.with.patience_ms && now - s->began_ms > run.with.patience_ms)
      end(s, &run.late);
    if (s->fd < 0 && more && run.begun < run.with.most && now >= s->free_from_ms)
      begin(s);
  }
}

static int compare(const void *a, const void *b)
{
  float x = *(const float *) a, y = *(const float *) b;

  return x < y ? -1 : x > y;
}

static double percentile(double share)
{
  size_t at = (size_t) ((double) run.latencies * share);

  if (!run.latencies)
    return 0;
  return (double) run.latencies_ms[at < run.latencies ? at : run.latencies - 1];
}

static void clients(void)
{
  double began = now_ms(), until = began + run.with.seconds * 1000, seconds;
  size_t i, held, greeted = 0;
  struct rusage used;
  const char *comma = "";

  run.epoll = epoll_create1(EPOLL_CLOEXEC);
  run.slots = room(sizeof *run.slots * run.with.sessions);
  run.latencies_ms = room(sizeof *run.latencies_ms * LATENCIES_MAX);
  if (run.epoll < 0)
    fail("epoll_create1");
  if (run.with.mode == DATA)
    read_words();
  if (run.with.tls)
    make_context();
  for (i = 0; i < run.with.sessions; ++i) {
    run.slots[i].fd = -1;
    if (run.begun < run.with.most)
      begin(&run.slots[i]);
  }
  while (now_ms() < until && (open_sessions() || run.begun < run.with.most))
    turn(1, 20);
  seconds = (now_ms() - began) / 1000;
  held = open_sessions();
  for (i = 0; i < run.with.sessions; ++i)
    greeted += run.slots[i].fd >= 0 && run.slots[i].greeted;
  if (run.with.mode != HOLD)
    for (until = now_ms() + (run.with.patience_ms ? run.with.patience_ms : OVER_MS);
         open_sessions() && now_ms() < until;)
      turn(0, 20);
  if (run.with.mode != HOLD)
    for (i = 0; i < run.with.sessions; ++i)
      end(&run.slots[i], &run.late);
  if (run.with.mode != HOLD && held)
    seconds = (now_ms() - began) / 1000;
  getrusage(RUSAGE_SELF, &used);
  qsort(run.latencies_ms, run.latencies, sizeof *run.latencies_ms, compare);
  printf("{\"done\":%llu,\"errors\":%llu,\"late\":%llu,\"without_reply\":%llu,\"closed_by_server\":%llu,",
         (unsigned long long) run.done, (unsigned long long) run.errors, (unsigned long long) run.late,
         (unsigned long long) run.ends_without_reply, (unsigned long long) run.closed_by_server);
  printf("\"begun\":%llu,\"held\":%zu,\"greeted\":%zu,\"seconds\":%.3f,\"rate\":%.2f,\"own_cpu\":%.3f,",
         (unsigned long long) run.begun, held, greeted, seconds, (double) run.done / seconds,
         (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
  printf("\"handshakes\":%llu,\"resumed\":%llu,", (unsigned long long) run.handshakes,
         (unsigned long long) run.resumed);
  printf("\"p50_ms\":%.2f,\"p95_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f,\"codes\":{", percentile(.5),
         percentile(.95), percentile(.99), percentile(1));
  for (i = 0; i < CODES; ++i)
    if (run.codes[i]) {
      printf("%s\"%zu\":%llu", comma, i, (unsigned long long) run.codes[i]);
      comma = ",";
    }
  puts("}}");
}

/* --- the host behind the mail servers */

static void serve(struct session *s)
{
  static const char ready[] = "220 sink ESMTP\r\n";
  char *line, *newline;
  const char *reply;
  ssize_t n;

  if (!s->greeted) {
    s->greeted = 1;
    if (write(s->fd, ready, sizeof ready - 1) < 0)
      goto over;
  }
  for (;;) {
    n = read(s->fd, s->in + s->in_len, sizeof s->in - 1 - s->in_len);
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0)
      goto over;
    s->in_len += (size_t) n;
    s->in[s->in_len] = 0;
    for (line = s->in; (newline = strchr(line, '\n')); line = newline + 1) {
      if (s->step == MESSAGE) {
        if (line[0] != '.' || (line[1] != '\r' && line[1] != '\n'))
          continue;
        s->step = GREETING;
        ++run.done;
        reply = "250 taken\r\n";
      } else if (line[0] == 'D' || line[0] == 'd') {
        s->step = MESSAGE;
        reply = "354 go on\r\n";
      } else if (line[0] == 'Q' || line[0] == 'q') {
        reply = "221 bye\r\n";
        s->step = QUIT_WORD;
      } else
        reply = "250 ok\r\n";
      if (write(s->fd, reply, strlen(reply)) < 0 || s->step == QUIT_WORD)
        goto over;
    }
    s->in_len = strlen(line);
    memmove(s->in, line, s->in_len + 1);
    if (s->in_len == sizeof s->in - 1)
      s->in_len = 0; /* a longer line is the message's: a dot alone is never in its middle */
  }
over:
  close(s->fd);
  free(s);
}

static void sink(void)
{
  struct sockaddr_in at = loopback(run.with.port);
  struct epoll_event events[64];
  struct session listener = {0}, *s;
  int yes = 1, n, k;

  at.sin_addr.s_addr = htonl(run.with.source ? run.with.source : INADDR_LOOPBACK);
  run.epoll = epoll_create1(EPOLL_CLOEXEC);
  listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (run.epoll < 0 || listener.fd < 0)
    fail("socket");
  setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener.fd, (struct sockaddr *) &at, sizeof at) < 0 || listen(listener.fd, 1024) < 0)
    fail("listening");
  watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
  for (;;) {
    n = epoll_wait(run.epoll, events, 64, -1);
    for (k = 0; k < n; ++k) {
      s = events[k].data.ptr;
      if (s == &listener) {
        s = room(sizeof *s);
        s->fd = accept4(listener.fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (s->fd < 0) {
          free(s);
          continue;
        }
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        watch(s, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP);
      }
      serve(s);
    }
  }
}

/* --- options */

static void wrong(const char *what, const char *value, const char *expected)
{
  fprintf(stderr, "loadgen: %s: '%s' is wrong; expected %s\n", what, value, expected);
  exit(2);
}

static double number(const char *what, const char *text, double most)
{
  char *rest;
  double found = strtod(text, &rest);

  if (*rest || rest == text || !(found >= 0) || found > most)
    wrong(what, text, "a number within the limits");
  return found;
}

static void read_options(int argc, char **argv)
{
  struct options *with = &run.with;
  struct in_addr address;
  size_t i;
  int option, chosen = 0;

  *with = (struct options){.port = 25, .sessions = 1, .seconds = 3, .most = UINT64_MAX, .source_step = 1,
                           .sender = "s@sender.test", .recipient = "nobody@example.test", .message_bytes = 5000,
                           .word_file = "/usr/share/dict/words"};
  while ((option = getopt(argc, argv, "m:p:c:t:n:b:k:j:o:f:r:s:w:i:T:x:a:v:")) != -1)
    switch (option) {
      case 'm':
        for (i = 0; i < sizeof mode_names / sizeof *mode_names; ++i)
          if (!strcmp(optarg, mode_names[i])) {
            with->mode = (enum mode) i;
            chosen = 1;
          }
        if (!chosen)
          wrong("-m", optarg, "drop, quit, rcpt, data, hold or sink");
        break;
      case 'p':
        with->port = (uint16_t) number("-p", optarg, 65535);
        break;
      case 'c':
        with->sessions = (size_t) number("-c", optarg, SLOTS_MAX);
        break;
      case 't':
        with->seconds = number("-t", optarg, 600);
        break;
      case 'n':
        with->most = (uint64_t) number("-n", optarg, 1e12);
        break;
      case 'b':
        if (inet_pton(AF_INET, optarg, &address) != 1)
          wrong("-b", optarg, "an IPv4 address");
        with->source = ntohl(address.s_addr);
        break;
      case 'k':
        with->sources = (uint64_t) number("-k", optarg, 4e9);
        break;
      case 'j':
        with->source_step = (uint64_t) number("-j", optarg, 65536);
        break;
      case 'o':
        with->first = (uint64_t) number("-o", optarg, 1e12);
        break;
      case 'f':
        with->sender = optarg;
        break;
      case 'r':
        with->recipient = optarg;
        break;
      case 's':
        with->message_bytes = (size_t) number("-s", optarg, 1e7);
        break;
      case 'w':
        with->word_file = optarg;
        break;
      case 'i':
        with->pause_ms = number("-i", optarg, 1e6);
        break;
      case 'T':
        with->patience_ms = number("-T", optarg, 1e6);
        break;
      case 'x':
        for (i = FULL; i < sizeof tls_names / sizeof *tls_names; ++i)
          if (!strcmp(optarg, tls_names[i]))
            with->tls = (enum tls) i;
        if (!with->tls)
          wrong("-x", optarg, "full or resumed");
        break;
      case 'a':
        for (i = 0; i < sizeof key_kinds / sizeof *key_kinds; ++i)
          if (!strcmp(optarg, key_kinds[i].name))
            with->key = &key_kinds[i];
        if (!with->key)
          wrong("-a", optarg, "ecdsa or rsa");
        break;
      case 'v':
        with->version = !strcmp(optarg, "1.2") ? TLS1_2_VERSION : !strcmp(optarg, "1.3") ? TLS1_3_VERSION : 0;
        if (!with->version)
          wrong("-v", optarg, "1.2 or 1.3");
        break;
      default:
        exit(2);
    }
  if (!chosen || optind != argc || !with->sessions)
    wrong("options", argv[argc - 1], "-m MODE and options");
  if ((with->key || with->version) && !with->tls)
    wrong("-a or -v", "without TLS", "-x full or -x resumed beside it");
  if (with->tls && with->mode == SINK)
    wrong("-m", "sink", "plain text: it has no TLS");
}

static void allow_descriptors(void)
{
  struct rlimit limit;

  if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
    fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
    fail("setrlimit");
}

int main(int argc, char **argv)
{
  read_options(argc, argv);
  allow_descriptors();
  signal(SIGPIPE, SIG_IGN);
  if (run.with.mode == SINK)
    sink();
  else
    clients();
  return 0;
}
