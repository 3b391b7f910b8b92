#!/bin/sh
echo "mailgate stand-in for netqmail"
echo "qmail home directory: /var/qmail."
