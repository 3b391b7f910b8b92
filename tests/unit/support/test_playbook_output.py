"""Which services a run restarts, by what it prints."""

from __future__ import annotations

from support.playbook_output import restarted_services

TEXT = """
--- before: /service/spamd
+++ after: /service/spamd
@@ -1,4 +1,4 @@
 link: /var/lib/mailgate/supervise/spamd
 at boot: up
-service: up; what it starts with changes
+service: up, restarted
 log: up

--- before: /service/stats
+++ after: /service/stats
@@ -1,4 +1,4 @@
 service: up
-log: up; its run script changed
+log: up, restarted

changed: [gateway]

--- before: /service/rules
+++ after: /service/rules
@@ -1,4 +1,4 @@
-service: up
+service: up, told to reload

--- before: /service/fleet
+++ after: /service/fleet
@@ -1,4 +1,4 @@
-service: not supervised
+service: up
"""


def test_a_service_is_named_when_it_starts_but_not_for_its_log_or_a_reload() -> None:
    assert restarted_services(TEXT) == {"spamd", "fleet"}
    assert restarted_services("") == set()
