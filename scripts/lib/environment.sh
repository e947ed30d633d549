# Sourced by scripts: makes the Python environment of the checkout and keeps it up to date.
#
# Needs $root, the checkout. After ensure_environment, $root/.venv holds Python 3.11 or newer with
# the package and its dev extra.

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$1" >&2
    exit 1
}

heading() {
    printf '== %s\n' "$1"
}

# Runs a command and shows its output only when it fails.
quietly() {
    local output
    output=$("$@" 2>&1) && return
    printf '%s\n' "$output" >&2
    return 1
}

install_packages() {
    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        fail "not installed: $* (on Debian: sudo apt-get install $*)"
    fi
    heading "apt-get install $*"
    # Needed on a new machine, whose package lists are empty. One unreachable source of several
    # need not matter, so the installation decides.
    quietly apt-get update || true
    quietly env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@" || fail "apt-get could not install $*"
}

find_python() {
    local program
    for program in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$program" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$program"
            return
        fi
    done
    return 1
}

# Debian has ensurepip in a package of its own; without it an environment gets no pip.
has_venv() {
    "$1" -c 'import ensurepip, venv; ensurepip.version()' 2>/dev/null
}

has_pip() {
    "$1" -m pip --version >/dev/null 2>&1
}

make_venv() {
    local python
    python=$(find_python) || install_packages python3 python3-venv
    python=$(find_python) || fail "Python 3.11 or newer is needed, and there is none in PATH"
    has_venv "$python" || install_packages python3-venv
    has_venv "$python" || fail "$(command -v "$python") lacks the modules venv and ensurepip"
    heading "making .venv"
    quietly "$python" -m venv --clear "$root/.venv" || fail "$root/.venv could not be made"
}

install_project() {
    local options=(--quiet --disable-pip-version-check)
    [[ ! -e $root/requirements.lock ]] || options+=(--constraint "$root/requirements.lock")
    heading "installing the package into .venv"
    quietly "$root/.venv/bin/python" -m pip install "${options[@]}" --editable "$root[dev]" ||
        fail "pip could not install the package"
}

# What .venv is made from. The place belongs to it: an environment does not work elsewhere.
recipe() {
    printf '%s\n' "$root"
    cat "$root/pyproject.toml"
    [[ ! -e $root/requirements.lock ]] || cat "$root/requirements.lock"
}

ensure_environment() {
    local venv=$root/.venv wanted made="" lock
    [[ ! -L $venv ]] || fail "$venv is a link, and what it points to would be emptied: remove the link"
    wanted=$(recipe)
    exec {lock}<"$root"
    flock "$lock" # two scripts started at once would install over each other
    [[ ! -e $venv/recipe ]] || made=$(<"$venv/recipe")
    if [[ $made != "$wanted" || ! -x $venv/bin/python ]]; then
        if [[ -n $made && ${made%%$'\n'*} != "$root" ]] || ! has_pip "$venv/bin/python"; then
            make_venv
        fi
        install_project
        printf '%s\n' "$wanted" >"$venv/recipe"
    fi
    exec {lock}<&-
}

# A server that is given by its URL need not be installed.
ensure_servers() {
    local package missing=()
    for package in $(.venv/bin/python -c \
        'from resonate_broker import dev; print(*dev.missing_packages())'); do
        case $package in
            postgresql) [[ -n ${RESONATE_TEST_POSTGRES_URL:-} ]] || missing+=("$package") ;;
            rabbitmq-server) [[ -n ${RESONATE_TEST_AMQP_URL:-} ]] || missing+=("$package") ;;
        esac
    done
    [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
}
