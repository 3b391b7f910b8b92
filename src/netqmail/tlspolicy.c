/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "tlspolicy.h"

#define FIELDS 4

struct field {
  const char *start;
  size_t length;
};

static const char *const words[] = {"none", "may", "encrypt", "verify", "secure", "dane"};

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static int same(const char *left, const char *right, size_t length)
{
  size_t i;

  for (i = 0; i < length; ++i)
    if (lower(left[i]) != lower(right[i]))
      return 0;
  return 1;
}

static int is_letter_or_digit(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

const char *tlspolicy_word(enum tlspolicy_level level)
{
  return words[level];
}

/* Whether bytes are an IPv4 address: four numbers of at most 255 with dots between them. */
static int is_address(const char *bytes, size_t length)
{
  size_t i;
  unsigned int number = 0;
  unsigned int digits = 0;
  unsigned int dots = 0;

  for (i = 0; i < length; ++i) {
    if (bytes[i] == '.') {
      if (!digits)
        return 0;
      ++dots;
      number = digits = 0;
      continue;
    }
    if (bytes[i] < '0' || bytes[i] > '9' || (digits && !number))
      return 0;
    number = number * 10 + (unsigned int) (bytes[i] - '0');
    ++digits;
    if (number > 255)
      return 0;
  }
  return digits && dots == 3;
}

int tlspolicy_is_address(const char *text)
{
  return is_address(text, strlen(text));
}

/* Whether bytes are a host name, or one with a dot in front of it. */
static int is_name(const char *bytes, size_t length)
{
  size_t i;
  int in_label = 0;

  if (!length || length > TLSPOLICY_NAME_MAX)
    return 0;
  for (i = bytes[0] == '.'; i < length; ++i) {
    if (bytes[i] == '.') {
      if (!in_label)
        return 0;
      in_label = 0;
    } else if (is_letter_or_digit(bytes[i]) || bytes[i] == '_' || (bytes[i] == '-' && in_label)) {
      in_label = 1;
    } else {
      return 0;
    }
  }
  return in_label;
}

static int is_domain(const struct field *f)
{
  if (f->length > 2 && f->start[0] == '[' && f->start[f->length - 1] == ']')
    return is_address(f->start + 1, f->length - 2);
  return !f->length || is_name(f->start, f->length);
}

/* Returns the number of a line's fields, FIELDS at most, or 0 where it has more. */
static size_t split(struct field *fields, const char *line, size_t length)
{
  size_t n = 0;
  size_t i;

  fields[0].start = line;
  for (i = 0; i <= length; ++i) {
    if (i < length && line[i] != ':')
      continue;
    fields[n].length = (size_t) (line + i - fields[n].start);
    ++n;
    if (i == length)
      return n;
    if (n == FIELDS)
      return 0;
    fields[n].start = line + i + 1;
  }
  return 0;
}

static int take_level(struct tlspolicy *policy, const struct field *f)
{
  size_t i;

  for (i = 0; i < sizeof words / sizeof *words; ++i)
    if (f->length == strlen(words[i]) && memcmp(f->start, words[i], f->length) == 0) {
      policy->level = (enum tlspolicy_level) i;
      return 1;
    }
  return 0;
}

static int take_names(struct tlspolicy *policy, const struct field *f)
{
  const char *name = f->start;
  const char *stop = f->start + f->length;
  const char *end;
  size_t length;

  for (;; name = end + 1) {
    end = memchr(name, ',', (size_t) (stop - name));
    length = (size_t) ((end ? end : stop) - name);
    if (policy->names == TLSPOLICY_NAMES_MAX || !is_name(name, length))
      return 0;
    memcpy(policy->name[policy->names], name, length);
    policy->name[policy->names++][length] = 0;
    if (!end)
      return 1;
  }
}

static int take_path(struct tlspolicy *policy, const struct field *f)
{
  size_t i;

  if (f->length < 2 || f->length > TLSPOLICY_PATH_MAX || f->start[0] != '/')
    return 0;
  for (i = 0; i < f->length; ++i)
    if (f->start[i] <= ' ' || f->start[i] >= 127)
      return 0;
  memcpy(policy->cafile, f->start, f->length);
  policy->cafile[f->length] = 0;
  return 1;
}

/* Reads one line that counts: its domain, and the policy. Returns 0 where it has a fault. */
static int take_line(struct tlspolicy *policy, struct field *domain, const char *line, size_t length)
{
  struct field fields[FIELDS];
  size_t n = split(fields, line, length);

  policy->level = TLSPOLICY_NONE;
  policy->names = 0;
  policy->cafile[0] = 0;
  if (n < 2 || !is_domain(&fields[0]) || !take_level(policy, &fields[1]))
    return 0;
  *domain = fields[0];
  if (n == 2)
    return 1;
  if (policy->level != TLSPOLICY_VERIFY && policy->level != TLSPOLICY_SECURE)
    return 0;
  if (n == 3)
    return take_names(policy, &fields[2]);
  return (!fields[2].length || take_names(policy, &fields[2])) && take_path(policy, &fields[3]);
}

/* Whether a line's domain is the domain, or one with its dot in front that stands at its end. */
static int fits(const struct field *key, const char *domain, size_t length)
{
  if (key->length > length || !same(key->start, domain + length - key->length, key->length))
    return 0;
  return !key->length || key->length == length || key->start[0] == '.';
}

static size_t without_blanks(const char *line, size_t length)
{
  while (length && (line[length - 1] == ' ' || line[length - 1] == '\t'))
    --length;
  return length;
}

size_t tlspolicy_find(struct tlspolicy *found, const char *file, size_t length, const char *domain, size_t domain_length)
{
  static struct tlspolicy policy;
  struct field key = {0, 0};
  const char *line;
  const char *stop = file + length;
  const char *end;
  size_t number = 0;
  size_t bytes;
  size_t best = 0;
  int whole = 0;
  int any = 0;

  while (domain_length && domain[domain_length - 1] == '.')
    --domain_length;
  for (line = file; line < stop; line = end + 1) {
    ++number;
    end = memchr(line, '\n', (size_t) (stop - line));
    if (!end)
      return number;
    bytes = without_blanks(line, (size_t) (end - line));
    if (!bytes || *line == '#')
      continue;
    if (whole || !take_line(&policy, &key, line, bytes))
      return number;
    whole = !key.length;
    if (!fits(&key, domain, domain_length))
      continue;
    if (any && key.length == best)
      return number;
    if (any && key.length < best)
      continue;
    any = 1;
    best = key.length;
    *found = policy;
  }
  return whole ? 0 : number + 1;
}

int tlspolicy_offered(const char *text, size_t length)
{
  static const char offer[] = "STARTTLS";
  const char *line;
  const char *stop = text + length;
  const char *end;
  size_t bytes;

  for (line = text; line < stop; line = end + 1) {
    end = memchr(line, '\n', (size_t) (stop - line));
    if (!end)
      return 0;
    bytes = without_blanks(line, (size_t) (end - line));
    if (bytes == 4 + sizeof offer - 1 && memcmp(line, "250", 3) == 0 && (line[3] == '-' || line[3] == ' ') &&
        same(line + 4, offer, sizeof offer - 1))
      return 1;
  }
  return 0;
}
