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
#include "scanchild.h"
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

/* A message in its two parts: what SpamAssassin gets, and the rest. Their hashes are of what was written. */
struct scanfile_message {
  int file;
  long long length;
  struct scanpiece first;
  struct scanpiece rest;
};

struct scanfile_limits {
  long long first;     /* bytes of the first part, or as many as the header has */
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
 * Whether both pieces end with the same length bytes, and are what was written; -1 with errno when they cannot be read,
 * EBADMSG when they have changed.
 */
int scanfile_same_tail(const struct scanpiece *one, const struct scanpiece *other, long long length,
                       const unsigned char *key);

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
