#!/bin/sh
echo "messages in queue: 0"
echo "messages in queue but not yet preprocessed: 0"
