/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include "check.h"
#include "scannertext.h"

#define SIZE (SCANNERTEXT_MAX + 1)
#define PLAIN "Dmail server permanently rejected message (#5.3.0)"

static char *text;        /* SIZE bytes on the heap: ASan sees one byte more */
static int wstat;
static int reading = -1;  /* this side of the last scanner's pipe */
static int message = -1;  /* this side of the pipe that is the last scanner's descriptor 0 */
static size_t heard;      /* what scannertext_write() has read */
static double started;

static long endless = -1;  /* from 0 on: reads of the scanner's pipe, each of which finds it full */

/* Stands in the place of libc's. */
ssize_t read(int fd, void *to, size_t n)
{
  if (endless == -1 || fd != reading)
    return syscall(SYS_read, fd, to, n);
  ++endless;
  memset(to, 'D', n);
  return (ssize_t) n;
}

static double now(void)
{
  struct timespec t;

  CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static double busy(void)
{
  struct rusage r;

  CHECK(getrusage(RUSAGE_SELF, &r) == 0);
  return (double) (r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double) (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void rest(int milliseconds)
{
  poll(NULL, 0, milliseconds);
}

static void say(const char *s, size_t len)
{
  ssize_t w;

  while (len > 0) {
    w = write(4, s, len);
    if (w <= 0)
      _exit(99);
    s += w;
    len -= (size_t) w;
  }
}

/* A scanner as qmail_open() starts one: descriptor 4 is the pipe, and nothing else of it is open there. */
static pid_t scanner(void (*act)(void))
{
  int pipes[2];
  int messages[2];
  pid_t pid;

  text = text ? text : malloc(SIZE);
  CHECK(text != NULL);
  memset(text, 'X', SIZE);
  wstat = -1;
  heard = 0;
  close(message);
  CHECK(pipe(pipes) == 0 && pipe(messages) == 0);
  signal(SIGPIPE, SIG_IGN);
  pid = fork();
  CHECK(pid != -1);
  if (pid == 0) {
    signal(SIGPIPE, SIG_DFL);
    close(pipes[0]);
    close(messages[1]);
    dup2(messages[0], 0);
    if (messages[0] != 4)
      close(messages[0]);
    if (pipes[1] != 4) {
      dup2(pipes[1], 4);
      close(pipes[1]);
    }
    act();
    _exit(SCANNERTEXT_EXIT);
  }
  close(pipes[1]);
  close(messages[0]);
  reading = pipes[0];
  message = messages[1];
  started = now();
  return pid;
}

/* What scannertext_collect() gives; whatever happened, the descriptor is closed and the text ends inside. */
static int collected(pid_t pid)
{
  int r = scannertext_collect(reading, pid, &wstat, text, SIZE, heard);

  CHECK(fcntl(reading, F_GETFD) == -1 && errno == EBADF);
  CHECK(r >= -1 && r < SIZE && (r == -1 || text[r] == 0));
  return r;
}

static int refused_with(int status)
{
  return WIFEXITED(wstat) && WEXITSTATUS(wstat) == status;
}

static void says_a_text(void)
{
  say("Dvirus found\n", 13);
}

static void says_nothing(void)
{
}

static void succeeds(void)
{
  _exit(0);
}

static void says_it_in_pieces(void)
{
  say("Zca", 3);
  rest(150);
  say("ll ", 3);
  rest(250);
  say("again", 5);
}

static void says_a_megabyte(void)
{
  static char much[1 << 20];

  memset(much, 'm', sizeof much);
  much[0] = 'D';
  say(much, sizeof much);
}

static void kills_itself(void)
{
  say("Dtold", 5);
  kill(getpid(), SIGKILL);
}

static void leaves_a_child(void)
{
  say("Dleft", 5);
  if (fork() == 0) {
    close(1);   /* who reads this test's output does wait for a grandchild */
    close(2);
    rest(5000);
    _exit(0);
  }
}

static void leaves_a_talkative_child(void)
{
  static char much[4096];

  say("Dfirst", 6);
  if (fork() == 0) {
    memset(much, 'm', sizeof much);
    for (;;)
      say(much, sizeof much);
  }
  rest(200);
}

static void closes_the_pipe_and_runs_on(void)
{
  say("Dearly", 6);
  close(4);
  rest(700);
}

static void is_silent_for_a_while(void)
{
  rest(700);
  say("Dlate", 5);
}

static void says_a_nul(void)
{
  say("Da\0b", 4);
}

TEST(a_text_is_collected)
{
  pid_t pid = scanner(says_a_text);

  CHECK(collected(pid) == 13 && strcmp(text, "Dvirus found\n") == 0 && refused_with(82));
}

TEST(no_text_is_no_text)
{
  pid_t pid = scanner(says_nothing);

  CHECK(collected(pid) == 0 && text[0] == 0 && refused_with(82));
}

TEST(a_text_in_pieces_is_collected_whole)
{
  pid_t pid = scanner(says_it_in_pieces);

  CHECK(collected(pid) == 11 && strcmp(text, "Zcall again") == 0 && refused_with(82));
}

TEST(a_nul_is_collected_like_any_byte)
{
  pid_t pid = scanner(says_a_nul);

  CHECK(collected(pid) == 4 && memcmp(text, "Da\0b", 5) == 0);
}

TEST(a_message_without_a_text_waits_for_nothing)
{
  double begin = now();
  pid_t pid;
  int i;

  for (i = 0; i < 30; ++i) {
    pid = scanner(succeeds);
    CHECK(collected(pid) == 0 && refused_with(0));
  }
  CHECK(now() - begin < 2);   /* a tick of 100 ms each would be 3 s */
}

TEST(more_than_a_pipe_holds_blocks_nobody)
{
  pid_t pid = scanner(says_a_megabyte);

  CHECK(collected(pid) == SCANNERTEXT_MAX && refused_with(82));   /* 99 when it could not say all of it */
  CHECK(text[0] == 'D' && strspn(text + 1, "m") == SCANNERTEXT_MAX - 1);
  CHECK(now() - started < 3);
}

/* Exits with 82 when the message is that of sent(), whole and in order. */
static void reads_the_message(void)
{
  static char piece[5000];
  long at = 0;
  ssize_t n;
  ssize_t i;

  while ((n = read(0, piece, sizeof piece)) > 0)
    for (i = 0; i < n; ++i, ++at)
      if (piece[i] != (char) (at % 251))
        _exit(97);
  _exit(n == 0 && at == 1 << 20 ? SCANNERTEXT_EXIT : 98);
}

static void talks_before_it_listens(void)
{
  says_a_megabyte();
  reads_the_message();
}

static void hangs_up_before_it_listens(void)
{
  say("Dx", 2);
  close(4);
  rest(300);
  reads_the_message();
}

static void never_listens(void)
{
  say("Dno", 3);
  close(0);
  rest(300);
}

/* Whether a message of so many bytes can be sent whole, as substdio sends it. */
static int sent(int len)
{
  static char content[1 << 20];
  int at;
  int w;

  for (at = 0; at < len; ++at)
    content[at] = (char) (at % 251);
  at = 0;
  while (at < len) {
    w = scannertext_write(message, content + at, len - at, reading, text, SIZE, &heard);
    CHECK(w == -1 || (w > 0 && w <= len - at));
    if (w == -1)
      break;
    at += w;
  }
  w = errno;
  close(message);
  message = -1;
  errno = w;
  return at == len;
}

TEST(a_scanner_may_talk_before_it_listens)
{
  pid_t pid = scanner(talks_before_it_listens);

  alarm(20);
  CHECK(sent(1 << 20));
  CHECK(collected(pid) == SCANNERTEXT_MAX && refused_with(82));
  CHECK(text[0] == 'D' && strspn(text + 1, "m") == SCANNERTEXT_MAX - 1);
}

TEST(a_scanner_may_hang_up_before_it_listens)
{
  double before;
  pid_t pid = scanner(hangs_up_before_it_listens);

  alarm(20);
  before = busy();
  CHECK(sent(1 << 20));
  CHECK(busy() - before < 0.2);   /* a hung-up pipe is ready for ever */
  CHECK(collected(pid) == 2 && strcmp(text, "Dx") == 0 && refused_with(82));
}

TEST(a_scanner_that_listens_first_is_heard_as_well)
{
  pid_t pid = scanner(reads_the_message);

  alarm(20);
  CHECK(sent(1 << 20));
  CHECK(collected(pid) == 0 && refused_with(82));
}

TEST(a_scanner_that_does_not_listen_is_an_error)
{
  pid_t pid = scanner(never_listens);

  alarm(20);
  rest(100);
  errno = 0;
  CHECK(!sent(1 << 20) && errno == EPIPE);
  CHECK(collected(pid) == 3 && strcmp(text, "Dno") == 0 && refused_with(82));
}

TEST(a_signal_is_told)
{
  pid_t pid = scanner(kills_itself);

  CHECK(collected(pid) == 5 && strcmp(text, "Dtold") == 0);
  CHECK(WIFSIGNALED(wstat) && WTERMSIG(wstat) == SIGKILL);
}

TEST(a_grandchild_with_the_pipe_is_not_waited_for)
{
  pid_t pid = scanner(leaves_a_child);

  CHECK(collected(pid) == 5 && strcmp(text, "Dleft") == 0 && refused_with(82));
  CHECK(now() - started < 1.5);
}

TEST(a_grandchild_that_talks_for_ever_is_not_listened_to)
{
  pid_t pid = scanner(leaves_a_talkative_child);

  CHECK(collected(pid) == SCANNERTEXT_MAX && strncmp(text, "Dfirst", 6) == 0 && refused_with(82));
  CHECK(now() - started < 2);
}

TEST(what_never_ends_is_read_no_longer_than_a_pipe_is)
{
  pid_t pid = scanner(says_nothing);

  rest(200);   /* it has ended */
  endless = 0;
  CHECK(collected(pid) == SCANNERTEXT_MAX && refused_with(82));
  CHECK(endless > 0 && endless <= 1024);
}

TEST(a_pipe_closed_early_is_no_end_of_the_process)
{
  double before;
  pid_t pid = scanner(closes_the_pipe_and_runs_on);

  before = busy();
  CHECK(collected(pid) == 6 && strcmp(text, "Dearly") == 0 && refused_with(82));
  CHECK(now() - started > 0.6 && busy() - before < 0.2);   /* it sleeps meanwhile */
}

TEST(a_silent_scanner_costs_nothing)
{
  double before;
  pid_t pid = scanner(is_silent_for_a_while);

  before = busy();
  CHECK(collected(pid) == 5 && strcmp(text, "Dlate") == 0 && refused_with(82));
  CHECK(busy() - before < 0.2);
}

TEST(a_process_that_is_not_ours)
{
  pid_t pid = scanner(succeeds);
  pid_t holder;
  int pipes[2];

  CHECK(waitpid(pid, &wstat, 0) == pid);
  CHECK(collected(pid) == -1 && text[0] == 0);
  CHECK(pipe(pipes) == 0);   /* and when somebody holds the pipe */
  reading = pipes[0];
  holder = pipes[1];
  started = now();
  CHECK(collected(pid) == -1 && now() - started < 1);
  close(holder);
}

TEST(without_a_pipe_the_process_is_still_waited_for)
{
  pid_t pid = scanner(is_silent_for_a_while);

  close(reading);   /* before it says anything */
  CHECK(collected(pid) == 0 && text[0] == 0);
  CHECK(WIFSIGNALED(wstat) && WTERMSIG(wstat) == SIGPIPE);
  pid = scanner(succeeds);
  close(reading);
  reading = -1;
  CHECK(collected(pid) == 0 && refused_with(0));
}

static void ignore_it(int sig)
{
  (void) sig;
}

TEST(signals_lose_nothing)
{
  struct sigaction act;
  struct itimerval often;
  pid_t pid;

  memset(&act, 0, sizeof act);
  act.sa_handler = ignore_it;   /* without SA_RESTART */
  CHECK(sigaction(SIGALRM, &act, NULL) == 0);
  memset(&often, 0, sizeof often);
  often.it_value.tv_usec = often.it_interval.tv_usec = 3000;
  pid = scanner(says_it_in_pieces);
  CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
  CHECK(collected(pid) == 11 && strcmp(text, "Zcall again") == 0 && refused_with(82));
  pid = scanner(closes_the_pipe_and_runs_on);
  CHECK(collected(pid) == 6 && refused_with(82));
  pid = scanner(says_a_megabyte);
  CHECK(collected(pid) == SCANNERTEXT_MAX && refused_with(82));
  pid = scanner(talks_before_it_listens);
  CHECK(sent(1 << 20));   /* nor do they make a write wait */
  CHECK(collected(pid) == SCANNERTEXT_MAX && refused_with(82));
}

TEST(no_buffer_is_overrun)
{
  size_t size;
  pid_t pid;
  int r;

  for (size = 1; size <= 20; ++size) {
    pid = scanner(says_a_text);
    free(text);
    text = malloc(size);
    CHECK(text != NULL);
    r = scannertext_collect(reading, pid, &wstat, text, size, 0);
    CHECK(r == (int) (size - 1 < 13 ? size - 1 : 13));
    CHECK(strncmp(text, "Dvirus found\n", (size_t) r) == 0 && text[r] == 0);
    free(text);
    text = NULL;
  }
}

/* What becomes of a text of len bytes, in a buffer of exactly SIZE. */
static const char *reply_to(const char *said, size_t len)
{
  static char *reply;
  const char *s;

  free(reply);
  reply = malloc(SIZE);
  CHECK(reply != NULL && len < SIZE);
  memset(reply, 'X', SIZE);
  memcpy(reply, said, len);
  reply[len] = 0;
  scannertext_reply(reply, SIZE);
  CHECK(memchr(reply, 0, SIZE) != NULL && strlen(reply) >= 2 && strlen(reply) <= SCANNERTEXT_MAX);
  CHECK(reply[0] == 'D' || reply[0] == 'Z');   /* an empty result would be a 250 */
  for (s = reply; *s; ++s)
    CHECK(*s >= ' ' && *s <= '~');
  return reply;
}

TEST(each_text_has_its_reply)
{
  static const struct {
    const char *said;
    const char *reply;
  } table[] = {
    { "Dvirus found", "Dvirus found" },
    { "Zcome again", "Zcome again" },
    { "D!", "D!" },
    { "Z ~", "Z ~" },
    { "D leading space", "D leading space" },
    { "", PLAIN },
    { "D", PLAIN },
    { "Z", PLAIN },
    { "D\n", PLAIN },
    { "Z \r\n", PLAIN },
    { "D    ", PLAIN },
    { "\n", PLAIN },
    { " ", PLAIN },
    { "\nDvirus", PLAIN },
    { " Dvirus", PLAIN },
    { "d virus", PLAIN },
    { "K", PLAIN },
    { "Kaccepted", PLAIN },
    { "250 ok", PLAIN },
    { "\xc3\xa9", PLAIN },
    { "Dvirus\n", "Dvirus" },
    { "Dvirus\r\n\r\n", "Dvirus" },
    { "Dvirus  \n \n", "Dvirus" },
    { "Done\ntwo", "Done?two" },
    { "Done\r\n250 ok\r\n", "Done??250 ok" },
    { "D\r\n250 ok", "D??250 ok" },
    { "D\n\nx", "D??x" },
    { "D\ttab\x01\x1b[2J\x07\x7f.", "D?tab??[2J??." },
    { "D\x01", "D?" },
    { "Zm\xc3\xbcll\xff\x80", "Zm??ll??" },
  };
  size_t i;

  for (i = 0; i < sizeof table / sizeof *table; ++i) {
    check_where = table[i].said;
    CHECK(strcmp(reply_to(table[i].said, strlen(table[i].said)), table[i].reply) == 0);
  }
}

TEST(the_process_that_has_queued_is_told)
{
  static const char *const nothing[] = {
    "", "K", "Kqp", "Kqp ", "Kqp 0", "Kqp 007", "Kqp -7", "Kqp +7", "Kqp 7 ", "Kqp 7\n\n", "Kqp 7x", "Kqp 1234567890", "kqp 7",
    "qp 7", " Kqp 7", "Kqp 7\r\n", "Dno\nKqp 7", "Kqp 7\nKqp 8\n", "Kqp  7", "Kqp \xb9",
  };
  size_t i;

  CHECK(scannertext_queued("Kqp 4713", 9) == 4713 && scannertext_queued("Kqp 4713\n", 9) == 4713);
  CHECK(scannertext_queued("Kqp 1", 9) == 1 && scannertext_queued("Kqp 999999999\n", 9) == 999999999);
  for (i = 0; i < sizeof nothing / sizeof *nothing; ++i) {
    check_where = nothing[i];
    CHECK(scannertext_queued(nothing[i], 9) == 9);
  }
}

TEST(a_nul_ends_the_text)
{
  CHECK(strcmp(reply_to("Dab\0cd", 6), "Dab") == 0);
  CHECK(strcmp(reply_to("D\0ab", 4), PLAIN) == 0);
  CHECK(strcmp(reply_to("\0Dab", 4), PLAIN) == 0);
  CHECK(strcmp(reply_to("Dab\n\0cd", 7), "Dab") == 0);
}

TEST(every_byte_in_each_place)
{
  char said[3] = "D?";
  char want[3] = "D?";
  int b;

  for (b = 1; b < 256; ++b) {
    said[0] = 'Z';
    said[1] = (char) b;
    want[0] = 'Z';
    want[1] = b >= ' ' && b <= '~' ? (char) b : '?';
    CHECK(strcmp(reply_to(said, 2), b == ' ' || b == '\n' || b == '\r' ? PLAIN : want) == 0);
    said[0] = (char) b;
    said[1] = 'x';
    CHECK(strcmp(reply_to(said, 2), b == 'D' ? "Dx" : b == 'Z' ? "Zx" : PLAIN) == 0);
  }
}

TEST(the_longest_text_fits_a_reply_line)
{
  char said[2 * SIZE];
  char *big;
  size_t n;

  memset(said, 'x', sizeof said);
  said[0] = 'D';
  for (n = SCANNERTEXT_MAX - 2; n <= SCANNERTEXT_MAX; ++n)
    CHECK(strlen(reply_to(said, n)) == n);
  CHECK(strlen("554 ") + SCANNERTEXT_MAX - 1 + strlen("\r\n") <= 512);
  for (n = 64; n < 2 * SIZE; ++n) {   /* buffers of other sizes, without a NUL in them */
    big = malloc(n);
    CHECK(big != NULL);
    memcpy(big, said, n);
    scannertext_reply(big, n);
    CHECK(strlen(big) == (n > SCANNERTEXT_MAX ? SCANNERTEXT_MAX : n - 1) && strspn(big + 1, "x") == strlen(big) - 1);
    memset(big, 'K', n);
    scannertext_reply(big, n);
    CHECK(strcmp(big, PLAIN) == 0);
    free(big);
  }
}

static const struct test tests[] = {
  { "a_text_is_collected", a_text_is_collected },
  { "no_text_is_no_text", no_text_is_no_text },
  { "a_text_in_pieces_is_collected_whole", a_text_in_pieces_is_collected_whole },
  { "a_nul_is_collected_like_any_byte", a_nul_is_collected_like_any_byte },
  { "a_message_without_a_text_waits_for_nothing", a_message_without_a_text_waits_for_nothing },
  { "more_than_a_pipe_holds_blocks_nobody", more_than_a_pipe_holds_blocks_nobody },
  { "a_scanner_may_talk_before_it_listens", a_scanner_may_talk_before_it_listens },
  { "a_scanner_may_hang_up_before_it_listens", a_scanner_may_hang_up_before_it_listens },
  { "a_scanner_that_listens_first_is_heard_as_well", a_scanner_that_listens_first_is_heard_as_well },
  { "a_scanner_that_does_not_listen_is_an_error", a_scanner_that_does_not_listen_is_an_error },
  { "a_signal_is_told", a_signal_is_told },
  { "a_grandchild_with_the_pipe_is_not_waited_for", a_grandchild_with_the_pipe_is_not_waited_for },
  { "a_grandchild_that_talks_for_ever_is_not_listened_to", a_grandchild_that_talks_for_ever_is_not_listened_to },
  { "what_never_ends_is_read_no_longer_than_a_pipe_is", what_never_ends_is_read_no_longer_than_a_pipe_is },
  { "a_pipe_closed_early_is_no_end_of_the_process", a_pipe_closed_early_is_no_end_of_the_process },
  { "a_silent_scanner_costs_nothing", a_silent_scanner_costs_nothing },
  { "a_process_that_is_not_ours", a_process_that_is_not_ours },
  { "without_a_pipe_the_process_is_still_waited_for", without_a_pipe_the_process_is_still_waited_for },
  { "signals_lose_nothing", signals_lose_nothing },
  { "no_buffer_is_overrun", no_buffer_is_overrun },
  { "each_text_has_its_reply", each_text_has_its_reply },
  { "a_nul_ends_the_text", a_nul_ends_the_text },
  { "every_byte_in_each_place", every_byte_in_each_place },
  { "the_longest_text_fits_a_reply_line", the_longest_text_fits_a_reply_line },
  {"the_process_that_has_queued_is_told", the_process_that_has_queued_is_told},
};
MAIN(tests)
