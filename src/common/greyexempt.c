/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#include <string.h>
#include "greyexempt.h"

#define BLANKS " \t\r\n"

/* Copies a domain of two labels or more in small letters; returns 0 if it is not one. */
static int copy_domain(char *out, const char *text, size_t len)
{
  static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  size_t label = 0;
  size_t i;
  int dots = 0;

  for (i = 0; i < len; ++i) {
    out[i] = text[i] && strchr(capitals, text[i]) ? (char) (text[i] + 32) : text[i];
    if (out[i] == '.' && label > 0) {
      ++dots;
      label = 0;
    } else if (!out[i] || !strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", out[i]) || ++label > 63) {
      return 0;
    }
  }
  out[len] = 0;
  return dots > 0 && label > 0;
}

enum greyexempt_line greyexempt_parse(struct greyexempt *exempt, const char *line, const char **wrong)
{
  char word[GREYEXEMPT_LINE_MAX];
  size_t len;

  memset(exempt, 0, sizeof *exempt);
  line += strspn(line, BLANKS);
  exempt->kind = GREYEXEMPT_COMMENT;
  if (!*line || *line == '#')
    return exempt->kind;
  len = strcspn(line, BLANKS);
  exempt->kind = GREYEXEMPT_WRONG;
  *wrong = "it is neither a network nor a domain of two labels or more";
  if (len >= sizeof word || line[len + strspn(line + len, BLANKS)])
    return exempt->kind;
  memcpy(word, line, len);
  word[len] = 0;
  if (address_parse_network(&exempt->network, &exempt->prefix, word))
    exempt->kind = GREYEXEMPT_NETWORK;
  else if (len < sizeof exempt->domain && strspn(word, "0123456789.") != len && copy_domain(exempt->domain, word, len))
    exempt->kind = GREYEXEMPT_DOMAIN;
  return exempt->kind;
}

int greyexempt_has_address(const struct greyexempt *exempt, const struct address *client)
{
  return exempt->kind == GREYEXEMPT_NETWORK && address_inside(client, &exempt->network, exempt->prefix);
}

int greyexempt_has_name(const struct greyexempt *exempt, const char *name)
{
  size_t len = strlen(exempt->domain);
  size_t name_len = strlen(name);

  if (exempt->kind != GREYEXEMPT_DOMAIN || name_len < len || strcmp(name + name_len - len, exempt->domain) != 0)
    return 0;
  return name_len == len || name[name_len - len - 1] == '.';
}
