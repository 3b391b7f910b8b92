/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include "check.h"
#include "clamdask.h"

static struct clamdask answer;
static char name[40];

/* The verdict on bytes that came in two pieces, cut everywhere. */
static enum clamdask_verdict judged(const char *bytes, size_t length)
{
  enum clamdask_verdict verdict = CLAMDASK_UNCLEAR;
  size_t cut;

  check_where = bytes;
  for (cut = 0; cut <= length; ++cut) {
    char *exact = malloc(length + 1); /* a byte too far is seen */
    enum clamdask_verdict one;

    memcpy(exact, bytes, length);
    clamdask_begin(&answer);
    CHECK(clamdask_take(&answer, exact, cut) == 0 && clamdask_take(&answer, exact + cut, length - cut) == 0);
    one = clamdask_judge(&answer, name, sizeof name);
    CHECK(cut == 0 || one == verdict);
    verdict = one;
    free(exact);
  }
  return verdict;
}

/* The same for a text and its NUL. */
static enum clamdask_verdict said(const char *text)
{
  return judged(text, strlen(text) + 1);
}

TEST(clean_is_said_in_two_ways)
{
  CHECK(said("stream: OK") == CLAMDASK_CLEAN && said("fd[10]: OK") == CLAMDASK_CLEAN && said("fd[0]: OK") == CLAMDASK_CLEAN);
  CHECK(said("OK") == CLAMDASK_UNCLEAR && said(": OK") == CLAMDASK_UNCLEAR && said("stream OK") == CLAMDASK_UNCLEAR);
  CHECK(said("stream:OK") == CLAMDASK_UNCLEAR && said("stream:  OK") == CLAMDASK_UNCLEAR);
  CHECK(said("stream: OK ") == CLAMDASK_UNCLEAR && said("stream: OK\n") == CLAMDASK_UNCLEAR);
  CHECK(said("stream: NOT OK") == CLAMDASK_UNCLEAR && said("stream: a: OK") == CLAMDASK_UNCLEAR);
  CHECK(said("stream: ok") == CLAMDASK_UNCLEAR && said("Stream: OK") == CLAMDASK_UNCLEAR);
  CHECK(said("fd[]: OK") == CLAMDASK_UNCLEAR && said("fd[1: OK") == CLAMDASK_UNCLEAR && said("fd[1]]: OK") == CLAMDASK_UNCLEAR);
  CHECK(said("fd[-1]: OK") == CLAMDASK_UNCLEAR && said("fd[x]: OK") == CLAMDASK_UNCLEAR && said("fd1: OK") == CLAMDASK_UNCLEAR);
  CHECK(said("/work/message: OK") == CLAMDASK_UNCLEAR);
}

TEST(half_an_answer_is_none)
{
  static const char whole[] = "fd[10]: Eicar-Test FOUND";
  size_t n;

  for (n = 0; n < sizeof whole; ++n) CHECK(judged(whole, n) == CLAMDASK_UNCLEAR);
  CHECK(judged(whole, sizeof whole) == CLAMDASK_VIRUS);
  CHECK(judged("stream: OK", 10) == CLAMDASK_UNCLEAR && judged("", 0) == CLAMDASK_UNCLEAR && judged("\0", 1) == CLAMDASK_UNCLEAR);
}

TEST(more_than_one_answer_is_none)
{
  CHECK(judged("stream: OK\0stream: OK", 22) == CLAMDASK_UNCLEAR && judged("stream: OK\0\0", 12) == CLAMDASK_UNCLEAR);
  CHECK(judged("stream: OK\0stream: Eicar FOUND", 31) == CLAMDASK_UNCLEAR);
  CHECK(judged("stream: OK\0x", 12) == CLAMDASK_UNCLEAR && judged("\0stream: OK", 12) == CLAMDASK_UNCLEAR);
}

TEST(a_virus_has_a_name)
{
  CHECK(said("stream: Eicar-Test FOUND") == CLAMDASK_VIRUS && !strcmp(name, "Eicar-Test"));
  CHECK(said("fd[12]: Win.Test.EICAR_HDB-1(44d88612:68) FOUND") == CLAMDASK_VIRUS);
  CHECK(!strcmp(name, "Win.Test.EICAR_HDB-1(44d88612_68)"));
  CHECK(said("stream: a: b FOUND") == CLAMDASK_VIRUS && !strcmp(name, "a_ b"));
  CHECK(said("stream: OK FOUND") == CLAMDASK_VIRUS && !strcmp(name, "OK"));
  CHECK(said("stream:  FOUND") == CLAMDASK_UNCLEAR && said("stream: FOUND") == CLAMDASK_UNCLEAR);
  CHECK(said("stream: Eicar found") == CLAMDASK_UNCLEAR && said("stream: EicarFOUND") == CLAMDASK_UNCLEAR);
  CHECK(said("Eicar FOUND") == CLAMDASK_UNCLEAR && said("stream: Eicar FOUND ") == CLAMDASK_UNCLEAR);
  CHECK(said("stream: \033[2J FOUND") == CLAMDASK_UNCLEAR && said("stream: \303\244 FOUND") == CLAMDASK_UNCLEAR);
  CHECK(said("fd[1]: 0123456789012345678901234567890123456789 FOUND") == CLAMDASK_VIRUS);
  CHECK(strlen(name) == sizeof name - 1);
}

TEST(what_is_no_virus_has_its_own_verdict)
{
  CHECK(said("fd[1]: Heuristics.Limits.Exceeded.MaxFiles FOUND") == CLAMDASK_LIMIT);
  CHECK(!strcmp(name, "Heuristics.Limits.Exceeded.MaxFiles"));
  CHECK(said("fd[1]: Heuristics.Limits.Exceeded FOUND") == CLAMDASK_LIMIT);
  CHECK(said("fd[1]: Heuristics.Limits.Exceeded.MaxScanTime FOUND") == CLAMDASK_LATE);
  CHECK(said("fd[1]: Heuristics.Phishing.Email.SpoofedDomain FOUND") == CLAMDASK_HEURISTIC);
  CHECK(said("fd[1]: Heuristics.Encrypted.Zip FOUND") == CLAMDASK_HEURISTIC);
  CHECK(said("fd[1]: Heuristics.OLE2.ContainsMacros.VBA FOUND") == CLAMDASK_HEURISTIC);
  CHECK(said("fd[1]: Heuristics.XZ.DicSizeLimit FOUND") == CLAMDASK_LIMIT);
  CHECK(said("fd[1]: Heuristics.PDF.ObfuscatedNameObject FOUND") == CLAMDASK_HEURISTIC);
  CHECK(said("fd[1]: Heuristics.Zip.OverlappingFiles FOUND") == CLAMDASK_HEURISTIC);
  CHECK(said("fd[1]: Heuristics.Safebrowsing.Suspected-phishing_safebrowsing.clamav.net FOUND") == CLAMDASK_HEURISTIC);
  CHECK(said("fd[1]: Heuristics.APMPartitionIntersection FOUND") == CLAMDASK_HEURISTIC);
  CHECK(said("fd[1]: Heuristics.GPTPartitionIntersection FOUND") == CLAMDASK_HEURISTIC);
  CHECK(said("fd[1]: Heuristics.MBRPartitionnIntersect FOUND") == CLAMDASK_HEURISTIC);
  CHECK(said("fd[1]: Heuristics.Trojan.Swizzor.Gen FOUND") == CLAMDASK_VIRUS);
  CHECK(said("fd[1]: Heuristics.W32.Parite.B FOUND") == CLAMDASK_VIRUS);
  CHECK(said("fd[1]: Heuristics.Exploit.CVE_2006_0001 FOUND") == CLAMDASK_VIRUS);
  CHECK(said("fd[1]: Win.Heuristics.Phishing.x FOUND") == CLAMDASK_VIRUS);
  CHECK(said("fd[1]: heuristics.phishing.x FOUND") == CLAMDASK_VIRUS);
}

TEST(an_error_is_no_verdict_and_is_told)
{
  char words[20];

  CHECK(said("INSTREAM size limit exceeded. ERROR") == CLAMDASK_UNCLEAR && said("UNKNOWN COMMAND") == CLAMDASK_UNCLEAR);
  CHECK(said("COMMAND READ TIMED OUT") == CLAMDASK_UNCLEAR && said("fd[10]: Can't read file ERROR") == CLAMDASK_UNCLEAR);
  CHECK(!strcmp(clamdask_words(&answer, words, sizeof words), "fd[10]_ Can't read "));
  CHECK(judged("a\nb\n\0", 5) == CLAMDASK_UNCLEAR && !strcmp(clamdask_words(&answer, words, sizeof words), "a_b"));
  CHECK(judged("", 0) == CLAMDASK_UNCLEAR && !strcmp(clamdask_words(&answer, words, sizeof words), ""));
}

TEST(an_answer_has_a_bound)
{
  static char long_name[CLAMDASK_ANSWER + 1];

  memset(long_name, 'x', sizeof long_name);
  clamdask_begin(&answer);
  CHECK(clamdask_take(&answer, long_name, CLAMDASK_ANSWER) == 0);
  CHECK(clamdask_judge(&answer, name, sizeof name) == CLAMDASK_UNCLEAR);
  CHECK(clamdask_take(&answer, "x", 0) == 0 && clamdask_take(&answer, "x", 1) == -1 && errno == EMSGSIZE);
  clamdask_begin(&answer);
  errno = 0;
  CHECK(clamdask_take(&answer, long_name, sizeof long_name) == -1 && errno == EMSGSIZE);
  memcpy(long_name, "fd[1]: ", 7);
  memcpy(long_name + CLAMDASK_ANSWER - 7, " FOUND", 7);
  CHECK(judged(long_name, CLAMDASK_ANSWER) == CLAMDASK_VIRUS);
}

TEST(the_commands_end_with_a_nul)
{
  CHECK(sizeof CLAMDASK_STREAM == 10 && !memcmp(CLAMDASK_STREAM, "zINSTREAM\0", 10));
  CHECK(sizeof CLAMDASK_DESCRIPTOR == 9 && !memcmp(CLAMDASK_DESCRIPTOR, "zFILDES\0\0", 9));
}

static const struct test tests[] = {
  {"clean_is_said_in_two_ways", clean_is_said_in_two_ways},
  {"half_an_answer_is_none", half_an_answer_is_none},
  {"more_than_one_answer_is_none", more_than_one_answer_is_none},
  {"a_virus_has_a_name", a_virus_has_a_name},
  {"what_is_no_virus_has_its_own_verdict", what_is_no_virus_has_its_own_verdict},
  {"an_error_is_no_verdict_and_is_told", an_error_is_no_verdict_and_is_told},
  {"an_answer_has_a_bound", an_answer_has_a_bound},
  {"the_commands_end_with_a_nul", the_commands_end_with_a_nul},
};
MAIN(tests)
