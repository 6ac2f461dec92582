#!/usr/bin/env bash
# Does the simulation bite? Puts one mistake after the other into a copy of the sources, builds the simulation of it and
# expects that it fails, by the promise that the mistake breaks.
#
#   scripts/mutants-sim.sh                all of them
#   scripts/mutants-sim.sh no-sync order  these
#
# The copy stands in target/mutants and is built into target, so that the crates there are used as they are: a mistake
# costs a build of the core and of the simulation.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD

# Worlds that may be lived through until one fails.
worlds=${WORLDS:-3000}

# name | promises, one of which must be broken | file | what becomes of it (perl)
mutants() {
    cat <<'LIST'
no-sync|NoLoss NoReuse Dedup|src/journal/segments.rs|s/self\.storage\.sync\(&segment\.name\)\?;//
no-sync-of-names|NoLoss NoReuse Dedup|src/journal/segments.rs|s/\.and_then\(\|\(\)\| self\.storage\.sync_names\(\)\)//
no-sync-at-start|NoLoss NoReuse Dedup|src/journal/recover.rs|s/try_for_each\(\|name\| storage\.sync\(&name\)\)/try_for_each(|_name| Ok(()))/
two-under-way|Order|src/core/outbox.rs|s/self\.in_flight\.is_none\(\) && first <= last/first <= last/
unstored|StoredFirst|src/core/outbox.rs|s/let last = self\.stored\.min\(/let last = Seq(self.next.0.saturating_sub(1)).min(/
calls-overtake|EventsFirst|src/core/session/settle.rs|s/if !self\.is_told\(\) \{\s*return None;\s*\}//
open-start|Pairing|src/journal/recover.rs|s/Some\(Open \{ start, checkpoint \}\)/{ let _ = Open { start, checkpoint }; None }/
settled-forgotten|Dedup Flat|src/journal/segments.rs|s/small\.push\(Entry::Settled\(settled_first\)\);//
answers-taken-twice|Order NoLoss|src/core/outbox.rs|s/self\.in_flight\.take_if\(\|awaited\| \*awaited == last\)\?;/let _ = last; self.in_flight = None;/
numbers-again|NoReuse NoLoss Dedup Order|src/journal/recover.rs|s/\.max\(begun\)\.max\(contents\.last\.saturating_add\(1\)\)/.max(begun)/
no-checksum|NoLoss Panic|src/journal/frame.rs|s/if checksum\(owner, length, body\) != u32::from_le_bytes\(\*crc\)/if checksum(owner, length, body) == 0 \&\& *crc == [1; 4]/
settled-too-far|NoLoss|src/journal/segments.rs|s/small\.push\(Entry::Settled\(settled_first\)\);/small.push(Entry::Settled(settled_first + 1));/
LIST
}

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$top/target}
export CARGO_PROFILE_DEV_OPT_LEVEL=${CARGO_PROFILE_DEV_OPT_LEVEL:-1}
copy=$CARGO_TARGET_DIR/mutants
mkdir -p "$copy"
trap 'rm -rf "$copy"' EXIT

wanted=" $* "
failed=0
tried=0
while IFS='|' read -r name promises file change; do
    if [ $# -gt 0 ] && [[ $wanted != *" $name "* ]]; then
        continue
    fi
    tried=$((tried + 1))
    rm -rf "${copy:?}/"*
    cp -r Cargo.toml Cargo.lock build.rs clippy.toml src tests benches "$copy/"
    perl -0pi -e "$change" "$copy/$file"
    if cmp -s "$file" "$copy/$file"; then
        echo "$name: the change does not fit $file any more" >&2
        failed=1
        continue
    fi
    if ! (cd "$copy" && cargo build --locked --quiet --example sim 2>"$copy/errors"); then
        cat "$copy/errors" >&2
        echo "$name: does not build" >&2
        failed=1
        continue
    fi
    if said=$("$CARGO_TARGET_DIR/debug/examples/sim" --seeds "$worlds" --brief 2>&1); then
        echo "$name: NOT FOUND in $worlds worlds" >&2
        failed=1
        continue
    fi
    broken=$(grep -m1 '^seed ' <<<"$said" || true)
    promise=$(sed -n 's/^seed [0-9]*: \([A-Za-z]*\):.*/\1/p' <<<"$broken")
    if [ -n "$promise" ] && [[ " $promises " == *" $promise "* ]]; then
        printf '%-20s found: %.150s\n' "$name" "$broken"
    else
        printf '%-20s FOUND AS SOMETHING ELSE: %.150s\n' "$name" "${broken:-$said}" >&2
        failed=1
    fi
done < <(mutants)
if [ $tried -eq 0 ]; then
    echo "no such mistake: $*" >&2
    exit 2
fi
exit $failed
