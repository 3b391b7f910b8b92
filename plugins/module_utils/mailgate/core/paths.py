# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths of the host: settings, rules, state, logs, sockets and programs, each under one name."""

from __future__ import annotations

# Settings, which Ansible writes
SETTINGS_DIRECTORY = "/etc/mailgate"
BLACKLIST_SETTINGS = f"{SETTINGS_DIRECTORY}/blacklist.json"
CERTIFICATES_DIRECTORY = f"{SETTINGS_DIRECTORY}/tls"  # smtptls reads what its "current" leads to
DOCTOR_SETTINGS = f"{SETTINGS_DIRECTORY}/doctor.json"
FLEET_PASSWORDS = f"{SETTINGS_DIRECTORY}/fleet-passwords.json"
FLEET_SETTINGS = f"{SETTINGS_DIRECTORY}/fleet.json"
GREYLIST_SETTINGS = f"{SETTINGS_DIRECTORY}/cqgreylist"
OPERATOR_SETTINGS = f"{SETTINGS_DIRECTORY}/operator.json"
RECIPIENTS_SETTINGS = f"{SETTINGS_DIRECTORY}/recipients.json"
VERSION_FILE = f"{SETTINGS_DIRECTORY}/version.json"  # of the collection, for people
SA_UPDATE_SETTINGS = f"{SETTINGS_DIRECTORY}/sa-update.json"

# Rules about clients and senders: fragments, and what is compiled from them
RULES_DIRECTORY = "/etc/tcp.d"
RULES_COMPILED = "/etc/tcp.smtp.cdb"
RULES_COPY = "/etc/tcp.smtp"
SENDERS_DIRECTORY = "/etc/badmailfrom.d"
SENDERS_COMPILED = "/var/qmail/control/badmailfrom"

# State of mailgate's own services and commands
STATE_DIRECTORY = "/var/lib/mailgate"
BLACKLIST_DIRECTORY = f"{STATE_DIRECTORY}/blacklist"
DOCTOR_STARTS = f"{STATE_DIRECTORY}/doctor/starts.json"
FLEET_DIRECTORY = f"{STATE_DIRECTORY}/fleet"
FLEET_STATE = f"{FLEET_DIRECTORY}/state"  # what this gateway told the others, and heard
OPERATOR_DIRECTORY = f"{STATE_DIRECTORY}/operator"
OPERATOR_RECIPIENTS = f"{OPERATOR_DIRECTORY}/recipients"
OPERATOR_SOCKET = f"{OPERATOR_DIRECTORY}/socket"
RELEASED_DIRECTORY = f"{OPERATOR_DIRECTORY}/released"  # of kept copies: which were
RECIPIENTS_DIRECTORY = f"{STATE_DIRECTORY}/recipients"
REFUSED_DIRECTORY = f"{STATE_DIRECTORY}/refused"  # copies of refused spam, simscan's
RULES_STATE = f"{STATE_DIRECTORY}/rules"
STATS_DIRECTORY = f"{STATE_DIRECTORY}/stats"
STATS_TEXTFILE = f"{STATS_DIRECTORY}/mailgate.prom"

# qmail
QMAIL_CONTROL = "/var/qmail/control"
QMAIL_QUEUE = "/var/qmail/queue"
QMAIL_PROGRAMS = "/var/qmail/bin"
QMAIL_SMTPD = "/var/qmail/bin/qmail-smtpd"
ACCEPTED_DOMAINS = f"{QMAIL_CONTROL}/rcpthosts"
DOMAIN_RULES = f"{QMAIL_CONTROL}/domainrules"  # how mail to single domains is judged
DRAINED = f"{QMAIL_CONTROL}/drained"  # while it is there, new sessions hear 421
REQUIRED_TLS = f"{QMAIL_CONTROL}/requiretls"  # whose mail is taken over TLS only
ROUTES = f"{QMAIL_CONTROL}/smtproutes"
STS_RESOLVER = f"{QMAIL_CONTROL}/stsresolver"  # the socket of a resolver of MTA-STS policies
VALID_RECIPIENTS = f"{QMAIL_CONTROL}/validrcptto.cdb"
SCANNER = "/var/qmail/bin/simscan"
CLEAN_PROOFS = "/var/qmail/alias/mailgate-proof/new"  # what the doctor sent to itself
UNSCANNED_QUEUE = "/var/qmail/bin/qmail-queue"  # queues a message without the scanner
GREYLIST_DIRECTORY = "/var/qmail/cqgreylist"

# Services of daemontools, what they started with, and what multilog writes
SERVICES = "/service"
SERVICE_DEFINITIONS = f"{STATE_DIRECTORY}/supervise"
START_RECORDS = "/run/mailgate/started"
SMTPTLS_SOCKET = "/run/smtptls/socket"
SMTPFRONT_SERVICE = f"{SERVICES}/smtpfront"
LOGS = "/var/log"
SMTP_LOG = f"{LOGS}/qmail/smtpd"
SEND_LOG = f"{LOGS}/qmail/send"
BLACKLIST_LOG = f"{LOGS}/adaptive-blacklist"
FRESHCLAM_LOG = f"{LOGS}/freshclam"

# Scanners
CLAMD_SOCKET = "/run/clamav/clamd.ctl"
CLAMD_SETTINGS = "/etc/clamav/clamd.conf"
CLAMDSCAN = "/usr/local/bin/clamdscan"
SIMSCAN_SETTINGS = f"{QMAIL_CONTROL}/simscan"
CLAMAV_DATABASES = "/var/lib/clamav"
SIMSCAN_DIRECTORY = "/var/spool/simscan"
SPAMASSASSIN_SITE = "/etc/mail/spamassassin"
SPAMASSASSIN_OPERATORS = ("operator.cf", "whitelist.cf", "blocklist.cf")  # what operators wrote there
SPAMASSASSIN_UPDATED_RULES = "/var/lib/spamassassin"
SPAMASSASSIN_RELEASED_RULES = ("/usr/local/share/spamassassin", "/usr/share/spamassassin")
SA_LEARN = "/usr/local/bin/sa-learn"
SPAMD = "/usr/local/bin/spamd"
SPAMD_HOME = "/var/lib/spamd"
SPAMD_PID = "/run/spamd/spamd.pid"
SPAMD_SOCKET = "/run/spamd/spamd.sock"

# Paths of the system
SYSTEM_STATE = "/var/lib"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"  # that the host trusts; of the package ca-certificates
PACKAGE_FILES = f"{SYSTEM_STATE}/dpkg/info"  # dpkg's lists of what each package installed
MAILGATE_COMMAND = "/usr/local/bin/mailgate"
NOLOGIN_SHELL = "/usr/sbin/nologin"
QMAILCTL = "/usr/bin/qmailctl"
SENDMAIL = "/usr/sbin/sendmail"
CLOCK_SYNCHRONIZED = "/run/systemd/timesync/synchronized"  # made by systemd-timesyncd
