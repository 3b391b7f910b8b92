# Copyright: (c) 2026, the mailgate.qmail authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The logic of the gateway: formats and decisions, shared by modules, filters and the host's services.

Standard library only; the same files are copied to /usr/local/lib/mailgate on the gateway.
"""
