/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "domainrules.h"

#define DIGITS "0123456789"
#define SCORE_MAX 5   /* characters of 999.9 */

enum word { RULE, REJECT, MARK, TAG, NO_TAG, SUFFIX, NO_SUFFIX, NO_GREYLIST, DOMAIN, END, COMMENT, WORDS };

static const struct {
  const char *name;
  int has_value;
} words[WORDS] = {
  {"rule", 0}, {"reject", 1}, {"mark", 1}, {"subject_tag", 1}, {"no_subject_tag", 0}, {"suffix", 1}, {"no_suffix", 0},
  {"no_greylist", 0}, {"domain", 1}, {"end", 0}, {"", 0},
};

struct line {
  enum word word;      /* WORDS: it is wrong */
  const char *value;   /* not ended by a NUL */
  size_t len;
};

/* ---- values ---- */

/* Of at most three digits, and one behind a point; above 0. */
static int is_score(const char *value, size_t len, double *score)
{
  char text[SCORE_MAX + 1];
  size_t whole;
  size_t part;

  if (len > SCORE_MAX)
    return 0;
  memcpy(text, value, len);
  text[len] = 0;
  whole = strspn(text, DIGITS);
  if (whole < 1 || whole > 3)
    return 0;
  if (text[whole] == '.') {
    part = strspn(text + whole + 1, DIGITS);
    if (part != 1 || text[whole + 2])
      return 0;
  } else if (text[whole]) {
    return 0;
  }
  *score = strtod(text, 0);
  return *score > 0;
}

static int is_tag(const char *value, size_t len)
{
  size_t i;

  for (i = 0; i < len; ++i)
    if (value[i] < ' ' || value[i] > '~')
      return 0;
  return len >= 1 && len <= DOMAINRULES_TAG && value[0] != ' ' && value[len - 1] != ' ';
}

static int is_domain(const char *value, size_t len)
{
  static const char characters[] = "abcdefghijklmnopqrstuvwxyz" DIGITS "-_.";
  size_t i;

  for (i = 0; i < len; ++i)
    if (!value[i] || !strchr(characters, value[i]))
      return 0;
  return len >= 1 && len <= DOMAINRULES_DOMAIN && value[0] != '.' && value[len - 1] != '.';
}

int domainrules_suffix(const char *suffix, size_t len)
{
  size_t i;

  for (i = 0; i < len; ++i)
    if ((unsigned char) suffix[i] <= ' ' || suffix[i] == 127 || suffix[i] == ':' || suffix[i] == '/')
      return 0;
  return len >= 1 && len < DOMAINRULES_SUFFIX;
}

static int is_value(const struct line *line)
{
  double score;

  switch (line->word) {
    case REJECT:
    case MARK: return is_score(line->value, line->len, &score);
    case TAG: return is_tag(line->value, line->len);
    case SUFFIX: return domainrules_suffix(line->value, line->len);
    case DOMAIN: return is_domain(line->value, line->len);
    case RULE:
    case NO_TAG:
    case NO_SUFFIX:
    case NO_GREYLIST:
    case END:
    case COMMENT:
    case WORDS: break;
  }
  return 1;
}

/* ---- lines ---- */

static int next_line(struct line *line, const char **at, const char *end)
{
  const char *begin = *at;
  const char *stop;
  const char *blank;
  size_t len;
  int i;

  if (begin == end)
    return 0;
  stop = memchr(begin, '\n', (size_t) (end - begin));
  *at = stop ? stop + 1 : end;
  if (!stop)
    stop = end;
  line->word = COMMENT;
  line->value = stop;
  line->len = 0;
  if (begin == stop || *begin == '#')
    return 1;
  blank = memchr(begin, ' ', (size_t) (stop - begin));
  len = (size_t) ((blank ? blank : stop) - begin);
  if (blank) {
    line->value = blank + 1;
    line->len = (size_t) (stop - line->value);
  }
  for (i = 0; i < COMMENT; ++i)
    if (strlen(words[i].name) == len && memcmp(words[i].name, begin, len) == 0)
      break;
  line->word = i < COMMENT && words[i].has_value == !!blank ? (enum word) i : WORDS;
  return 1;
}

/* Whether a line may be behind those that have said each word so often since the rule began. */
static int fits(const struct line *line, const int *said)
{
  if (said[END])
    return 0;
  switch (line->word) {
    case REJECT:
    case MARK:
    case NO_GREYLIST: return said[RULE] && !said[line->word];
    case TAG:
    case NO_TAG: return said[RULE] && !said[TAG] && !said[NO_TAG];
    case SUFFIX: return said[RULE] && !said[NO_SUFFIX] && said[SUFFIX] < DOMAINRULES_SUFFIXES;
    case NO_SUFFIX: return said[RULE] && !said[SUFFIX] && !said[NO_SUFFIX];
    case DOMAIN: return said[RULE];
    case RULE:
    case END:
    case COMMENT: return 1;
    case WORDS: break;
  }
  return 0;
}

/* Returns the number of the first line that is wrong, or missing at the end; or 0. */
static long first_wrong(const char *at, const char *end)
{
  int said[WORDS];
  struct line line;
  long number = 0;

  memset(said, 0, sizeof said);
  while (next_line(&line, &at, end)) {
    ++number;
    if (!fits(&line, said) || !is_value(&line))
      return number;
    if (line.word == RULE)
      memset(said, 0, sizeof said);
    ++said[line.word];
  }
  return said[END] ? 0 : number + 1;
}

/* ---- the file ---- */

void domainrules_free(struct domainrules *r)
{
  free(r->text);
  memset(r, 0, sizeof *r);
}

void domainrules_take(struct domainrules *r, char *text, size_t len)
{
  domainrules_free(r);
  r->text = text;
  r->len = len;
  r->wrong = first_wrong(text, text + len);
  r->state = r->wrong ? -1 : 1;
}

/* Returns the whole file, from malloc, or null. */
static char *read_all(int fd, size_t *len)
{
  struct stat st;
  char *text;
  size_t room;
  ssize_t n;

  if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size > DOMAINRULES_FILE_MAX)
    return 0;
  room = (size_t) st.st_size + 1;
  text = malloc(room);
  *len = 0;
  while (text && *len < room) {
    n = read(fd, text + *len, room - *len);
    if (n == 0)
      return text;
    if (n == -1 && errno != EINTR)
      break;
    if (n > 0)
      *len += (size_t) n;
  }
  free(text);   /* it has grown, too */
  return 0;
}

void domainrules_read(struct domainrules *r, const char *path)
{
  char *text;
  size_t len;
  int fd;

  domainrules_free(r);
  fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd == -1) {
    r->state = errno == ENOENT ? 0 : -1;
    return;
  }
  text = read_all(fd, &len);
  if (text)
    domainrules_take(r, text, len);
  else
    r->state = -1;
  close(fd);
}

/* ---- questions ---- */

/* The domain behind the last @, without dots at its end. */
static size_t domain_of(const char **domain, const char *address)
{
  const char *at = strrchr(address, '@');
  size_t len = at ? strlen(at + 1) : 0;

  *domain = at ? at + 1 : "";
  while (len > 0 && (*domain)[len - 1] == '.')
    --len;
  return len;
}

int domainrules_number(const struct domainrules *r, const char *recipient)
{
  const char *domain;
  size_t len = domain_of(&domain, recipient);
  const char *at = r->text;
  struct line line;
  int found = DOMAINRULES_SITE;
  int number = 0;

  if (r->state != 1)
    return r->state == 0 ? DOMAINRULES_SITE : DOMAINRULES_UNSURE;
  while (next_line(&line, &at, r->text + r->len)) {
    if (line.word == RULE)
      ++number;
    if (line.word != DOMAIN || line.len != len || strncasecmp(line.value, domain, len) != 0)
      continue;
    if (found != DOMAINRULES_SITE && found != number)
      return DOMAINRULES_UNSURE;
    found = number;
  }
  return found;
}

static void learn(struct domainrule *rule, const struct line *line)
{
  switch (line->word) {
    case REJECT: is_score(line->value, line->len, &rule->reject); break;
    case MARK: is_score(line->value, line->len, &rule->mark); break;
    case TAG: memcpy(rule->tag, line->value, line->len); rule->tags = 1; break;
    case NO_TAG: rule->tags = 1; break;
    case SUFFIX: memcpy(rule->suffix[rule->suffix_count++], line->value, line->len); rule->suffixes = 1; break;
    case NO_SUFFIX: rule->suffixes = 1; break;
    case NO_GREYLIST: rule->no_greylist = 1; break;
    case RULE:
    case DOMAIN:
    case END:
    case COMMENT:
    case WORDS: break;
  }
}

void domainrules_rule(const struct domainrules *r, int number, struct domainrule *rule)
{
  const char *at = r->text;
  struct line line;
  int now = 0;

  memset(rule, 0, sizeof *rule);
  if (r->state != 1 || number == DOMAINRULES_SITE)
    return;
  while (now <= number && next_line(&line, &at, r->text + r->len)) {
    if (line.word == RULE)
      ++now;
    if (now == number)
      learn(rule, &line);
  }
}

int domainrules_no_greylist(const struct domainrules *r, const char *recipient)
{
  static struct domainrule rule;
  int number = domainrules_number(r, recipient);

  if (number == DOMAINRULES_UNSURE || number == DOMAINRULES_SITE)
    return 0;
  domainrules_rule(r, number, &rule);
  return rule.no_greylist;
}

static int same_suffixes(const struct domainrule *one, const struct domainrule *other)
{
  return one->suffixes == other->suffixes && one->suffix_count == other->suffix_count
         && memcmp(one->suffix, other->suffix, sizeof one->suffix) == 0;
}

int domainrules_together(const struct domainrules *r, int one, int other, int relay)
{
  static struct domainrule rules[2];

  if (one == other)
    return one != DOMAINRULES_UNSURE;
  if (!relay || one == DOMAINRULES_UNSURE || other == DOMAINRULES_UNSURE)
    return 0;
  domainrules_rule(r, one, &rules[0]);
  domainrules_rule(r, other, &rules[1]);
  return same_suffixes(&rules[0], &rules[1]);
}
