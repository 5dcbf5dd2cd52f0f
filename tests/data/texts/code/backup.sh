#!/usr/bin/env bash
# Copies the state folder aside, keeps seven copies, and tells when the disk is nearly full.
set -euo pipefail

state="${CCPROXY_STATE:-$HOME/.ccproxy}"
target="${1:?usage: backup.sh TARGET}"
stamp="$(date -u +%Y%m%dT%H%M%SZ)"

if [[ ! -d "$state" ]]; then
  echo "nothing at $state" >&2
  exit 1
fi

mkdir -p "$target"
tar --create --gzip --exclude='*.log' --file "$target/state-$stamp.tar.gz" -C "$state" .

find "$target" -maxdepth 1 -name 'state-*.tar.gz' -print0 \
  | sort -z --reverse \
  | tail -z -n +8 \
  | while IFS= read -r -d '' old; do
      rm -f -- "$old" && printf 'removed %s\n' "$old"
    done

used="$(df --output=pcent "$target" | tail -n 1 | tr -dc '0-9')"
case "$used" in
  9[0-9] | 100) echo "disk is ${used}% full" >&2; exit 2 ;;
  *) echo "done: $(du -sh "$target" | cut -f1) in $target" ;;
esac
