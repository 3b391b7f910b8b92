/*
 * Copyright: (c) 2026, the mailgate.qmail authors
 * GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A directory of our own below the work directory, and files in it that are written whole or not at all.
 */
#ifndef SCANFILE_H
#define SCANFILE_H

#include <stddef.h>
#include "scanfeed.h"
#include "scanheader.h"
#include "scannames.h"

/* All of the bytes, or -1 with errno. */
int scanfile_write(int fd, const char *bytes, size_t length);

/*
 * Makes PARENT/SECONDS.MICROSECONDS.PID, as simscan does, and goes there; the cleaner knows from the name which
 * process it belongs to. Writes the path to path. Returns 0, or -1 with errno.
 */
int scanfile_enter(const char *parent, char *path, size_t size);

/* Removes that directory with everything in it, as far as that can be done. */
void scanfile_leave(const char *path);

enum scanfile_stored { SCANFILE_STORED, SCANFILE_UNREAD, SCANFILE_UNWRITTEN, SCANFILE_ABOVE };

/* A new file of our own, for writing and for reading by its descriptor only; -1 with errno. */
int scanfile_create(const char *name);

/* A message in its parts. Their hashes are of what was written. */
struct scanfile_message {
  int file;
  long long length;
  struct scanpiece header; /* with its empty line */
  struct scanpiece body;   /* as much of it as SpamAssassin gets, behind the header */
  struct scanpiece rest;
  long long changed_seconds; /* when the file was complete: its last change */
  long long changed_nanoseconds;
};

struct scanfile_limits {
  long long first;     /* bytes of header and body, or as many as the header has */
  long long whole;     /* a message of more bytes is not stored: above */
  const unsigned char *key;
  struct scannames *names; /* the check of the names of attachments, or NULL */
};

/*
 * Copies a message from fd to a new file, without the sender's own X-Spam-* and X-Virus-* fields. When it cannot be
 * read or written, errno is set.
 */
enum scanfile_stored scanfile_store(int fd, const char *name, struct scanheader *header,
                                    const struct scanfile_limits *limits, struct scanfile_message *message);

/*
 * Opens the stored message once more, for reading only: another process that gets this descriptor can do nothing else
 * with it. -1 with errno, ESTALE when another file has its name.
 */
int scanfile_open_stored(const char *name, const struct scanfile_message *message);

/* Whether a descriptor of the stored message, its length and its last change are still those of when it was complete. */
int scanfile_is_as_stored(int fd, const struct scanfile_message *message);

/* The capacity of the file system of the current directory: bytes, and files (0: it does not count them). */
struct scanfile_room {
  long long bytes;
  long long files;
};

int scanfile_room(struct scanfile_room *room);

/* The contents of a directory: bytes as allocated, and files. A directory that cannot be read is -1 with errno. */
int scanfile_used(const char *directory, struct scanfile_room *used);

/* What is free for others than root where a directory lies; files -1: they are not counted. -1 with errno, EROFS
 * also. */
int scanfile_free(const char *directory, struct scanfile_room *room);

/* Whether the file system of the current directory has neither room nor names left. */
int scanfile_full(void);

/*
 * Looks for a file below a directory whose name has one of the suffixes. Returns 1 with its name as a log field, 0,
 * or -1 with errno.
 */
int scanfile_find(const char *directory, const char *suffixes, size_t stride, int count, char *name, size_t size);

#endif
