/* Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controls.h"
#include "drained.h"
#include "mailsize.h"
#include "refusal.h"
#include "tlslink.h"
#include "validrcptto.h"

#define PATH_MAX_BYTES 512

void controls_begin(struct controls *c, const char *rules_path, const char *directory)
{
  memset(c, 0, sizeof *c);
  c->rules_path = rules_path;
  c->directory = directory;
}

static void control_path(const struct controls *c, char *path, const char *name)
{
  snprintf(path, PATH_MAX_BYTES, "%s/%s", c->directory, name);
}

/* Returns the open file, or null with the trouble. */
static struct cdbread *open_cdb(struct controls_cdb *file, const char *path)
{
  if (fileseen_changed(&file->identity, path) || file->state != 1) {
    if (file->state == 1)
      cdbread_close(&file->cdb);
    file->state = cdbread_open(&file->cdb, path) == CDBREAD_TROUBLE ? -1 : 1;
    file->trouble = file->state == 1 ? 0 : file->cdb.trouble;
  }
  return file->state == 1 ? &file->cdb : 0;
}

char *controls_read_file(const char *path, size_t *len)
{
  struct stat st;
  char *text = 0;
  ssize_t n = -1;
  size_t at = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (fd == -1)
    return 0;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= CONTROLS_FILE_MAX)
    text = malloc((size_t) st.st_size + 1);
  while (text && at <= (size_t) st.st_size) {
    n = read(fd, text + at, (size_t) st.st_size + 1 - at);
    if (n == -1 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    at += (size_t) n;
  }
  close(fd);
  if (n == 0) {
    *len = at;
    return text;
  }
  free(text);
  errno = EIO;
  return 0;
}

static int read_names(struct controls_names *names, const char *path)
{
  char *text;
  size_t len = 0;

  if (fileseen_changed(&names->identity, path) || names->state == -1) {
    nameset_free(&names->set);
    text = controls_read_file(path, &len);
    if (!text)
      names->state = errno == ENOENT ? 2 : -1;
    else
      names->state = nameset_read(&names->set, text, len) ? 1 : -1;
    free(text);
  }
  return names->state;
}

/* Returns the first line of a file, without blanks at its end. */
static int first_line(char *out, const char *path)
{
  size_t len = 0;
  char *text = controls_read_file(path, &len);
  char *end;

  if (!text)
    return 0;
  end = memchr(text, '\n', len);
  if (end)
    len = (size_t) (end - text);
  while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
    --len;
  if (len < CONTROLS_GREETING_MAX && !memchr(text, 0, len)) {
    memcpy(out, text, len);
    out[len] = 0;
  } else {
    len = 0;
  }
  free(text);
  return len > 0;
}

int controls_drained(struct controls *c)
{
  char path[PATH_MAX_BYTES];

  control_path(c, path, DRAINED_FILE);
  fileseen_changed(&c->drained_identity, path);
  return c->drained_identity.there;
}

const char *controls_greeting(struct controls *c)
{
  char path[PATH_MAX_BYTES];

  control_path(c, path, "smtpgreeting");
  if (fileseen_changed(&c->greeting_identity, path) || c->greeting_state != 1) {
    c->greeting_state = first_line(c->greeting, path) ? 1 : -1;
    if (c->greeting_state == -1 && !c->greeting_identity.there) {
      control_path(c, path, "me");
      if (first_line(c->greeting, path))
        c->greeting_state = 2;   /* read again each time, for it is not watched */
    }
  }
  return c->greeting_state > 0 ? c->greeting : 0;
}

enum tcprule controls_rule(struct controls *c, struct tcprule_found *found, const struct address *client)
{
  struct cdbread *cdb = open_cdb(&c->rules, c->rules_path);

  found->variables = 0;
  found->trouble = c->rules.trouble;
  return cdb ? tcprule_find(found, cdb, client) : TCPRULE_TROUBLE;
}

static int read_badmailfrom(struct controls *c)
{
  char path[PATH_MAX_BYTES];

  control_path(c, path, "badmailfrom");
  return read_names(&c->badmailfrom, path);
}

static int read_databytes(struct controls *c)
{
  char path[PATH_MAX_BYTES];
  char *text;
  size_t len = 0;

  control_path(c, path, "databytes");
  if (fileseen_changed(&c->databytes_identity, path) || c->databytes_state == -1) {
    text = controls_read_file(path, &len);
    if (len >= sizeof c->databytes)
      len = sizeof c->databytes - 1;
    if (text)
      memcpy(c->databytes, text, len);
    c->databytes[len] = 0;
    c->databytes_state = text ? 1 : errno == ENOENT ? 2 : -1;
    free(text);
  }
  return c->databytes_state;
}

int controls_usable(struct controls *c)
{
  return read_badmailfrom(c) != -1 && read_databytes(c) != -1;
}

unsigned controls_databytes(struct controls *c, const char *of_rule)
{
  return mailsize_limit(read_databytes(c) == 1 ? c->databytes : 0, of_rule ? of_rule : getenv("DATABYTES"));
}

int controls_badmailfrom(void *arg, const char *sender)
{
  struct controls *c = arg;
  const char *domain = strrchr(sender, '@');

  if (read_badmailfrom(c) != 1)
    return 0;
  if (nameset_holds(&c->badmailfrom.set, sender, strlen(sender)))
    return 1;
  return domain && nameset_holds(&c->badmailfrom.set, domain, strlen(domain));
}

enum requiretls_answer controls_requiretls(void *arg, const char *ip, const char *sender, const char *recipient)
{
  struct controls *c = arg;
  char path[PATH_MAX_BYTES];
  struct address client;

  control_path(c, path, "requiretls");
  if (fileseen_changed(&c->requiretls_identity, path) || c->requiretls.state == -1)
    requiretls_read(&c->requiretls, path);
  return requiretls_judge(&c->requiretls, address_parse(&client, ip) ? &client : 0, sender, recipient);
}

int controls_no_greylist(struct controls *c, const char *recipient)
{
  char path[PATH_MAX_BYTES];

  control_path(c, path, "domainrules");
  if (fileseen_changed(&c->domainrules_identity, path) || c->domainrules.state == -1)
    domainrules_read(&c->domainrules, path);
  return domainrules_no_greylist(&c->domainrules, recipient);
}

int controls_tls(void *arg)
{
  const struct controls *c = arg;

  return tlslink_offered(c->tls_path);
}

static enum dialogue_answer in_morercpthosts(struct controls *c, const char *domain)
{
  char path[PATH_MAX_BYTES];
  struct cdbread *cdb;
  const char *part;
  int r;

  control_path(c, path, "morercpthosts.cdb");
  cdb = open_cdb(&c->morercpthosts, path);
  if (!cdb)
    return c->morercpthosts.identity.there ? DIALOGUE_UNSURE : DIALOGUE_NO;
  for (part = domain; part; part = strchr(part + 1, '.')) {
    r = cdbread_find(cdb, part, strlen(part));
    if (r == CDBREAD_TROUBLE)
      return DIALOGUE_UNSURE;
    if (r == CDBREAD_FOUND)
      return DIALOGUE_YES;
    if (!*part)
      break;
  }
  return DIALOGUE_NO;
}

static int is_literal(const char *recipient)
{
  const char *at = strrchr(recipient, '@');

  return at && at[1] == '[';
}

enum dialogue_answer controls_rcpthosts(void *arg, const char *recipient)
{
  struct controls *c = arg;
  char path[PATH_MAX_BYTES];
  char domain[SMTPCOMMAND_LINE_MAX + 1];
  const char *at = strrchr(recipient, '@');
  enum dialogue_answer more;
  const char *part;
  size_t i;

  control_path(c, path, "rcpthosts");
  if (read_names(&c->rcpthosts, path) != 1 || !c->rcpthosts.set.names) {
    refusal_trouble("rcpthosts", "missing, empty or unreadable");
    return DIALOGUE_UNSURE;
  }
  if (!at || is_literal(recipient))
    return DIALOGUE_YES;
  for (i = 0; at[i + 1] && i < SMTPCOMMAND_LINE_MAX; ++i)
    domain[i] = (char) (at[i + 1] >= 'A' && at[i + 1] <= 'Z' ? at[i + 1] + 32 : at[i + 1]);
  domain[i] = 0;
  for (part = domain; part; part = *part ? strchr(part + 1, '.') : 0)
    if (nameset_holds(&c->rcpthosts.set, part, strlen(part)))
      return DIALOGUE_YES;
  more = in_morercpthosts(c, domain);
  if (more == DIALOGUE_UNSURE)
    refusal_trouble("rcpthosts", "missing, empty or unreadable");
  return more;
}

enum dialogue_answer controls_validrcptto(void *arg, const char *recipient)
{
  struct controls *c = arg;
  struct validrcptto v;
  char path[PATH_MAX_BYTES];
  struct cdbread *cdb;
  const char *trouble;
  int r = VALIDRCPTTO_TROUBLE;

  if (is_literal(recipient))
    return DIALOGUE_YES;
  control_path(c, path, "validrcptto.cdb");
  cdb = open_cdb(&c->validrcptto, path);
  trouble = c->validrcptto.trouble;
  if (cdb) {
    r = validrcptto_find_in(&v, cdb, recipient);
    trouble = v.trouble;
  }
  if (r == VALIDRCPTTO_TROUBLE)
    refusal_trouble("validrcptto.cdb", trouble);
  return r == VALIDRCPTTO_FOUND ? DIALOGUE_YES : r == VALIDRCPTTO_MISSING ? DIALOGUE_NO : DIALOGUE_UNSURE;
}
