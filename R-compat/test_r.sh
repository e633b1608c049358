#!/usr/bin/env bash
# R's side: build, check and use the R package, and hold biocal's numbers to live R.
#   R-compat/test_r.sh install       install what is missing by apt-get (as root), else say what to install
#   R-compat/test_r.sh test          all checks; also after `install`
#   R-compat/test_r.sh pins          make all pins anew
# PYTHON is the Python that biocal is installed in (default .venv/bin/python).
set -u
cd "$(dirname "$0")/.." || exit 1
python=$(realpath -s "${PYTHON:-.venv/bin/python}")
packages=(r-base-core r-cran-testthat r-cran-jsonlite r-cran-survival r-cran-hmisc r-cran-rms r-cran-metafor r-cran-epi
          r-cran-digest r-cran-knitr r-cran-rmarkdown r-cran-mass)
topics=(pooling clogit rcs knots quantiles sandwich anova performance calibration)
failed=()

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
    done
}

# R elsewhere than on Debian: ask R itself
missing_in_r() {
    command -v Rscript >/dev/null || { echo R; return; }
    Rscript --vanilla -e 'for (p in c("testthat", "jsonlite", "survival", "Hmisc", "rms", "metafor", "Epi", "digest", "knitr", "rmarkdown", "MASS"))
        if (!requireNamespace(p, quietly = TRUE)) cat(p, "\n")' 2>/dev/null
}

install() {
    [ -z "$(missing_in_r)" ] && return 0
    if ! command -v apt-get >/dev/null; then
        echo "R is needed with the packages: $(missing_in_r | tr '\n' ' ')" >&2
        return 1
    fi
    local wanted
    wanted=$(missing_packages | tr '\n' ' ')
    if [ "$(id -u)" -ne 0 ]; then
        echo "R or its packages are missing. Install them:  sudo apt-get install $wanted" >&2
        return 1
    fi
    echo "installing $wanted"
    # shellcheck disable=SC2086
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null
}

step() {
    local name=$1
    shift
    printf -- '---- %s\n' "$name"
    "$@" || { echo "---- $name: FAILED"; failed+=("$name"); return 1; }
}

# R CMD check tells NOTEs too; errors and warnings are failures
checked() {
    local log
    log=$(cd "$work" && _R_CHECK_FORCE_SUGGESTS_=false _R_CHECK_SYSTEM_CLOCK_=0 \
        R CMD check --no-manual --no-build-vignettes "${without_vignettes[@]}" biocal_*.tar.gz 2>&1)
    local status=$?
    echo "$log" | grep -E 'WARNING|ERROR|NOTE|^Status|FAIL|══|──' || true
    if [ $status -ne 0 ] || ! echo "$log" | grep -qE '^Status: (OK|[0-9]+ NOTEs?)$'; then
        cat "$work"/biocal.Rcheck/tests/*.Rout.fail 2>/dev/null | tail -60
        echo "$log" | tail -40
        return 1
    fi
}

live_topic() {
    local folder=$work/parity/$1
    (cd "$folder" && Rscript --vanilla run_*.R >/dev/null) &&
        "$python" "R-compat/parity/$1/compare.py" "$folder/pins.json"
}

run_tests() {
    install || return 1
    [ -x "$python" ] || { echo "there is no $python; run make test first, or set PYTHON" >&2; return 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    BIOCAL_COMMAND=$(dirname "$python")/biocal
    BIOCAL_REPOSITORY=$PWD
    BIOCAL_PYTHON=$python
    export BIOCAL_COMMAND BIOCAL_REPOSITORY BIOCAL_PYTHON OMP_NUM_THREADS=1
    Rscript --version
    mkdir "$work/library"
    # the vignette is made into HTML where pandoc is; its code is run below in any case
    local build=() without_vignettes=()
    if ! command -v pandoc >/dev/null; then
        echo "there is no pandoc: the vignette is not made into HTML (its code is run all the same)"
        build=(--no-build-vignettes) without_vignettes=(--ignore-vignettes)
    fi
    (cd "$work" && step "R CMD build" R CMD build "${build[@]}" "$BIOCAL_REPOSITORY/R-compat/biocal") || return 1
    step "R CMD check" checked
    step "R CMD INSTALL" R CMD INSTALL --library="$work/library" "$work"/biocal_*.tar.gz
    step "R against the fixtures and Python" env R_LIBS="$work/library" Rscript --vanilla R-compat/tests/run.R
    cp -r R-compat/parity "$work/parity"
    local topic
    for topic in "${topics[@]}"; do step "parity with live R: $topic" live_topic "$topic"; done
    if [ ${#failed[@]} -gt 0 ]; then
        printf '%s\n' "R checks that failed:" "${failed[@]/#/    }"
        return 1
    fi
    echo "R checks: all $((4 + ${#topics[@]})) passed"
}

make_pins() {
    install || return 1
    local topic
    for topic in "${topics[@]}"; do
        (cd "R-compat/parity/$topic" &&
            for script in make_*.py; do [ -e "$script" ] && { "$python" "$script" || exit 1; }; done
            Rscript --vanilla run_*.R >/dev/null) &&
            "$python" "R-compat/parity/$topic/compare.py" >/dev/null && echo "pins of $topic made" || failed+=("$topic")
    done
    [ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}"; return 1; }
}

case ${1:-} in
    install) install ;;
    test) run_tests ;;
    pins) make_pins ;;
    *) sed -n '2,6p' "$0"; exit 2 ;;
esac
