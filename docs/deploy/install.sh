#!/bin/sh
# Installs the program with its manual and what shells need to complete it, and on request a systemd unit. Run again it brings
# everything up to date; what an earlier run put there and this one does not is removed.
set -eu

usage() {
    cat <<'END'
Usage: docs/deploy/install.sh [options]

  --prefix DIR     where to: DIR/bin, DIR/share [default: /usr/local]
  --binary FILE    install this program instead of building one with cargo
  --service        install a systemd unit, too, and a configuration if there is none
  --etc DIR        where the unit and the configuration go [default: /etc]
  --uninstall      remove what was installed; configuration and data stay
  --dry-run        say what would be done
  -h, --help       this
END
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

prefix=/usr/local etc=/etc binary='' service=no uninstall=no dry_run=no
while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --etc | --binary)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value"
            case $1 in
                --prefix) prefix=$2 ;;
                --etc) etc=$2 ;;
                --binary) binary=$2 ;;
            esac
            shift 2
            continue
            ;;
        --service) service=yes ;;
        --uninstall) uninstall=yes ;;
        --dry-run) dry_run=yes ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    shift
done
for folder in "$prefix" "$etc"; do
    case $folder in
        /*) ;;
        *) fail "$folder must be an absolute path" ;;
    esac
done
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)

# What is installed is written down there, one file a line, so that exactly that can be removed.
list=$prefix/share/tasklight/installed
unit=$etc/systemd/system/tasklight.service

# Runs a command, or says which.
act() {
    if [ "$dry_run" = yes ]; then
        echo "would run: $*"
    else
        "$@"
    fi
}

# Removes the files that are in the list $1 and not in the list $2.
remove_all_but() {
    while IFS= read -r file; do
        if ! grep -qxF -- "$file" "$2" && [ -e "$file" ]; then
            act rm -f -- "$file"
        fi
    done <"$1"
}

# Has systemd look at its units again, where it runs and these are its own.
reload_units() {
    if [ "$etc" = /etc ] && [ -d /run/systemd/system ]; then
        act systemctl daemon-reload
    fi
}

if [ "$uninstall" = yes ]; then
    [ -f "$list" ] || fail "nothing of ours is in $prefix ($list is missing)"
    unit_was_there=no
    if grep -qxF -- "$unit" "$list"; then
        unit_was_there=yes
        if [ "$etc" = /etc ] && [ -d /run/systemd/system ]; then
            act systemctl disable --now tasklight.service
        fi
    fi
    remove_all_but "$list" /dev/null
    act rm -f -- "$list"
    act rmdir -- "$prefix/share/tasklight"
    [ "$unit_was_there" = no ] || reload_units
    echo "removed; $etc/tasklight and /var/lib/tasklight, if they are there, are left to you"
    exit 0
fi

if [ -z "$binary" ]; then
    command -v cargo >/dev/null || fail "cargo is missing: install Rust 1.94 or newer, or name a program with --binary"
    if [ ! -e "$root/web/dist/index.html" ]; then
        echo "the page is not built (make web), so the program will be without it; everything else works"
    fi
    act cargo build --release --locked --bin tasklight --manifest-path "$root/Cargo.toml"
    binary=${CARGO_TARGET_DIR:-$root/target}/release/tasklight
elif [ ! -x "$binary" ]; then
    fail "$binary is not a program"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/installed"

# Installs file $1 as $2 with mode $3: beside it first, so that what runs is never half of a file.
put() {
    echo "$2" >>"$work/installed"
    act mkdir -p -- "$(dirname -- "$2")"
    act install -m "$3" -- "$1" "$2.new"
    act mv -f -- "$2.new" "$2"
}

put "$binary" "$prefix/bin/tasklight" 755

if [ -x "$binary" ]; then
    "$binary" man "$work/man1"
    "$binary" completions bash >"$work/bash"
    "$binary" completions zsh >"$work/zsh"
    "$binary" completions fish >"$work/fish"
    for page in "$work"/man1/*.1; do
        put "$page" "$prefix/share/man/man1/${page##*/}" 644
    done
    put "$work/bash" "$prefix/share/bash-completion/completions/tasklight" 644
    put "$work/zsh" "$prefix/share/zsh/site-functions/_tasklight" 644
    put "$work/fish" "$prefix/share/fish/vendor_completions.d/tasklight.fish" 644
else
    echo "would install the manual and completions, which the program makes"
fi

if [ "$service" = yes ]; then
    sed "s|^ExecStart=/usr/local/bin/|ExecStart=$prefix/bin/|" "$root/docs/deploy/tasklight.service" >"$work/unit"
    put "$work/unit" "$unit" 644
    # Theirs from the first moment: never overwritten, never removed.
    if [ ! -e "$etc/tasklight/tasklight.toml" ]; then
        echo "# See tasklight config, and docs/configuration.md." >"$work/toml"
        act mkdir -p -- "$etc/tasklight"
        act install -m 644 -- "$work/toml" "$etc/tasklight/tasklight.toml"
    fi
fi

if [ -f "$list" ] && [ "$dry_run" = no ]; then
    # A unit stays where it was when only the program is brought up to date.
    if [ "$service" = no ] && grep -qxF -- "$unit" "$list"; then
        echo "$unit" >>"$work/installed"
    fi
    remove_all_but "$list" "$work/installed"
fi
act mkdir -p -- "$prefix/share/tasklight"
act install -m 644 -- "$work/installed" "$list"

if [ "$service" = yes ]; then
    reload_units
    echo "to start the hub now and whenever the machine starts: systemctl enable --now tasklight"
fi
if [ "$dry_run" = no ]; then
    echo "installed $("$prefix/bin/tasklight" --version) in $prefix"
fi
